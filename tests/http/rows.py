"""Rows put straight into the memory store: users, sessions, tasks and keys."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from adapters.memory.store import MemoryStore
from application.ports.keys import StoredKey
from domain.sessions import Session
from domain.tasks import Task, TaskDraft
from domain.users import User
from tests.better_auth.signer import signer
from tests.http.api import PASSWORD
from tests.http.fakes import fast_hash

DAY: Final = timedelta(days=1)
KID: Final = "a-key-of-our-own-table"


def snapshot(store: MemoryStore) -> dict[str, dict[Any, Any]]:
    """A copy of all rows, to compare with."""
    tables = ("users", "sessions", "tasks", "password_hashes", "deleted_users")
    return {
        name: {
            key: replace(row) if isinstance(row, User | Session | Task) else row
            for key, row in getattr(store, name).items()
        }
        for name in tables
    }


def add_user(store: MemoryStore, user_id: str = "ann", **values: Any) -> User:
    """A user since yesterday, whose password is `PASSWORD`."""
    yesterday = datetime.now(UTC) - DAY
    user = User(
        id=user_id,
        email=f"{user_id}@example.com",
        name=user_id.title(),
        email_verified=False,
        image=None,
        created_at=yesterday,
        updated_at=yesterday,
    )
    store.users[user_id] = replace(user, **values)
    store.password_hashes[user_id] = fast_hash(PASSWORD, "salt")
    return store.users[user_id]


def add_session(store: MemoryStore, user_id: str = "ann", name: str = "", **values: Any) -> Session:
    """A session that has just begun; its id and its token contain the name of its user."""
    now = datetime.now(UTC)
    session = Session(
        id=f"SessionOf{user_id.title()}{name}".ljust(32, "0"),
        user_id=user_id,
        token=f"TokenOf{user_id.title()}{name}".ljust(32, "0"),
        created_at=now,
        updated_at=now,
        expires_at=now + 7 * DAY,
        ip_address=None,
        user_agent=None,
    )
    session = replace(session, **values)
    store.sessions[session.id] = session
    return replace(session)


def add_task(store: MemoryStore, user_id: str = "ann") -> Task:
    task = Task.create(TaskDraft(title="a secret plan"), user_id=user_id, now=datetime.now(UTC))
    task.id = next(store.task_ids)
    store.tasks[task.id] = task
    return task


def add_key(store: MemoryStore, kid: str = KID, algorithm: str = "EdDSA", **values: Any) -> None:
    """The public half of `signer(kid, algorithm)`, as a row of Better Auth's table."""
    store.keys[kid] = replace(_row(kid, algorithm), **values)


@cache
def _row(kid: str, algorithm: str) -> StoredKey:
    return StoredKey(kid, signer(kid, algorithm).row(), algorithm, None)
