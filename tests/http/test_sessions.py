"""Sessions over HTTP: validate, prolong, list and end them."""

from typing import Any

import httpx
import pytest

from adapters.memory.store import MemoryStore
from application.ports.credentials import CredentialKind
from domain.sessions import Session
from tests.http.api import (
    LOG_IN,
    LOG_OUT,
    LOGIN,
    ME,
    REFRESH,
    SESSION_FIELDS,
    SESSIONS,
    SIGN_UP,
    USER,
    USER_FIELDS,
    VALIDATE,
    WRONG_LOGIN,
)
from tests.http.client import error_of, shared_secret_token
from tests.http.credentials import (
    CREDENTIALS,
    EXPIRED_COOKIES,
    HEADERS_OF,
    WITH_SESSION,
    Headers,
    access_token,
    bearer,
    cookie_of,
    plugin_token,
    set_cookies_of,
)
from tests.http.rows import DAY, add_session, add_user, snapshot
from tests.http.test_log_out import assert_ended

# Validate


@pytest.mark.parametrize(("kind", "headers_of"), CREDENTIALS.values(), ids=CREDENTIALS.keys())
async def test_validate_names_the_credential(
    anonymous: httpx.AsyncClient,
    session: Session,
    kind: CredentialKind,
    headers_of: Any,
) -> None:
    """All credentials yield the same user, and the session if they belong to one."""
    response = await anonymous.get(VALIDATE, headers=headers_of(session))
    body = response.json()
    assert (response.status_code, list(body)) == (200, ["user", "session", "credential"])
    assert body["credential"] == kind.value
    if kind in (CredentialKind.JWT, CredentialKind.SHARED_SECRET):
        assert body["session"] is None
    else:
        assert list(body["session"]) == SESSION_FIELDS
        assert (body["session"]["id"], body["session"]["current"]) == (session.id, True)
    for path in (ME, USER):
        account = await anonymous.get(path, headers=headers_of(session))
        assert account.json() == body["user"]
    assert list(body["user"]) == USER_FIELDS
    assert body["user"]["id"] == "ann"


async def test_head_has_the_headers_of_get(anonymous: httpx.AsyncClient, session: Session) -> None:
    for path in (ME, VALIDATE, USER, SESSIONS):
        for headers in (cookie_of(session), []):
            got, head = [await anonymous.request(m, path, headers=headers) for m in ("GET", "HEAD")]
            assert (head.status_code, head.content) == (got.status_code, b"")
            assert head.headers["cache-control"] == "no-store"
            assert head.headers["content-type"] == got.headers["content-type"]


# List and end


async def test_list_sessions(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """Live sessions, the newest first, without their tokens."""
    add_session(store, add_user(store, "bob").id)
    now = session.created_at
    older = add_session(store, name="Older", created_at=now - DAY, user_agent="Lynx")
    add_session(store, name="Expired", created_at=now - 8 * DAY, expires_at=now - DAY)
    for headers in (cookie_of(session), bearer(access_token(session))):
        response = await anonymous.get(SESSIONS, headers=headers)
        body = response.json()
        assert (response.status_code, list(body), body["count"]) == (200, ["data", "count"], 2)
        assert [list(entry) for entry in body["data"]] == [SESSION_FIELDS] * 2
        assert [(e["id"], e["current"]) for e in body["data"]] == [
            (session.id, True),
            (older.id, False),
        ]
        assert body["data"][1]["user_agent"] == "Lynx"
        assert body["data"][0]["expires_at"].endswith("Z")
        assert "Token" not in response.text
    body = (await anonymous.get(SESSIONS, headers=bearer(plugin_token()))).json()
    assert [entry["current"] for entry in body["data"]] == [False, False]
    both = bearer(access_token(session)) + cookie_of(older)
    body = (await anonymous.get(SESSIONS, headers=both)).json()
    assert [entry["current"] for entry in body["data"]] == [True, True]


async def test_end_another_own_session(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    other = add_session(store, name="Other")
    response = await anonymous.delete(f"{SESSIONS}/{other.id}", headers=cookie_of(session))
    assert (response.status_code, response.content, set_cookies_of(response)) == (204, b"", [])
    await assert_ended(anonymous, other)
    assert set(store.sessions) == {session.id}
    again = await anonymous.delete(f"{SESSIONS}/{other.id}", headers=cookie_of(session))
    assert error_of(again) == (404, "SESSION_NOT_FOUND")


@pytest.mark.parametrize(("kind", "headers_of"), WITH_SESSION.values(), ids=WITH_SESSION.keys())
async def test_end_the_current_session(
    anonymous: httpx.AsyncClient, session: Session, kind: CredentialKind, headers_of: Any
) -> None:
    """Like a log-out, it also expires the cookies."""
    response = await anonymous.delete(f"{SESSIONS}/{session.id}", headers=headers_of(session))
    assert (response.status_code, set_cookies_of(response)) == (204, EXPIRED_COOKIES)
    await assert_ended(anonymous, session)


async def test_ending_a_session_of_another_user_is_not_found(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """The response is that for an unknown id, and no session ends."""
    bobs = add_session(store, add_user(store, "bob").id)
    before = snapshot(store)
    for headers_of in HEADERS_OF.values():
        responses = [
            await anonymous.delete(f"{SESSIONS}/{id}", headers=headers_of(session))
            for id in (bobs.id, "nothing", "x" * 64)
        ]
        for response in responses:
            assert error_of(response) == (404, "SESSION_NOT_FOUND")
            assert (response.json()["message"], set_cookies_of(response)) == (
                responses[0].json()["message"],
                [],
            )
    # A session token is not a session id.
    response = await anonymous.delete(f"{SESSIONS}/{session.token}", headers=cookie_of(session))
    assert error_of(response) == (404, "SESSION_NOT_FOUND")
    assert snapshot(store) == before


@pytest.mark.parametrize("id", ["x" * 65, "a%0A", "a.b", "%00", "ä"])
async def test_invalid_session_ids_are_rejected(
    anonymous: httpx.AsyncClient, session: Session, id: str
) -> None:
    response = await anonymous.delete(f"{SESSIONS}/{id}", headers=cookie_of(session))
    assert error_of(response) in ((422, "VALIDATION_ERROR"), (404, "NOT_FOUND"))


# Caching


async def test_responses_are_never_cached(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """`no-store`, with every status."""
    ann, bob = cookie_of(session), bearer(shared_secret_token("bob"))
    cross_site = [*ann, ("Origin", "http://evil.example")]
    requests: list[tuple[int, str, str, Headers, Any]] = [
        (201, "POST", SIGN_UP, [], {**LOGIN, "email": "new@example.com"}),
        (409, "POST", SIGN_UP, [], LOGIN),
        (422, "POST", SIGN_UP, [], {}),
        (403, "POST", SIGN_UP, cross_site, LOGIN),
        (200, "POST", LOG_IN, [], LOGIN),
        (401, "POST", LOG_IN, [], WRONG_LOGIN),
        (422, "POST", LOG_IN, [], {}),
        (405, "GET", LOG_IN, [], None),
        (404, "POST", "/api/auth/nowhere", ann, None),
        *[
            (200 if headers else 401, method, path, headers, None)
            for method in ("GET", "HEAD")
            for path in (ME, VALIDATE, USER, SESSIONS)
            for headers in (ann, [])
        ],
        (422, "GET", f"{ME}?token=x", ann, None),
        (200, "POST", REFRESH, ann, None),
        (403, "POST", REFRESH, cross_site, None),
        (403, "POST", REFRESH, bob, None),
        (200, "PATCH", USER, ann, {"name": "x"}),
        (422, "PATCH", USER, ann, {}),
        (404, "DELETE", f"{SESSIONS}/nothing", ann, None),
        (204, "DELETE", USER, bob, None),
        (204, "POST", LOG_OUT, ann, None),
        (204, "POST", LOG_OUT, ann, None),
    ]
    for status, method, path, headers, body in requests:
        kwargs = {} if body is None else {"json": body}
        response = await anonymous.request(method, path, headers=headers, **kwargs)
        assert (response.status_code, method, path) == (status, method, path)
        assert response.headers["cache-control"] == "no-store"
