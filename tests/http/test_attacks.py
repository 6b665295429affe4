"""What somebody could try who is not who they say: one row for each, and none gets in.

What is forged is well formed and names a live session or a user that exists, so that the check
that a row is aimed at is the one that refuses it.
"""

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
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, ask, code, token
from tests.http.fakes import FakeRemoteKeys
from tests.http.forgeries import (
    CURVE,
    GOOD,
    OLD,
    OTHERWISE,
    REMOTE,
    SECOND,
    TABLE,
    now,
    one_letter_off,
    ours,
    shared,
    with_header,
)
from tests.http.people import (
    DAY,
    LOG_IN,
    ME,
    PASSWORD,
    PROOFS,
    USER,
    Headers,
    access_token,
    add_key,
    add_session,
    add_user,
    bearer,
    contents,
    cookie,
    cookie_of,
    plugin_claims,
    plugin_token,
    signed,
)


@pytest.fixture(scope="module")
def provider_backend() -> Backend:
    """The Better Auth server publishes one key over HTTP."""
    published = public_key(REMOTE.jwk())
    assert published is not None
    keys = FakeRemoteKeys({REMOTE.kid: published})
    return build_backend({RemoteKeys: keys}, cors_origins=ORIGIN)


@pytest.fixture
def backend(provider_backend: Backend) -> Backend:
    provider_backend.store.clear()
    return provider_backend


@pytest.fixture
def session(store: MemoryStore) -> Session:
    """Ann, who is signed in; Bob, who is signed in, too; and the keys of our own table."""
    add_user(store)
    add_user(store, "bob")
    add_key(store)
    add_key(store, SECOND.kid)
    add_key(store, CURVE.kid, "ES256")
    add_key(store, OLD.kid, expires_at=datetime.now(UTC) - 31 * DAY)
    add_session(store, "bob")
    past = datetime.now(UTC) - 8 * DAY
    add_session(store, name="Expired", created_at=past, expires_at=past + 7 * DAY)
    return add_session(store)


async def show(app: FastAPI, headers: Headers, method: str = "GET") -> httpx.Response:
    """Ask who one is; or, with PATCH, change one's name."""
    if method == "GET":
        return await ask(app, "GET", ME, headers)
    return await ask(app, method, USER, headers, {"name": "Mallory"})


@pytest.mark.parametrize("name", TABLE)
async def test_what_is_forged_proves_nothing(
    app: FastAPI, store: MemoryStore, session: Session, name: str
) -> None:
    """Refused, with the reason that the contract has for it; and nothing is made or changed."""
    headers = TABLE[name](session)
    before = contents(store)
    answer = await show(app, headers, "PATCH")
    assert code(answer) == OTHERWISE.get(name, (401, "UNAUTHENTICATED"))
    if answer.status_code == 401:
        tried = any(header == "Authorization" for header, _ in headers)
        challenge = 'Bearer error="invalid_token"' if tried else "Bearer"
        assert answer.headers["www-authenticate"] == challenge
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    assert not any(word in answer.text.lower() for word in ("ann", "bob", "signature", "jwt"))
    assert contents(store) == before


@pytest.mark.parametrize("name", GOOD)
async def test_what_the_forgeries_are_made_of_is_good(
    app: FastAPI, session: Session, name: str
) -> None:
    """Or the table would show nothing."""
    answer = await show(app, GOOD[name](session))
    assert (answer.status_code, answer.json()["id"]) == (200, "ann")


async def test_a_token_that_was_believed_is_no_cover_for_others(
    app: FastAPI, session: Session
) -> None:
    """What was verified is remembered by the whole token, its signature included."""
    for good in (access_token(session), plugin_token(), token()):
        assert (await show(app, bearer(good))).status_code == 200
        for forgery in (one_letter_off(good), with_header(good, alg="none")):
            answer = await show(app, bearer(forgery))
            assert code(answer) == (401, "UNAUTHENTICATED")


async def test_a_token_that_was_believed_dies_with_its_session(
    app: FastAPI, store: MemoryStore, session: Session
) -> None:
    shown = bearer(access_token(session))
    assert (await show(app, shown)).status_code == 200
    store.sessions[session.id].expires_at = datetime.now(UTC) - timedelta(seconds=1)
    assert code(await show(app, shown)) == (401, "UNAUTHENTICATED")
    del store.sessions[session.id]
    assert code(await show(app, shown)) == (401, "UNAUTHENTICATED")


# Better Auth's own

VECTORS: Final = json.loads((Path(__file__).parent / "cookie_caches.json").read_text())
STRATEGIES: Final = tuple(VECTORS["caches"])


@pytest.fixture
def better_auths(clock: FixedClock) -> Backend:
    """The moment, the secret, the key and the sessions of a real Better Auth server."""
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
async def test_a_cookie_cache_proves_nothing(better_auths: Backend, strategy: str) -> None:
    """It is Better Auth's own note of a session, good for minutes after that session is over."""
    cache = VECTORS["caches"][strategy]
    value = cache["cookie_value"]
    before = contents(better_auths.store)
    for headers in (
        bearer(value),
        cookie(value),
        cookie(value, "better-auth.session_data"),
        cookie(value, "better-auth.session_data.0"),
        cookie(signed(value, VECTORS["secret"])),
    ):
        assert code(await show(better_auths.app, headers)) == (401, "UNAUTHENTICATED")
    assert contents(better_auths.store) == before
    good = await show(better_auths.app, cookie(cache["session_token_cookie"]))
    assert (good.status_code, good.json()["id"]) == (200, VECTORS["user_id"])


# Accounts that may not, or no longer


@pytest.mark.parametrize("name", PROOFS)
async def test_who_is_banned_is_refused_with_every_credential(
    app: FastAPI, store: MemoryStore, session: Session, name: str
) -> None:
    for until in (None, datetime.now(UTC) + timedelta(minutes=1)):
        store.users["ann"] = replace(store.users["ann"], banned=True, ban_expires_at=until)
        before = contents(store)
        for method in ("GET", "PATCH"):
            answer = await show(app, PROOFS[name][1](session), method)
            assert code(answer) == (403, "USER_BANNED")
            assert "www-authenticate" not in answer.headers
        assert contents(store) == before


@pytest.mark.parametrize("name", PROOFS)
async def test_a_ban_that_is_over_is_none(
    app: FastAPI, store: MemoryStore, session: Session, name: str
) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    store.users["ann"] = replace(store.users["ann"], banned=True, ban_expires_at=past)
    assert (await show(app, PROOFS[name][1](session))).status_code == 200


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"banned": True}, "USER_BANNED"),
        ({"banned": True, "has_second_factor": True}, "USER_BANNED"),
        ({"has_second_factor": True}, "SECOND_FACTOR_REQUIRED"),
    ],
)
async def test_a_password_is_not_always_enough(
    app: FastAPI, store: MemoryStore, values: dict[str, Any], refusal: str
) -> None:
    """No session and no cookie; and whoever does not know the password does not learn of it."""
    add_user(store, **values)
    before = contents(store)
    for password, expected in (
        (PASSWORD, (403, refusal)),
        ("wrong horse battery", (401, "INVALID_CREDENTIALS")),
    ):
        sent = {"email": "ann@example.com", "password": password}
        answer = await ask(app, "POST", LOG_IN, body=sent)
        assert code(answer) == expected
        assert "set-cookie" not in answer.headers
    assert contents(store) == before


async def test_a_second_factor_that_was_given_is_not_asked_for_again(
    app: FastAPI, store: MemoryStore, session: Session
) -> None:
    """The session was made by Better Auth, which asked."""
    store.users["ann"] = replace(store.users["ann"], has_second_factor=True)
    for _, show_it in PROOFS.values():
        assert (await show(app, show_it(session))).status_code == 200


BEFORE: Final[dict[str, Callable[..., str]]] = {
    "shared secret": lambda **said: ours(shared(**said)),
    "a key of the provider": lambda **said: REMOTE.token(plugin_claims(**said)),
    "a key of our own table": plugin_token,
}


@pytest.mark.parametrize("make", BEFORE.values(), ids=BEFORE.keys())
async def test_a_token_from_before_a_deletion_brings_nobody_back(
    app: FastAPI, store: MemoryStore, session: Session, make: Callable[..., str]
) -> None:
    shown = [make(), make(iat=now() - 60), make(iat=None), make(updatedAt="2026-01-01T00:00:00Z")]
    assert (await show(app, bearer(shown[0]))).status_code == 200
    assert (await ask(app, "DELETE", USER, bearer(shown[0]))).status_code == 204
    before = contents(store)
    for old in shown:
        for method in ("GET", "PATCH"):
            answer = await show(app, bearer(old), method)
            assert code(answer) == (401, "UNKNOWN_USER")
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert "ann" not in store.users
    assert contents(store) == before


@pytest.mark.parametrize("name", ["shared secret", "a key of the provider"])
async def test_a_token_from_before_a_rename_does_not_undo_it(
    app: FastAPI, store: MemoryStore, session: Session, name: str
) -> None:
    """What was news once is none after what the user has said since, seen before or not."""
    since = datetime.now(UTC) - timedelta(hours=1)
    seen, seen_too, unseen = [
        BEFORE[name](name="Old", updatedAt=(since + timedelta(minutes=n)).isoformat())
        for n in range(3)
    ]
    for shown in (seen, seen_too):
        assert (await show(app, bearer(shown))).json()["name"] == "Old"
    answer = await ask(app, "PATCH", USER, cookie_of(session), {"name": "New"})
    assert answer.json()["name"] == "New"
    for shown in (seen, seen_too, unseen, BEFORE[name](name="Old")):
        assert (await show(app, bearer(shown))).json()["name"] == "New"
    assert store.users["ann"].name == "New"


async def test_a_key_of_our_own_table_never_changes_a_user(
    app: FastAPI, store: MemoryStore, session: Session
) -> None:
    """Whose table it is has its users there as well: the row knows better."""
    before = contents(store)
    said = {"name": "New", "email": "new@example.com", "updatedAt": datetime.now(UTC).isoformat()}
    assert (await show(app, bearer(plugin_token(**said)))).status_code == 200
    assert contents(store) == before


@pytest.mark.parametrize(
    "sent", [{"banned": False}, {"role": "admin"}, {"twoFactorEnabled": False}]
)
async def test_claims_lift_no_ban(
    app: FastAPI, store: MemoryStore, session: Session, sent: dict[str, Any]
) -> None:
    """Nor do they change anything else of somebody who is refused."""
    store.users["ann"] = replace(store.users["ann"], banned=True, has_second_factor=True)
    before = contents(store)
    news = {"updatedAt": datetime.now(UTC).isoformat(), "name": "New", **sent}
    for make in BEFORE.values():
        assert code(await show(app, bearer(make(**news)))) == (403, "USER_BANNED")
    assert contents(store) == before
