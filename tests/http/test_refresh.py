"""Refresh and prolong sessions."""

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from adapters.memory.store import MemoryStore
from application.ports.clock import Clock
from application.ports.credentials import CredentialKind
from domain.sessions import Session
from tests.conftest import FixedClock
from tests.http.api import LOGIN, ME, REFRESH, SIGN_IN_FIELDS, SIGN_UP, USER, VALIDATE
from tests.http.backend import build_backend
from tests.http.client import ORIGIN, client_of, error_of
from tests.http.credentials import (
    BEARERS,
    COOKIE,
    HEADERS_OF,
    SESSIONLESS,
    WEEK,
    WITH_SESSION,
    access_token,
    bearer,
    cookie_of,
    set_cookie,
    set_cookies_of,
    signed,
)
from tests.http.rows import DAY, add_session, add_task, snapshot
from tests.http.test_matrix import PROTECTED


def aged(session: Session) -> Session:
    """The session as it is a day and a half after its creation."""
    return replace(
        session,
        created_at=session.created_at - 1.5 * DAY,
        updated_at=session.updated_at - 1.5 * DAY,
        expires_at=session.expires_at - 1.5 * DAY,
    )


def day_long(session: Session) -> Session:
    """The session as Better Auth creates it without `rememberMe`: for one day."""
    return replace(session, expires_at=session.created_at + DAY)


@pytest.mark.parametrize(("kind", "headers_of"), WITH_SESSION.values(), ids=WITH_SESSION.keys())
async def test_refresh(
    anonymous: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    frozen_clock: FixedClock,
    kind: CredentialKind,
    headers_of: Any,
) -> None:
    """Issues a second access token beside the first; a young session is not prolonged."""
    first = await anonymous.post(REFRESH, headers=headers_of(session))
    frozen_clock.advance(600)
    second = await anonymous.post(REFRESH, headers=headers_of(session))
    for response in (first, second):
        assert (response.status_code, list(response.json())) == (200, SIGN_IN_FIELDS)
        assert response.json()["session"]["id"] == session.id
        assert response.json()["expires_in"] == WEEK
    tokens = [response.json()["access_token"] for response in (first, second)]
    assert tokens[0] != tokens[1]
    for access in tokens:
        assert (await anonymous.get(ME, headers=bearer(access))).status_code == 200
    assert store.sessions[session.id] == session


async def test_session_lifetime_is_a_setting(frozen_clock: FixedClock) -> None:
    """A session of a quarter of an hour is prolonged by a quarter of an hour."""
    backend = build_backend({Clock: frozen_clock}, session_expires_in=900, session_update_age=300)
    async with client_of(backend.app) as anonymous:
        response = await anonymous.post(SIGN_UP, json=LOGIN)
        body = response.json()
        headers, session_id = bearer(body["session_token"]), body["session"]["id"]
        assert "; Max-Age=900;" in set_cookies_of(response)[0]
        for seconds, lifetime in ((299, 900), (1, 1200), (301, 1501)):
            frozen_clock.advance(seconds)
            await anonymous.get(ME, headers=headers)
            stored = backend.store.sessions[session_id]
            assert (stored.expires_at - stored.created_at).total_seconds() == lifetime
        frozen_clock.advance(901)
        assert error_of(await anonymous.get(ME, headers=headers)) == (401, "UNAUTHENTICATED")


async def test_refresh_sets_the_cookie(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session, frozen_clock: FixedClock
) -> None:
    """For the rest of the session's lifetime; after it was prolonged, for the whole lifetime."""
    frozen_clock.time = session.created_at
    frozen_clock.advance(3_600)
    response = await anonymous.post(REFRESH, headers=cookie_of(session))
    assert set_cookies_of(response) == [set_cookie(session.token, WEEK - 3_600)]
    frozen_clock.advance(86_400 - 3_600)
    response = await anonymous.post(REFRESH, headers=cookie_of(session))
    assert set_cookies_of(response) == [set_cookie(session.token)]
    assert store.sessions[session.id].expires_at == frozen_clock.time + 7 * DAY
    assert response.json()["session"]["expires_at"][:19] == f"{frozen_clock.time + 7 * DAY:%FT%T}"


async def test_refresh_with_an_access_token_sets_no_cookie(
    anonymous: httpx.AsyncClient, session: Session, frozen_clock: FixedClock
) -> None:
    """Better Auth's own server accepts the cookie, but no access token. A caller that sends the
    session token already has the value of the cookie."""
    frozen_clock.time = session.created_at
    headers = bearer(access_token(session))
    response = await anonymous.post(REFRESH, headers=headers)
    assert (response.status_code, set_cookies_of(response)) == (200, [])
    assert session.token not in response.text
    for name in ("raw session token", "signed session token"):
        response = await anonymous.post(REFRESH, headers=HEADERS_OF[name](session))
        assert set_cookies_of(response) == [set_cookie(session.token)]
    response = await anonymous.post(REFRESH, headers=headers + cookie_of(session))
    assert set_cookies_of(response) == [set_cookie(session.token)]


async def test_refresh_with_an_access_token_sets_no_cookie_of_another_session(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    other = cookie_of(add_session(store, name="Other"))
    response = await anonymous.post(REFRESH, headers=bearer(access_token(session)) + other)
    assert (response.status_code, set_cookies_of(response)) == (200, [])


async def test_temporary_session_stays_temporary(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """With the dont_remember cookie, cookies are set without `Max-Age`, and the session is not
    prolonged."""
    store.sessions[session.id] = before = aged(session)
    value = f"{COOKIE}={signed(session.token)}; better-auth.dont_remember={signed('true')}"
    headers = [("Cookie", value), ("Origin", ORIGIN)]
    response = await anonymous.post(REFRESH, headers=headers)
    dont_remember = f"better-auth.dont_remember={signed('true')}; Path=/; HttpOnly; SameSite=Lax"
    assert set_cookies_of(response) == [set_cookie(session.token, None), dont_remember]
    for path in (ME, VALIDATE):
        assert not set_cookies_of(await anonymous.get(path, headers=headers))
    assert store.sessions[session.id] == before


@pytest.mark.parametrize("name", ["raw session token", "signed session token", "access token"])
async def test_temporary_session_stays_temporary_with_a_bearer(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session, name: str
) -> None:
    """The dont_remember cookie also applies to a bearer of the same session."""
    store.sessions[session.id] = before = aged(session)
    value = f"{COOKIE}={signed(session.token)}; better-auth.dont_remember={signed('true')}"
    headers = [*HEADERS_OF[name](session), ("Cookie", value)]
    response = await anonymous.post(REFRESH, headers=headers)
    assert response.status_code == 200
    assert not any("Max-Age" in cookie for cookie in set_cookies_of(response))
    await anonymous.get(ME, headers=headers)
    assert store.sessions[session.id] == before


async def test_day_long_session_is_never_prolonged(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session, frozen_clock: FixedClock
) -> None:
    """Better Auth creates it without `rememberMe`; the dont_remember cookie may be lost."""
    frozen_clock.time = session.created_at
    store.sessions[session.id] = before = day_long(session)
    for _, headers_of in WITH_SESSION.values():
        for path in (ME, VALIDATE):
            assert not set_cookies_of(await anonymous.get(path, headers=headers_of(session)))
        assert (await anonymous.post(REFRESH, headers=headers_of(session))).status_code == 200
    response = await anonymous.post(REFRESH, headers=cookie_of(session))
    assert set_cookies_of(response) == [set_cookie(session.token, 86_400)]
    assert store.sessions[session.id] == before


@pytest.mark.parametrize("dont_remember", ["true", "true." + "A" * 43 + "=", signed("false")])
async def test_unsigned_dont_remember_cookie_is_ignored(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session, dont_remember: str
) -> None:
    store.sessions[session.id] = aged(session)
    value = f"{COOKIE}={signed(session.token)}; better-auth.dont_remember={dont_remember}"
    response = await anonymous.get(ME, headers=[("Cookie", value)])
    assert len(set_cookies_of(response)) == 1
    assert store.sessions[session.id].expires_at > session.expires_at


@pytest.mark.parametrize("name", SESSIONLESS)
async def test_refresh_needs_a_session(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session, name: str
) -> None:
    """A token without a session is rejected, even with a session cookie beside it."""
    before = snapshot(store)
    token = HEADERS_OF[name](session)
    for headers in (token, token + cookie_of(session)):
        response = await anonymous.post(REFRESH, headers=headers)
        assert error_of(response) == (403, "FORBIDDEN")
        assert not set_cookies_of(response)
    assert snapshot(store) == before


@pytest.mark.parametrize(("method", "path", "kwargs", "status"), PROTECTED)
async def test_only_three_routes_prolong_a_session(
    anonymous: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    frozen_clock: FixedClock,
    method: str,
    path: str,
    kwargs: dict[str, Any],
    status: int,
) -> None:
    """Better Auth's rule: to seven days, if it was created or last prolonged at least a day ago."""
    prolonging = path in (REFRESH, ME, VALIDATE)
    for age in (aged, lambda young: young):
        task = add_task(store)
        store.sessions[session.id] = old = age(session)
        url = path.format(task_id=task.id, session_id="other")
        response = await anonymous.request(method, url, headers=cookie_of(session), **kwargs)
        assert response.status_code == (200 if path == REFRESH else status)
        if path == USER and method == "DELETE":
            return
        stored = store.sessions[session.id]
        if not prolonging or age is not aged:
            assert stored == old
            assert bool(set_cookies_of(response)) is (path == REFRESH)
            continue
        assert stored.expires_at > session.expires_at
        assert stored.expires_at - stored.updated_at == 7 * DAY
        [new_cookie] = set_cookies_of(response)
        assert re.fullmatch(
            re.escape(set_cookie(session.token)).replace("604800", "604(800|79.)"), new_cookie
        )


async def test_bearer_prolongs_its_session_without_a_cookie(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    for name in ("raw session token", "signed session token", "access token"):
        for path in (ME, VALIDATE):
            store.sessions[session.id] = aged(session)
            response = await anonymous.get(path, headers=HEADERS_OF[name](session))
            assert not set_cookies_of(response)
            assert store.sessions[session.id].expires_at > session.expires_at


async def test_bearer_does_not_prolong_the_session_of_a_cookie(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """The bearer takes precedence, with a session of its own or without any."""
    other = aged(add_session(store, name="Other"))
    store.sessions[other.id] = other
    for name, headers_of in BEARERS.items():
        for path in (ME, VALIDATE):
            response = await anonymous.get(path, headers=headers_of(session) + cookie_of(other))
            assert (response.status_code, set_cookies_of(response)) == (200, []), name
    assert store.sessions[other.id] == other
