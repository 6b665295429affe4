"""`BETTER_AUTH_SESSIONS`: operations of sessions and accounts that Better Auth alone has."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from adapters.asgi import access_log
from adapters.memory.secondary_storage import MemorySecondaryStorage
from adapters.memory.sessions import MemorySessions
from adapters.memory.store import MemoryStore
from application.ports.clock import Clock
from application.ports.secondary_storage import SecondaryStorage
from domain.sessions import SESSION_LIFETIME, SessionStore
from tests.conftest import FixedClock, LogEvents
from tests.http.api import (
    LOG_IN,
    LOGIN,
    ME,
    ONE_SESSION,
    REFRESH,
    SESSIONS,
    SIGN_UP,
    TASKS,
    USER,
    VALIDATE,
)
from tests.http.backend import Backend, build_backend
from tests.http.client import client_of, error_of, shared_secret_token
from tests.http.credentials import COOKIE, access_token, bearer, signed
from tests.http.rows import add_session, add_user, snapshot

#: Nothing listens there: these requests ask neither Redis nor Better Auth.
_SETTINGS: Final[Mapping[str, str]] = {
    "redis": "redis://localhost:1/0",
    "remote": "remote",
    "remote, by URL": "http://localhost:1/api/auth",
}
_AT_BETTER_AUTH: Final[Mapping[tuple[str, str], Any]] = {
    ("POST", SIGN_UP): {**LOGIN, "email": "new@example.com"},
    ("POST", LOG_IN): LOGIN,
    ("POST", REFRESH): None,
    ("PATCH", USER): {"name": "Eve"},
    ("DELETE", USER): None,
}


@pytest.fixture(params=_SETTINGS)
def elsewhere(request: pytest.FixtureRequest) -> Backend:
    backend = build_backend(
        {SecondaryStorage: MemorySecondaryStorage()}, better_auth_sessions=_SETTINGS[request.param]
    )
    add_user(backend.store)
    return backend


async def test_sign_in_and_accounts_are_better_auths(elsewhere: Backend) -> None:
    before = snapshot(elsewhere.store)
    async with client_of(elsewhere.app, "ann") as client:
        for (method, path), body in _AT_BETTER_AUTH.items():
            response = await client.request(method, path, json=body)
            assert error_of(response) == (403, "SIGN_IN_ELSEWHERE"), path
            assert "set-cookie" not in response.headers
        assert error_of(await client.patch(USER, json={"name": "x" * 300})) == (
            422,
            "VALIDATION_ERROR",
        )
        assert snapshot(elsewhere.store) == before
        assert (await client.get(ME)).status_code == 200
        assert (await client.get(TASKS)).status_code == 200


async def test_access_tokens_of_this_service_are_invalid(elsewhere: Backend) -> None:
    """Their `sid` is no key there, also if a row of the database has it."""
    headers = bearer(access_token(add_session(elsewhere.store)))
    async with client_of(elsewhere.app) as client:
        assert (await client.get(ME, headers=dict(headers))).status_code == 401


async def test_remote_session_is_not_prolonged(frozen_clock: FixedClock) -> None:
    """Nor does a response tell that it was."""
    store = MemoryStore()
    backend = build_backend(
        {Clock: frozen_clock, MemoryStore: store, SessionStore: MemorySessions(store)},
        better_auth_sessions="remote",
    )
    cookie = f"{COOKIE}={signed('TokenOfAnn')}"
    end = add_session(store, add_user(store).id, token=f"Cookie: {cookie}").expires_at
    frozen_clock.advance((SESSION_LIFETIME - timedelta(days=1)).total_seconds())
    async with client_of(backend.app) as client:
        response = await client.get(VALIDATE, headers={"Cookie": cookie})
    assert datetime.fromisoformat(response.json()["session"]["expires_at"]) == end
    assert "set-cookie" not in response.headers


async def test_sessions_are_only_listed_for_a_session(log_events: LogEvents) -> None:
    """`remote`: Better Auth lists the sessions of a session, and knows no other credential."""
    backend = build_backend(better_auth_sessions="remote")
    add_user(backend.store)
    async with client_of(backend.app) as client:
        headers = dict(bearer(shared_secret_token()))
        for method, path in (("GET", SESSIONS), ("DELETE", ONE_SESSION.format(session_id="s"))):
            response = await client.request(method, path, headers=headers)
            assert error_of(response) == (403, "FORBIDDEN")
    access_log.flush()
    reasons = [line["reason"] for line in log_events if line["event"] == "request"]
    assert reasons == ["session_required"] * 2
