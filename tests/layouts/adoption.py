"""Migrates a database with unknown names, and uses the service on it.

Two outcomes are right: it works on Better Auth's tables, or it refuses and changes nothing.
"""

import uuid
from datetime import timedelta
from typing import Final

import pytest

from application.ports.credentials import Credentials
from application.ports.passwords import Passwords
from application.sign_in import SignUpClosed
from domain.tasks import TaskDraft
from entrypoints.container import Service, build
from entrypoints.settings import Settings
from tests.http.fakes import FakePasswords
from tests.interop.taskport import NO_KEYS, SECRET
from tests.layouts import commands, credentials
from tests.layouts.better_auth import BetterAuth, Person
from tests.layouts.dump import Dump

OUR_SCHEMA: Final = ("taskport", None, None, "", "")
_DAY: Final = timedelta(days=1)


async def assert_adopted_or_refused(
    url: str, dump: Dump, person: Person, **settings: str
) -> str | None:
    """Migrate, then use the service as `person`. Return the sentence of a refusal, or None.

    Nothing is created outside our schema, and nothing at all by a refusal.
    """
    before = commands.catalog(url)
    migrated = commands.taskport(url, "migrate", **settings)
    if migrated.code != 0:
        assert commands.catalog(url) == before
        return migrated.refusal
    await assert_works(url, dump, person, **settings)
    assert commands.catalog(url) - before <= {OUR_SCHEMA}
    return None


async def assert_adopted(url: str, dump: Dump, person: Person, **settings: str) -> None:
    """Migrate, then use the service as `person`."""
    refusal = await assert_adopted_or_refused(url, dump, person, **settings)
    assert refusal is None, refusal


async def assert_works(url: str, dump: Dump, person: Person, **settings: str) -> None:
    """The session of the user is found, with all fields; a new user signs up, and is deleted."""
    service = build(_settings(url, settings), {Passwords: FakePasswords()})
    rows = BetterAuth(url, dump)
    async with service.running():
        with rows.on_one_connection():
            await _assert_found(service, rows, person)
            await _assert_sign_up(service, rows)


def _settings(url: str, settings: dict[str, str]) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        return Settings(database_url=url, better_auth_secret=SECRET, better_auth_jwks_url=NO_KEYS)


async def _assert_found(service: Service, rows: BetterAuth, person: Person) -> None:
    found = await service.use_cases.authenticate(Credentials(**_cookie(person)))
    row = rows.row("user", "id", person.id)
    user = found.user
    found_user = {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "emailVerified": user.email_verified,
        "image": user.image,
        "createdAt": user.created_at,
        "updatedAt": user.updated_at,
    }
    assert found_user == {name: row[name] for name in found_user}
    session = found.session
    assert session is not None
    row = rows.row("session", "id", person.session_id)
    found_session = {
        "id": session.id,
        "userId": session.user_id,
        "token": session.token,
        "createdAt": session.created_at,
        "updatedAt": session.updated_at,
        "expiresAt": session.expires_at,
        "ipAddress": session.ip_address,
        "userAgent": session.user_agent,
    }
    assert found_session == {name: row[name] for name in found_session}
    task = await service.use_cases.create_task(user.id, TaskDraft(title="Water the plants"))
    assert task.user_id == person.id


async def _assert_sign_up(service: Service, rows: BetterAuth) -> None:
    email, password = f"{uuid.uuid4().hex}@example.com", "correct horse battery"
    try:
        signed_up = await service.use_cases.sign_up(email=email, password=password, name="Grace")
    except SignUpClosed:
        # Columns that the service does not know must have a value.
        assert rows.rows("user", "email", email) == []
        return
    user_id = signed_up.user.id
    user = rows.row("user", "email", email)
    assert (user["id"], user["name"], user["emailVerified"]) == (user_id, "Grace", False)
    account = rows.row("account", "userId", user_id)
    assert (account["providerId"], account["accountId"]) == ("credential", user_id)
    assert account["password"].count(":") == 1
    session = rows.row("session", "userId", user_id)
    assert session["expiresAt"] - session["createdAt"] > _DAY
    logged_in = await service.use_cases.log_in(email=email, password=password)
    assert logged_in.user.id == user_id
    await service.use_cases.create_task(user_id, TaskDraft(title="Water the plants"))
    await service.use_cases.delete_user(user_id)
    for model, field in (("user", "id"), ("session", "userId"), ("account", "userId")):
        assert rows.rows(model, field, user_id) == []


def _cookie(person: Person) -> dict[str, str]:
    return {name.lower(): value for name, value in credentials.cookie(person).items()}
