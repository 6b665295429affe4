"""Signing up and logging in over HTTP: who gets a session, and who does not."""

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
from tests.http.backend import build_backend
from tests.http.client import ORIGIN, SECRET, client_of, code
from tests.http.fakes import FakePasswords
from tests.http.people import (
    ANN,
    ANSWER_FIELDS,
    DAY,
    LOG_IN,
    LOG_OUT,
    ME,
    OTHERWISE,
    PASSWORD,
    REFRESH,
    SESSION_FIELDS,
    SESSIONS,
    SIGN_UP,
    USER,
    USER_FIELDS,
    VALIDATE,
    WEEK,
    add_user,
    bearer,
    contents,
    cookie_of,
    cookies_of,
    given,
    signed,
)

VECTORS: Final = json.loads(
    (Path(__file__).parents[1] / "better_auth" / "vectors_identity.json").read_text()
)


async def sign_up(client: httpx.AsyncClient, **values: Any) -> httpx.Response:
    return await client.post(SIGN_UP, json={**ANN, **values})


# Signing up


async def test_signing_up(
    nobody: httpx.AsyncClient, store: MemoryStore, moment: FixedClock
) -> None:
    """A user, a session, its token, an access token, and the cookie as Better Auth sends it."""
    answer = await nobody.post(
        SIGN_UP, json={**ANN, "name": " Ann "}, headers={"User-Agent": "A browser"}
    )
    body = answer.json()
    [user], [session] = store.users.values(), store.sessions.values()
    assert answer.status_code == 201
    assert list(body) == [*ANSWER_FIELDS, "session_token"]
    now = moment.time.isoformat().replace("+00:00", "Z")
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
        "expires_at": (moment.time + 7 * DAY).isoformat().replace("+00:00", "Z"),
        "ip_address": "127.0.0.1",
        "user_agent": "A browser",
        "current": True,
    }
    assert body["session_token"] == session.token
    assert (body["token_type"], body["expires_in"]) == ("Bearer", WEEK)
    assert cookies_of(answer) == [given(session.token)]
    for id in (user.id, session.id, session.token):
        assert re.fullmatch("[A-Za-z0-9]{32}", id)
    assert len({user.id, session.id, session.token}) == 3


async def test_an_access_token_names_the_session_and_never_its_token(
    nobody: httpx.AsyncClient, store: MemoryStore, moment: FixedClock
) -> None:
    shown = (await sign_up(nobody)).json()["access_token"]
    [session] = store.sessions.values()
    header, claims = (
        jwt.get_unverified_header(shown),
        jwt.decode(shown, SECRET, ["HS256"], audience="taskport", issuer="taskport"),
    )
    now = int(moment.time.timestamp())
    assert header == {"alg": "HS256", "typ": "at+jwt"}
    assert claims == {
        "iss": "taskport",
        "aud": "taskport",
        "sub": session.user_id,
        "sid": session.id,
        "iat": now,
        "exp": now + WEEK,
    }


async def test_who_signs_up_is_signed_in(nobody: httpx.AsyncClient) -> None:
    answer = await sign_up(nobody)
    body = answer.json()
    shown = [
        [("Cookie", cookies_of(answer)[0].partition(";")[0])],
        bearer(body["session_token"]),
        bearer(body["access_token"]),
    ]
    for headers in shown:
        assert (await nobody.get(ME, headers=headers)).json() == body["user"]


async def test_no_answer_tells_a_secret(nobody: httpx.AsyncClient, store: MemoryStore) -> None:
    """The token of a session is told once, to whoever signs in; a password or its hash, never."""
    signed_up = await sign_up(nobody)
    [session], [stored] = store.sessions.values(), store.password_hashes.values()
    assert signed_up.text.count(session.token) == 1
    assert [k for k, v in signed_up.headers.items() if session.token in v] == ["set-cookie"]
    shown = cookie_of(session)
    others = [
        await nobody.post(LOG_IN, json=ANN),
        await nobody.post(LOG_IN, json=OTHERWISE),
        await sign_up(nobody),
        await sign_up(nobody, unknown=1),
        await nobody.post(REFRESH, headers=shown),
        *[await nobody.get(path, headers=shown) for path in (ME, VALIDATE, USER, SESSIONS)],
        await nobody.patch(USER, headers=shown, json={"name": "Ann"}),
        await nobody.delete(SESSIONS + "/other", headers=shown),
        await nobody.post(LOG_OUT, headers=shown),
    ]
    for answer in (signed_up, *others):
        everything = answer.text + str(answer.headers)
        assert not any(secret in everything for secret in (PASSWORD, stored, SECRET))
    assert not any(session.token in answer.text for answer in others)


async def test_real_hashes() -> None:
    """Better Auth's scrypt over NFKC, salted with the hex text itself: any spelling will do. New
    ones have the same form."""
    backend = build_backend({Passwords: ScryptPasswords()})
    store = backend.store
    add_user(store)
    vector = VECTORS["passwords"][0]
    store.password_hashes["ann"] = vector["stored"]
    async with client_of(backend.app) as nobody:
        answer = await nobody.post(LOG_IN, json={**ANN, "password": vector["plain"]})
        assert answer.status_code == 200
        made = (await sign_up(nobody, email="new@example.com")).json()
    stored = store.password_hashes[made["user"]["id"]]
    assert re.fullmatch("[0-9a-f]{32}:[0-9a-f]{128}", stored)


async def test_the_name_may_be_left_out(nobody: httpx.AsyncClient) -> None:
    assert (await sign_up(nobody)).json()["user"]["name"] == ""


@pytest.mark.parametrize(
    "password", ["8letters", "😀" * 4, "x" * 128, "😀" * 64, "\ud800 \0 ab\nc"]
)
async def test_a_password_is_counted_in_utf_16(nobody: httpx.AsyncClient, password: str) -> None:
    """And anything may be in it, half a character included."""
    sent = json.dumps({"email": "ann@example.com", "password": password})
    for path, status in ((SIGN_UP, 201), (LOG_IN, 200)):
        answer = await nobody.post(path, content=sent, headers={"Content-Type": "application/json"})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({**ANN, "emailVerified": True}, "emailVerified"),
        ({**ANN, "id": "mine"}, "id"),
        ({**ANN, "image": "x"}, "image"),
        ({**ANN, "name": None}, "name"),
        ({**ANN, "name": "x" * 256}, "name"),
        ({**ANN, "name": "a\0b"}, "name"),
        ({**ANN, "email": "ann"}, "email"),
        ({**ANN, "email": " ann@example.com"}, "email"),
        ({**ANN, "email": "änn@example.com"}, "email"),
        ({**ANN, "email": "a" * 250 + "@example.com"}, "email"),
        ({**ANN, "email": ["ann@example.com"]}, "email"),
        ({**ANN, "password": "7 chars"}, "password"),
        ({**ANN, "password": "x" * 129}, "password"),
        ({**ANN, "password": "😀" * 65}, "password"),
        ({**ANN, "password": 12_345_678}, "password"),
        ({"email": "ann@example.com"}, "password"),
        ({"password": PASSWORD}, "email"),
    ],
)
async def test_what_nobody_can_sign_up_with(
    nobody: httpx.AsyncClient, store: MemoryStore, sent: dict[str, Any], field: str
) -> None:
    answer = await nobody.post(SIGN_UP, json=sent)
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["details"]["field"] == field
    assert PASSWORD not in answer.text
    assert not cookies_of(answer)
    assert not any(contents(store).values())


@pytest.mark.parametrize("email", ["ann@example.com", "Ann@Example.COM"])
async def test_an_address_that_is_taken(
    nobody: httpx.AsyncClient, store: MemoryStore, email: str
) -> None:
    """In whatever case: addresses are kept in lower case, as Better Auth does."""
    assert (await sign_up(nobody, email="aNN@example.com")).status_code == 201
    before = contents(store)
    answer = await sign_up(nobody, email=email, password="another password")
    assert code(answer) == (409, "EMAIL_TAKEN")
    assert not cookies_of(answer)
    assert contents(store) == before


async def test_signing_up_can_be_closed(moment: FixedClock) -> None:
    backend = build_backend({Clock: moment}, sign_up=False)
    add_user(backend.store, "bob")
    before = contents(backend.store)
    async with client_of(backend.app) as nobody:
        for email in ("ann@example.com", "bob@example.com"):
            answer = await sign_up(nobody, email=email)
            assert code(answer) == (403, "SIGN_UP_CLOSED")
            assert not cookies_of(answer)
        assert code(await sign_up(nobody, email="ann")) == (422, "VALIDATION_ERROR")
        assert contents(backend.store) == before
        answer = await nobody.post(LOG_IN, json={**ANN, "email": "bob@example.com"})
        assert answer.status_code == 200


async def test_an_address_may_have_to_be_verified_first() -> None:
    """Until then there is neither a session nor a token; only the right password is told why."""
    backend = build_backend(require_email_verification=True)
    store = backend.store
    async with client_of(backend.app) as nobody:
        answer = await sign_up(nobody)
        body = answer.json()
        assert answer.status_code == 201
        assert list(body) == [*ANSWER_FIELDS, "session_token"]
        assert list(body["user"]) == USER_FIELDS
        for name in ("session", "session_token", "access_token", "expires_in"):
            assert body[name] is None
        assert not cookies_of(answer)
        assert code(await nobody.post(LOG_IN, json=ANN)) == (403, "EMAIL_NOT_VERIFIED")
        assert code(await nobody.post(LOG_IN, json=OTHERWISE)) == (401, "INVALID_CREDENTIALS")
        assert not store.sessions
        [user] = store.users.values()
        store.users[user.id] = replace(user, email_verified=True)
        assert (await nobody.post(LOG_IN, json=ANN)).status_code == 200


# Logging in


async def test_logging_in(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session, moment: FixedClock
) -> None:
    """A session beside those that there are, and never the cookie that somebody came with."""
    answer = await nobody.post(LOG_IN, json={**ANN, "email": "Ann@Example.com"})
    body = answer.json()
    assert answer.status_code == 200
    assert list(body) == [*ANSWER_FIELDS, "session_token"]
    assert list(body["user"]) == USER_FIELDS
    assert list(body["session"]) == SESSION_FIELDS
    assert body["user"]["id"] == "ann"
    [_, new] = store.sessions.values()
    assert (body["session"]["id"], body["session_token"]) == (new.id, new.token)
    assert cookies_of(answer) == [given(new.token)]
    again = await nobody.post(LOG_IN, json=ANN, headers=cookie_of(session))
    assert again.json()["session_token"] not in (session.token, new.token)
    assert len(store.sessions) == 3


async def test_who_cannot_log_in_does_not_learn_why(
    nobody: httpx.AsyncClient, store: MemoryStore, passwords: FakePasswords
) -> None:
    """Unknown address, wrong password, no password, one in another format: the same answer, and
    the same work."""
    for user_id in ("ann", "social", "foreign"):
        add_user(store, user_id)
    del store.password_hashes["social"]
    store.password_hashes["foreign"] = "$2b$10$abcdefghijklmnopqrstuv"
    before = contents(store)
    refused = [
        await nobody.post(LOG_IN, json={"email": f"{name}@example.com", "password": password})
        for name, password in (
            ("ann", "wrong horse battery"),
            ("nobody", PASSWORD),
            ("social", PASSWORD),
            ("foreign", PASSWORD),
            ("ann", "short"),
            ("ann", ""),
        )
    ]
    assert len(passwords.hashed) == len(refused)
    seen = set()
    for answer in refused:
        assert code(answer) == (401, "INVALID_CREDENTIALS")
        text = answer.text
        for name in ("instance", "request_id", "timestamp"):
            text = text.replace(answer.json()[name], name)
        varying = ("x-request-id", "content-length")
        seen.add((text, str([(k, v) for k, v in answer.headers.items() if k not in varying])))
        assert answer.headers["www-authenticate"] == "Bearer"
    assert len(seen) == 1
    assert contents(store) == before


@pytest.mark.parametrize(
    "sent",
    [
        {**ANN, "rememberMe": False},
        {**ANN, "password": None},
        {**ANN, "password": "x" * 129},
        {**ANN, "email": "ann"},
        {"email": "ann@example.com"},
    ],
)
async def test_what_nobody_can_log_in_with(
    nobody: httpx.AsyncClient, session: Session, sent: dict[str, Any]
) -> None:
    answer = await nobody.post(LOG_IN, json=sent)
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert PASSWORD not in answer.text


async def test_where_somebody_signs_in_from(nobody: httpx.AsyncClient, store: MemoryStore) -> None:
    add_user(store)
    agent = {"User-Agent": "x" * 2_000}
    kept = (await nobody.post(LOG_IN, json=ANN, headers=agent)).json()["session"]
    assert (kept["ip_address"], kept["user_agent"]) == ("127.0.0.1", "x" * 512)
    del nobody.headers["User-Agent"]
    kept = (await nobody.post(LOG_IN, json=ANN)).json()["session"]
    assert kept["user_agent"] is None


async def test_who_signs_in_anew_is_remembered(nobody: httpx.AsyncClient) -> None:
    """What the browser was told about the session before is taken back, and only where it was."""
    await nobody.post(SIGN_UP, json=ANN)
    mark = f"better-auth.dont_remember={signed('true')}"
    shown = {"Cookie": mark, "Origin": ORIGIN}
    said = {"email": ANN["email"], "password": ANN["password"]}
    for headers, lines in ((shown, 2), ({}, 1)):
        answer = await nobody.post(LOG_IN, json=said, headers=headers)
        assert len(answer.headers.get_list("set-cookie")) == lines
    again = await nobody.post(LOG_IN, json=said, headers=shown)
    assert again.headers.get_list("set-cookie")[1] == (
        "better-auth.dont_remember=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    )
