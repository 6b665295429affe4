"""Users and sessions put straight into memory, and everything that could prove them.

What is shown here is made by hand from the contract, never by the code that is under test.
"""

import base64
import hmac
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from urllib.parse import quote

import httpx
import jwt

from adapters.memory.store import MemoryStore
from application.ports.credentials import CredentialKind
from application.ports.keys import StoredKey
from domain.sessions import Session
from domain.tasks import Task, TaskDraft
from domain.users import User
from tests.better_auth.signer import signer
from tests.http.client import ORIGIN, SECRET, token
from tests.http.fakes import fast_hash

COOKIE: Final = "better-auth.session_token"
DAY: Final = timedelta(days=1)
KID: Final = "a-key-of-our-own-table"
PASSWORD: Final = "correct horse battery"
ANN: Final = {"email": "ann@example.com", "password": PASSWORD}
OTHERWISE: Final = {**ANN, "password": "wrong horse battery"}
WEEK: Final = 604_800
USER_FIELDS: Final = ["id", "email", "name", "email_verified", "image", "created_at", "updated_at"]
SESSION_FIELDS: Final = [
    *("id", "created_at", "updated_at", "expires_at", "ip_address", "user_agent", "current")
]
ANSWER_FIELDS: Final = ["user", "session", "access_token", "token_type", "expires_in"]
TAKEN: Final = [
    f"better-auth.{name}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    for name in ("session_token", "session_data", "dont_remember")
]
"""All that a browser is told to forget."""

SIGN_UP, LOG_IN, LOG_OUT = "/api/auth/signup", "/api/auth/login", "/api/auth/logout"
REFRESH, ME, VALIDATE = "/api/auth/refresh", "/api/auth/me", "/api/auth/session/validate"
USER, SESSIONS = "/api/users/me", "/api/users/me/sessions"

Headers = list[tuple[str, str]]


def contents(store: MemoryStore) -> dict[str, dict[Any, Any]]:
    """A copy of all that is kept, to compare with."""
    tables = ("users", "sessions", "tasks", "password_hashes", "deleted_users")
    return {
        name: {
            key: replace(row) if isinstance(row, User | Session | Task) else row
            for key, row in getattr(store, name).items()
        }
        for name in tables
    }


def add_user(store: MemoryStore, user_id: str = "ann", **values: Any) -> User:
    """Somebody who has been there since yesterday, and can sign in with `PASSWORD`."""
    since = datetime.now(UTC) - DAY
    user = User(
        id=user_id,
        email=f"{user_id}@example.com",
        name=user_id.title(),
        email_verified=False,
        image=None,
        created_at=since,
        updated_at=since,
    )
    store.users[user_id] = replace(user, **values)
    store.password_hashes[user_id] = fast_hash(PASSWORD, "salt")
    return store.users[user_id]


def add_session(store: MemoryStore, user_id: str = "ann", name: str = "", **values: Any) -> Session:
    """A session as if somebody had just signed in; its id and token tell whose it is."""
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
    """The public half of `signer(kid, algorithm)`, as Better Auth's table has it."""
    store.keys[kid] = replace(_row(kid, algorithm), **values)


@cache
def _row(kid: str, algorithm: str) -> StoredKey:
    return StoredKey(kid, signer(kid, algorithm).row(), algorithm, None)


def signature(value: str, secret: str = SECRET) -> str:
    """Better Auth's: standard base64 with padding, 44 characters."""
    return base64.b64encode(hmac.digest(secret.encode(), value.encode(), "sha256")).decode()


def signed(value: str, secret: str = SECRET) -> str:
    """A signed value as a cookie has it."""
    return quote(f"{value}.{signature(value, secret)}", safe="")


def cookie(value: str, name: str = COOKIE) -> Headers:
    """As a browser shows it, on a page of the front end."""
    return [("Cookie", f"{name}={value}"), ("Origin", ORIGIN)]


def given(token: str, seconds: int | None = WEEK) -> str:
    """Better Auth's own `Set-Cookie` for a session token, letter by letter."""
    lasting = "" if seconds is None else f" Max-Age={seconds};"
    return f"{COOKIE}={signed(token)};{lasting} Path=/; HttpOnly; SameSite=Lax"


def cookies_of(answer: httpx.Response) -> list[str]:
    return answer.headers.get_list("set-cookie")


def bearer(shown: str) -> Headers:
    return [("Authorization", f"Bearer {shown}")]


def cookie_of(session: Session) -> Headers:
    return cookie(signed(session.token))


def said(defaults: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Claims with changes; one that is None is left out."""
    return {name: value for name, value in {**defaults, **changes}.items() if value is not None}


def access_claims(session: Session, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"iss": "taskport", "aud": "taskport", "sub": session.user_id, "sid": session.id}
    return said({**claims, "iat": now, "exp": now + 7 * 86_400}, changes)


def access_token(session: Session, secret: str = SECRET, **changes: Any) -> str:
    """Credential 4."""
    return jwt.encode(access_claims(session, **changes), secret, headers={"typ": "at+jwt"})


def plugin_claims(user_id: str = "ann", **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"sub": user_id, "id": user_id, "email": f"{user_id}@example.com", "name": "Plugin"}
    return said({**claims, "iat": now, "exp": now + 900, "iss": ORIGIN, "aud": ORIGIN}, changes)


def plugin_token(user_id: str = "ann", **changes: Any) -> str:
    """Credential 3, of a key that `add_key` puts into our own table."""
    return signer(KID, "EdDSA").token(plugin_claims(user_id, **changes))


PROOFS: Final[dict[str, tuple[CredentialKind, Callable[[Session], Headers]]]] = {
    "cookie": (CredentialKind.COOKIE, cookie_of),
    "raw session token": (CredentialKind.SESSION_TOKEN, lambda s: bearer(s.token)),
    "signed session token": (
        CredentialKind.SESSION_TOKEN,
        lambda s: bearer(f"{s.token}.{signature(s.token)}"),
    ),
    "jwt": (CredentialKind.JWT, lambda s: bearer(plugin_token(s.user_id))),
    "access token": (CredentialKind.ACCESS_TOKEN, lambda s: bearer(access_token(s))),
    "shared secret": (CredentialKind.SHARED_SECRET, lambda s: bearer(token(s.user_id))),
}
"""Every form of credential, for the user of a session; the table must hold `add_key`'s key."""

BEARERS: Final = {name: show for name, (_, show) in PROOFS.items() if name != "cookie"}
OF_NO_SESSION: Final = ("jwt", "shared secret")
OWN_SESSION: Final = {name: proof for name, proof in PROOFS.items() if name not in OF_NO_SESSION}
