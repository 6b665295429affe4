"""Forged credentials, and users who must not authenticate: banned, deleted, renamed."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from adapters.better_auth.jwks import RemoteKeys
from adapters.better_auth.keys import public_key
from adapters.memory.store import MemoryStore
from application.ports.clock import Clock
from application.ports.keys import StoredKey
from domain.sessions import Session
from tests.conftest import FixedClock
from tests.http.api import LOG_IN, ME, PASSWORD, USER
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, error_of, send_json, shared_secret_token
from tests.http.credentials import (
    CREDENTIALS,
    HEADERS_OF,
    Headers,
    access_token,
    bearer,
    cookie,
    cookie_of,
    plugin_claims,
    plugin_token,
    signed,
)
from tests.http.fakes import FakeRemoteKeys
from tests.http.forgeries import EXPECTED_ERRORS, FORGERIES, VALID
from tests.http.forging import (
    CURVE_KEY,
    OLD_KEY,
    REMOTE_KEY,
    SECOND_KEY,
    change_letter,
    now,
    shared_claims,
    sign_with_secret,
    with_header,
)
from tests.http.rows import DAY, add_key, add_session, add_user, snapshot


@pytest.fixture(scope="module")
def provider_backend() -> Backend:
    """The Better Auth server publishes one key over HTTP."""
    published = public_key(REMOTE_KEY.jwk())
    assert published is not None
    keys = FakeRemoteKeys({REMOTE_KEY.kid: published})
    return build_backend({RemoteKeys: keys}, cors_origins=ORIGIN)


@pytest.fixture
def backend(provider_backend: Backend) -> Backend:
    provider_backend.store.clear()
    return provider_backend


@pytest.fixture
def session(store: MemoryStore) -> Session:
    """A session of Ann; one of Bob, an expired one of Ann, and the keys of our table."""
    add_user(store)
    add_user(store, "bob")
    add_key(store)
    add_key(store, SECOND_KEY.kid)
    add_key(store, CURVE_KEY.kid, "ES256")
    add_key(store, OLD_KEY.kid, expires_at=datetime.now(UTC) - 31 * DAY)
    add_session(store, "bob")
    past = datetime.now(UTC) - 8 * DAY
    add_session(store, name="Expired", created_at=past, expires_at=past + 7 * DAY)
    return add_session(store)


async def send_as(app: FastAPI, headers: Headers, method: str = "GET") -> httpx.Response:
    """Get the account; or, with PATCH, rename it."""
    if method == "GET":
        return await send_json(app, "GET", ME, headers)
    return await send_json(app, method, USER, headers, {"name": "Mallory"})


@pytest.mark.parametrize("name", FORGERIES)
async def test_forgery_is_rejected(
    app: FastAPI, store: MemoryStore, session: Session, name: str
) -> None:
    """With the error of the contract, and nothing is created or changed."""
    headers = FORGERIES[name](session)
    before = snapshot(store)
    response = await send_as(app, headers, "PATCH")
    assert error_of(response) == EXPECTED_ERRORS.get(name, (401, "UNAUTHENTICATED"))
    if response.status_code == 401:
        has_bearer = any(header == "Authorization" for header, _ in headers)
        challenge = 'Bearer error="invalid_token"' if has_bearer else "Bearer"
        assert response.headers["www-authenticate"] == challenge
    assert response.headers["cache-control"] == "no-store"
    assert "set-cookie" not in response.headers
    assert not any(word in response.text.lower() for word in ("ann", "bob", "signature", "jwt"))
    assert snapshot(store) == before


@pytest.mark.parametrize("name", VALID)
async def test_credentials_behind_the_forgeries_are_valid(
    app: FastAPI, session: Session, name: str
) -> None:
    """Otherwise the forgeries would be rejected for another reason."""
    response = await send_as(app, VALID[name](session))
    assert (response.status_code, response.json()["id"]) == (200, "ann")


async def test_cached_proof_does_not_cover_forgeries(app: FastAPI, session: Session) -> None:
    """Proofs are cached by the whole token, its signature included."""
    for token in (access_token(session), plugin_token(), shared_secret_token()):
        assert (await send_as(app, bearer(token))).status_code == 200
        for forgery in (change_letter(token), with_header(token, alg="none")):
            response = await send_as(app, bearer(forgery))
            assert error_of(response) == (401, "UNAUTHENTICATED")


async def test_cached_proof_ends_with_its_session(
    app: FastAPI, store: MemoryStore, session: Session
) -> None:
    headers = bearer(access_token(session))
    assert (await send_as(app, headers)).status_code == 200
    store.sessions[session.id].expires_at = datetime.now(UTC) - timedelta(seconds=1)
    assert error_of(await send_as(app, headers)) == (401, "UNAUTHENTICATED")
    del store.sessions[session.id]
    assert error_of(await send_as(app, headers)) == (401, "UNAUTHENTICATED")


# Cookie caches of Better Auth

VECTORS: Final = json.loads((Path(__file__).parent / "cookie_caches.json").read_text())
STRATEGIES: Final = tuple(VECTORS["caches"])


@pytest.fixture
def better_auth_backend(clock: FixedClock) -> Backend:
    """An application with the time, secret, key and sessions of a real Better Auth server."""
    clock.time = datetime.fromtimestamp(VECTORS["frozen_now_ms"] / 1_000, UTC)
    backend = build_backend(
        {Clock: clock, RemoteKeys: FakeRemoteKeys({})},
        better_auth_secret=VECTORS["secret"],
        better_auth_url=VECTORS["issuer"],
    )
    store = backend.store
    user = add_user(store, VECTORS["user_id"], email=VECTORS["email"])
    store.keys[VECTORS["kid"]] = StoredKey(
        VECTORS["kid"], json.dumps(VECTORS["public_key"]), None, None
    )
    for strategy, cache in VECTORS["caches"].items():
        add_session(store, user.id, strategy, token=cache["session_token"])
    return backend


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_cookie_cache_is_rejected(better_auth_backend: Backend, strategy: str) -> None:
    """It is Better Auth's own copy of a session, valid for minutes after the session has ended."""
    cache = VECTORS["caches"][strategy]
    value = cache["cookie_value"]
    before = snapshot(better_auth_backend.store)
    for headers in (
        bearer(value),
        cookie(value),
        cookie(value, "better-auth.session_data"),
        cookie(value, "better-auth.session_data.0"),
        cookie(signed(value, VECTORS["secret"])),
    ):
        assert error_of(await send_as(better_auth_backend.app, headers)) == (401, "UNAUTHENTICATED")
    assert snapshot(better_auth_backend.store) == before
    valid = await send_as(better_auth_backend.app, cookie(cache["session_token_cookie"]))
    assert (valid.status_code, valid.json()["id"]) == (200, VECTORS["user_id"])


# Banned, deleted and changed users


@pytest.mark.parametrize("name", CREDENTIALS)
async def test_banned_user_is_rejected_with_every_credential(
    app: FastAPI, store: MemoryStore, session: Session, name: str
) -> None:
    for until in (None, datetime.now(UTC) + timedelta(minutes=1)):
        store.users["ann"] = replace(store.users["ann"], banned=True, ban_expires_at=until)
        before = snapshot(store)
        for method in ("GET", "PATCH"):
            response = await send_as(app, HEADERS_OF[name](session), method)
            assert error_of(response) == (403, "USER_BANNED")
            assert "www-authenticate" not in response.headers
        assert snapshot(store) == before


@pytest.mark.parametrize("name", CREDENTIALS)
async def test_expired_ban_is_ignored(
    app: FastAPI, store: MemoryStore, session: Session, name: str
) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    store.users["ann"] = replace(store.users["ann"], banned=True, ban_expires_at=past)
    assert (await send_as(app, HEADERS_OF[name](session))).status_code == 200


@pytest.mark.parametrize(
    ("values", "error_code"),
    [
        ({"banned": True}, "USER_BANNED"),
        ({"banned": True, "has_second_factor": True}, "USER_BANNED"),
        ({"has_second_factor": True}, "SECOND_FACTOR_REQUIRED"),
    ],
)
async def test_password_alone_is_not_always_enough(
    app: FastAPI, store: MemoryStore, values: dict[str, Any], error_code: str
) -> None:
    """There is no session and no cookie. A wrong password does not reveal the reason."""
    add_user(store, **values)
    before = snapshot(store)
    for password, expected in (
        (PASSWORD, (403, error_code)),
        ("wrong horse battery", (401, "INVALID_CREDENTIALS")),
    ):
        body = {"email": "ann@example.com", "password": password}
        response = await send_json(app, "POST", LOG_IN, body=body)
        assert error_of(response) == expected
        assert "set-cookie" not in response.headers
    assert snapshot(store) == before


async def test_session_of_a_user_with_a_second_factor_is_accepted(
    app: FastAPI, store: MemoryStore, session: Session
) -> None:
    """Better Auth created it, and verified the second factor."""
    store.users["ann"] = replace(store.users["ann"], has_second_factor=True)
    for headers_of in HEADERS_OF.values():
        assert (await send_as(app, headers_of(session))).status_code == 200


USER_TOKENS: Final[dict[str, Callable[..., str]]] = {
    "shared secret": lambda **claims: sign_with_secret(shared_claims(**claims)),
    "a key of the provider": lambda **claims: REMOTE_KEY.token(plugin_claims(**claims)),
    "a key of our table": plugin_token,
}


@pytest.mark.parametrize("make", USER_TOKENS.values(), ids=USER_TOKENS.keys())
async def test_token_from_before_a_deletion_is_rejected(
    app: FastAPI, store: MemoryStore, session: Session, make: Callable[..., str]
) -> None:
    tokens = [make(), make(iat=now() - 60), make(iat=None), make(updatedAt="2026-01-01T00:00:00Z")]
    assert (await send_as(app, bearer(tokens[0]))).status_code == 200
    assert (await send_json(app, "DELETE", USER, bearer(tokens[0]))).status_code == 204
    before = snapshot(store)
    for token in tokens:
        for method in ("GET", "PATCH"):
            response = await send_as(app, bearer(token), method)
            assert error_of(response) == (401, "UNKNOWN_USER")
            assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert "ann" not in store.users
    assert snapshot(store) == before


@pytest.mark.parametrize("name", ["shared secret", "a key of the provider"])
async def test_token_from_before_a_rename_does_not_undo_it(
    app: FastAPI, store: MemoryStore, session: Session, name: str
) -> None:
    """Older claims never overwrite a rename, whether or not their token has been used before."""
    since = datetime.now(UTC) - timedelta(hours=1)
    first, second, unused = [
        USER_TOKENS[name](name="Old", updatedAt=(since + timedelta(minutes=n)).isoformat())
        for n in range(3)
    ]
    for token in (first, second):
        assert (await send_as(app, bearer(token))).json()["name"] == "Old"
    response = await send_json(app, "PATCH", USER, cookie_of(session), {"name": "New"})
    assert response.json()["name"] == "New"
    for token in (first, second, unused, USER_TOKENS[name](name="Old")):
        assert (await send_as(app, bearer(token))).json()["name"] == "New"
    assert store.users["ann"].name == "New"


async def test_token_of_our_own_key_changes_no_user(
    app: FastAPI, store: MemoryStore, session: Session
) -> None:
    """If the keys are in our table, so are the users: the row is up to date."""
    before = snapshot(store)
    claims = {"name": "New", "email": "new@example.com", "updatedAt": datetime.now(UTC).isoformat()}
    assert (await send_as(app, bearer(plugin_token(**claims)))).status_code == 200
    assert snapshot(store) == before


@pytest.mark.parametrize(
    "changes", [{"banned": False}, {"role": "admin"}, {"twoFactorEnabled": False}]
)
async def test_claims_do_not_lift_a_ban(
    app: FastAPI, store: MemoryStore, session: Session, changes: dict[str, Any]
) -> None:
    """Nor do they change anything else of a user who is rejected."""
    store.users["ann"] = replace(store.users["ann"], banned=True, has_second_factor=True)
    before = snapshot(store)
    claims = {"updatedAt": datetime.now(UTC).isoformat(), "name": "New", **changes}
    for make in USER_TOKENS.values():
        assert error_of(await send_as(app, bearer(make(**claims)))) == (403, "USER_BANNED")
    assert snapshot(store) == before
