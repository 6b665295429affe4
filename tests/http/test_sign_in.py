"""Sign up and log in over HTTP."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import pytest

from adapters.better_auth.passwords import ScryptPasswords
from adapters.memory.store import MemoryStore
from application.ports.clock import Clock
from application.ports.passwords import Passwords
from domain.sessions import Session
from tests.conftest import FixedClock
from tests.http.api import (
    LOG_IN,
    LOG_OUT,
    LOGIN,
    ME,
    PASSWORD,
    REFRESH,
    SESSION_FIELDS,
    SESSIONS,
    SIGN_IN_FIELDS,
    SIGN_UP,
    USER,
    USER_FIELDS,
    VALIDATE,
    WRONG_LOGIN,
)
from tests.http.backend import build_backend
from tests.http.client import ORIGIN, SECRET, client_of, error_of
from tests.http.credentials import WEEK, bearer, cookie_of, set_cookie, set_cookies_of, signed
from tests.http.fakes import FakePasswords
from tests.http.rows import DAY, add_user, snapshot

VECTORS: Final = json.loads(
    (Path(__file__).parents[1] / "better_auth" / "vectors_identity.json").read_text()
)


async def sign_up(client: httpx.AsyncClient, **values: Any) -> httpx.Response:
    return await client.post(SIGN_UP, json={**LOGIN, **values})


# Sign up


async def test_sign_up(
    anonymous: httpx.AsyncClient, store: MemoryStore, frozen_clock: FixedClock
) -> None:
    """Creates a user and a session; the cookie is that of Better Auth."""
    response = await anonymous.post(
        SIGN_UP, json={**LOGIN, "name": " Ann "}, headers={"User-Agent": "A browser"}
    )
    body = response.json()
    [user], [session] = store.users.values(), store.sessions.values()
    assert response.status_code == 201
    assert list(body) == [*SIGN_IN_FIELDS, "session_token"]
    now = frozen_clock.time.isoformat().replace("+00:00", "Z")
    assert body["user"] == {
        "id": user.id,
        "email": "ann@example.com",
        "name": "Ann",
        "email_verified": False,
        "image": None,
        "created_at": now,
        "updated_at": now,
    }
    assert body["session"] == {
        "id": session.id,
        "created_at": now,
        "updated_at": now,
        "expires_at": (frozen_clock.time + 7 * DAY).isoformat().replace("+00:00", "Z"),
        "ip_address": "127.0.0.1",
        "user_agent": "A browser",
        "current": True,
    }
    assert body["session_token"] == session.token
    assert (body["token_type"], body["expires_in"]) == ("Bearer", WEEK)
    assert set_cookies_of(response) == [set_cookie(session.token)]
    for id in (user.id, session.id, session.token):
        assert re.fullmatch("[A-Za-z0-9]{32}", id)
    assert len({user.id, session.id, session.token}) == 3


async def test_access_token_contains_the_session_id_and_not_its_token(
    anonymous: httpx.AsyncClient, store: MemoryStore, frozen_clock: FixedClock
) -> None:
    token = (await sign_up(anonymous)).json()["access_token"]
    [session] = store.sessions.values()
    header, claims = (
        jwt.get_unverified_header(token),
        jwt.decode(token, SECRET, ["HS256"], audience="taskport", issuer="taskport"),
    )
    now = int(frozen_clock.time.timestamp())
    assert header == {"alg": "HS256", "typ": "at+jwt"}
    assert claims == {
        "iss": "taskport",
        "aud": "taskport",
        "sub": session.user_id,
        "sid": session.id,
        "iat": now,
        "exp": now + WEEK,
    }


async def test_sign_up_returns_working_credentials(anonymous: httpx.AsyncClient) -> None:
    response = await sign_up(anonymous)
    body = response.json()
    credentials = [
        [("Cookie", set_cookies_of(response)[0].partition(";")[0])],
        bearer(body["session_token"]),
        bearer(body["access_token"]),
    ]
    for headers in credentials:
        assert (await anonymous.get(ME, headers=headers)).json() == body["user"]


async def test_responses_contain_no_secrets(
    anonymous: httpx.AsyncClient, store: MemoryStore
) -> None:
    """Only a sign-in returns the session token; nothing returns passwords and hashes."""
    signed_up = await sign_up(anonymous)
    [session], [stored] = store.sessions.values(), store.password_hashes.values()
    assert signed_up.text.count(session.token) == 1
    assert [k for k, v in signed_up.headers.items() if session.token in v] == ["set-cookie"]
    headers = cookie_of(session)
    others = [
        await anonymous.post(LOG_IN, json=LOGIN),
        await anonymous.post(LOG_IN, json=WRONG_LOGIN),
        await sign_up(anonymous),
        await sign_up(anonymous, unknown=1),
        await anonymous.post(REFRESH, headers=headers),
        *[await anonymous.get(path, headers=headers) for path in (ME, VALIDATE, USER, SESSIONS)],
        await anonymous.patch(USER, headers=headers, json={"name": "Ann"}),
        await anonymous.delete(SESSIONS + "/other", headers=headers),
        await anonymous.post(LOG_OUT, headers=headers),
    ]
    for response in (signed_up, *others):
        text = response.text + str(response.headers)
        assert not any(secret in text for secret in (PASSWORD, stored, SECRET))
    assert not any(session.token in response.text for response in others)


async def test_password_hashes_are_those_of_better_auth() -> None:
    """scrypt over NFKC, salted with the hex text itself. New hashes have the same format."""
    backend = build_backend({Passwords: ScryptPasswords()})
    store = backend.store
    add_user(store)
    vector = VECTORS["passwords"][0]
    store.password_hashes["ann"] = vector["stored"]
    async with client_of(backend.app) as anonymous:
        response = await anonymous.post(LOG_IN, json={**LOGIN, "password": vector["plain"]})
        assert response.status_code == 200
        made = (await sign_up(anonymous, email="new@example.com")).json()
    stored = store.password_hashes[made["user"]["id"]]
    assert re.fullmatch("[0-9a-f]{32}:[0-9a-f]{128}", stored)


async def test_name_is_optional(anonymous: httpx.AsyncClient) -> None:
    assert (await sign_up(anonymous)).json()["user"]["name"] == ""


@pytest.mark.parametrize(
    "password", ["8letters", "😀" * 4, "x" * 128, "😀" * 64, "\ud800 \0 ab\nc"]
)
async def test_password_length_counts_utf_16_units(
    anonymous: httpx.AsyncClient, password: str
) -> None:
    """A password may contain any character, unpaired surrogates included."""
    content = json.dumps({"email": "ann@example.com", "password": password})
    headers = {"Content-Type": "application/json"}
    for path, status in ((SIGN_UP, 201), (LOG_IN, 200)):
        response = await anonymous.post(path, content=content, headers=headers)
        assert response.status_code == status


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**LOGIN, "emailVerified": True}, "emailVerified"),
        ({**LOGIN, "id": "mine"}, "id"),
        ({**LOGIN, "image": "x"}, "image"),
        ({**LOGIN, "name": None}, "name"),
        ({**LOGIN, "name": "x" * 256}, "name"),
        ({**LOGIN, "name": "a\0b"}, "name"),
        ({**LOGIN, "email": "ann"}, "email"),
        ({**LOGIN, "email": " ann@example.com"}, "email"),
        ({**LOGIN, "email": "änn@example.com"}, "email"),
        ({**LOGIN, "email": "a" * 250 + "@example.com"}, "email"),
        ({**LOGIN, "email": ["ann@example.com"]}, "email"),
        ({**LOGIN, "password": "7 chars"}, "password"),
        ({**LOGIN, "password": "x" * 129}, "password"),
        ({**LOGIN, "password": "😀" * 65}, "password"),
        ({**LOGIN, "password": 12_345_678}, "password"),
        ({"email": "ann@example.com"}, "password"),
        ({"password": PASSWORD}, "email"),
    ],
)
async def test_sign_up_rejects_invalid_bodies(
    anonymous: httpx.AsyncClient, store: MemoryStore, body: dict[str, Any], field: str
) -> None:
    response = await anonymous.post(SIGN_UP, json=body)
    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert response.json()["details"]["field"] == field
    assert PASSWORD not in response.text
    assert not set_cookies_of(response)
    assert not any(snapshot(store).values())


@pytest.mark.parametrize("email", ["ann@example.com", "Ann@Example.COM"])
async def test_taken_email_is_rejected(
    anonymous: httpx.AsyncClient, store: MemoryStore, email: str
) -> None:
    """In any case: like Better Auth, we store email addresses in lower case."""
    assert (await sign_up(anonymous, email="aNN@example.com")).status_code == 201
    before = snapshot(store)
    response = await sign_up(anonymous, email=email, password="another password")
    assert error_of(response) == (409, "EMAIL_TAKEN")
    assert not set_cookies_of(response)
    assert snapshot(store) == before


async def test_sign_up_can_be_disabled(frozen_clock: FixedClock) -> None:
    backend = build_backend({Clock: frozen_clock}, sign_up=False)
    add_user(backend.store, "bob")
    before = snapshot(backend.store)
    async with client_of(backend.app) as anonymous:
        for email in ("ann@example.com", "bob@example.com"):
            response = await sign_up(anonymous, email=email)
            assert error_of(response) == (403, "SIGN_UP_CLOSED")
            assert not set_cookies_of(response)
        assert error_of(await sign_up(anonymous, email="ann")) == (422, "VALIDATION_ERROR")
        assert snapshot(backend.store) == before
        response = await anonymous.post(LOG_IN, json={**LOGIN, "email": "bob@example.com"})
        assert response.status_code == 200


async def test_email_verification_can_be_required() -> None:
    """Until then there is no session and no token. Only a correct password reveals the reason."""
    backend = build_backend(require_email_verification=True)
    store = backend.store
    async with client_of(backend.app) as anonymous:
        response = await sign_up(anonymous)
        body = response.json()
        assert response.status_code == 201
        assert list(body) == [*SIGN_IN_FIELDS, "session_token"]
        assert list(body["user"]) == USER_FIELDS
        for name in ("session", "session_token", "access_token", "expires_in"):
            assert body[name] is None
        assert not set_cookies_of(response)
        assert error_of(await anonymous.post(LOG_IN, json=LOGIN)) == (403, "EMAIL_NOT_VERIFIED")
        assert error_of(await anonymous.post(LOG_IN, json=WRONG_LOGIN)) == (
            401,
            "INVALID_CREDENTIALS",
        )
        assert not store.sessions
        [user] = store.users.values()
        store.users[user.id] = replace(user, email_verified=True)
        assert (await anonymous.post(LOG_IN, json=LOGIN)).status_code == 200


# Log in


async def test_log_in(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session, frozen_clock: FixedClock
) -> None:
    """Each log-in creates another session; the cookie of the request is never reused."""
    response = await anonymous.post(LOG_IN, json={**LOGIN, "email": "Ann@Example.com"})
    body = response.json()
    assert response.status_code == 200
    assert list(body) == [*SIGN_IN_FIELDS, "session_token"]
    assert list(body["user"]) == USER_FIELDS
    assert list(body["session"]) == SESSION_FIELDS
    assert body["user"]["id"] == "ann"
    [_, new] = store.sessions.values()
    assert (body["session"]["id"], body["session_token"]) == (new.id, new.token)
    assert set_cookies_of(response) == [set_cookie(new.token)]
    again = await anonymous.post(LOG_IN, json=LOGIN, headers=cookie_of(session))
    assert again.json()["session_token"] not in (session.token, new.token)
    assert len(store.sessions) == 3


async def test_failed_log_ins_are_indistinguishable(
    anonymous: httpx.AsyncClient, store: MemoryStore, passwords: FakePasswords
) -> None:
    """Unknown email, wrong or no password, another hash format: same response, same work."""
    for user_id in ("ann", "social", "foreign"):
        add_user(store, user_id)
    del store.password_hashes["social"]
    store.password_hashes["foreign"] = "$2b$10$abcdefghijklmnopqrstuv"
    before = snapshot(store)
    responses = [
        await anonymous.post(LOG_IN, json={"email": f"{name}@example.com", "password": password})
        for name, password in (
            ("ann", "wrong horse battery"),
            ("unknown", PASSWORD),
            ("social", PASSWORD),
            ("foreign", PASSWORD),
            ("ann", "short"),
            ("ann", ""),
        )
    ]
    assert len(passwords.hashed) == len(responses)
    distinct = set()
    for response in responses:
        assert error_of(response) == (401, "INVALID_CREDENTIALS")
        text = response.text
        for name in ("instance", "request_id", "timestamp"):
            text = text.replace(response.json()[name], name)
        varying = ("x-request-id", "content-length")
        distinct.add((text, str([(k, v) for k, v in response.headers.items() if k not in varying])))
        assert response.headers["www-authenticate"] == "Bearer"
    assert len(distinct) == 1
    assert snapshot(store) == before


@pytest.mark.parametrize(
    "body",
    [
        {**LOGIN, "rememberMe": False},
        {**LOGIN, "password": None},
        {**LOGIN, "password": "x" * 129},
        {**LOGIN, "email": "ann"},
        {"email": "ann@example.com"},
    ],
)
async def test_log_in_rejects_invalid_bodies(
    anonymous: httpx.AsyncClient, session: Session, body: dict[str, Any]
) -> None:
    response = await anonymous.post(LOG_IN, json=body)
    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert PASSWORD not in response.text


async def test_session_records_the_client(anonymous: httpx.AsyncClient, store: MemoryStore) -> None:
    add_user(store)
    headers = {"User-Agent": "x" * 2_000}
    stored = (await anonymous.post(LOG_IN, json=LOGIN, headers=headers)).json()["session"]
    assert (stored["ip_address"], stored["user_agent"]) == ("127.0.0.1", "x" * 512)
    del anonymous.headers["User-Agent"]
    stored = (await anonymous.post(LOG_IN, json=LOGIN)).json()["session"]
    assert stored["user_agent"] is None


async def test_log_in_expires_the_dont_remember_cookie(anonymous: httpx.AsyncClient) -> None:
    """Only if the request has that cookie."""
    await anonymous.post(SIGN_UP, json=LOGIN)
    dont_remember = {"Cookie": f"better-auth.dont_remember={signed('true')}", "Origin": ORIGIN}
    for headers, count in ((dont_remember, 2), ({}, 1)):
        response = await anonymous.post(LOG_IN, json=LOGIN, headers=headers)
        assert len(set_cookies_of(response)) == count
    again = await anonymous.post(LOG_IN, json=LOGIN, headers=dont_remember)
    assert set_cookies_of(again)[0] == (
        "better-auth.dont_remember=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    )
