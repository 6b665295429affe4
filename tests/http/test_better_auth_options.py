"""Settings that repeat an option of Better Auth, over HTTP."""

from datetime import timedelta

import httpx
import pytest

from application.ports.clock import Clock
from domain.sessions import SESSION_LIFETIME, Session
from tests.conftest import FixedClock
from tests.http.api import LOG_IN, LOGIN, ME, REFRESH, SIGN_UP, TASKS, USER, VALIDATE
from tests.http.backend import Backend, build_backend
from tests.http.client import client_of, error_of
from tests.http.credentials import HEADERS_OF, WITH_SESSION, set_cookies_of
from tests.http.rows import add_key, add_session, add_task, add_user, snapshot


@pytest.mark.parametrize("credential", WITH_SESSION)
async def test_sessions_with_a_fixed_end(frozen_clock: FixedClock, credential: str) -> None:
    """`DISABLE_SESSION_REFRESH`: no request moves the end of a session or of its cookie."""
    backend = build_backend({Clock: frozen_clock}, disable_session_refresh=True)
    session = add_session(backend.store, add_user(backend.store).id)
    end = session.expires_at
    frozen_clock.advance((SESSION_LIFETIME - timedelta(days=1)).total_seconds())
    before = snapshot(backend.store)
    headers = HEADERS_OF[credential](session)
    left = round((end - frozen_clock.now()).total_seconds())
    async with client_of(backend.app) as client:
        for path in (ME, VALIDATE):
            response = await client.get(path, headers=headers)
            assert (response.status_code, set_cookies_of(response)) == (200, [])
        response = await client.post(REFRESH, headers=headers)
        assert response.status_code == 200
        for cookie in set_cookies_of(response):
            assert f"Max-Age={left};" in cookie
        assert snapshot(backend.store) == before
        frozen_clock.advance(left + 1)
        assert (await client.get(ME, headers=headers)).status_code == 401


@pytest.mark.parametrize("is_disabled", [True, False])
async def test_addresses_of_sessions(is_disabled: bool) -> None:
    """`DISABLE_IP_TRACKING`: failed log-ins are counted by address all the same."""
    backend = build_backend(
        disable_ip_tracking=is_disabled, trusted_proxies=1, auth_rate_limit="2/hour"
    )
    headers = {"X-Forwarded-For": "203.0.113.7"}
    async with client_of(backend.app) as client:
        for path in (SIGN_UP, LOG_IN):
            body = (await client.post(path, json=LOGIN, headers=headers)).json()
            assert body["session"]["ip_address"] == (None if is_disabled else "203.0.113.7")
        stored = {session.ip_address for session in backend.store.sessions.values()}
        assert stored == {body["session"]["ip_address"]}
        wrong = [
            await client.post(
                LOG_IN, json={"email": f"{n}@x.com", "password": "wrong"}, headers=headers
            )
            for n in range(3)
        ]
        assert [response.status_code for response in wrong] == [401, 401, 429]


async def test_passwords_can_be_turned_off() -> None:
    """`EMAIL_AND_PASSWORD`: sessions of the front end stay valid."""
    backend = build_backend(email_and_password=False)
    session = add_session(backend.store, add_user(backend.store).id)
    before = snapshot(backend.store)
    async with client_of(backend.app) as client:
        for email in (LOGIN["email"], "new@example.com"):
            body = {**LOGIN, "email": email}
            assert error_of(await client.post(SIGN_UP, json=body)) == (403, "SIGN_UP_CLOSED")
            assert error_of(await client.post(LOG_IN, json=body)) == (403, "SIGN_IN_ELSEWHERE")
        assert snapshot(backend.store) == before
        for name in WITH_SESSION:
            assert (await client.get(ME, headers=HEADERS_OF[name](session))).status_code == 200


async def test_lengths_of_passwords() -> None:
    """`MIN_PASSWORD_LENGTH` and `MAX_PASSWORD_LENGTH`: also in the OpenAPI document."""
    backend = build_backend(min_password_length=3, max_password_length=200)
    schemas = backend.app.openapi()["components"]["schemas"]
    assert schemas["NewUser"]["properties"]["password"]["minLength"] == 3
    for name in ("NewUser", "EmailAndPassword"):
        assert schemas[name]["properties"]["password"]["maxLength"] == 200
    async with client_of(backend.app) as client:
        for number, (password, status) in enumerate(
            (("xx", 422), ("xxx", 201), ("x" * 200, 201), ("x" * 201, 422))
        ):
            body = {"email": f"{number}@example.com", "password": password}
            assert (await client.post(SIGN_UP, json=body)).status_code == status
            logged_in = await client.post(LOG_IN, json=body)
            assert logged_in.status_code == {201: 200, 422: 422 if number else 401}[status]


async def test_sign_up_without_a_session() -> None:
    """`AUTO_SIGN_IN=false`: the user logs in afterwards."""
    backend = build_backend(auto_sign_in=False)
    async with client_of(backend.app) as client:
        response = await client.post(SIGN_UP, json=LOGIN)
        assert (response.status_code, set_cookies_of(response)) == (201, [])
        body = response.json()
        assert body["user"]["email"] == LOGIN["email"]
        for name in ("session", "session_token", "access_token", "expires_in"):
            assert body[name] is None
        assert not backend.store.sessions
        assert (await client.post(LOG_IN, json=LOGIN)).status_code == 200


@pytest.mark.parametrize("credential", HEADERS_OF)
async def test_deletion_of_accounts_can_be_turned_off(credential: str) -> None:
    """`DELETE_USER=false`: nothing is deleted, whatever the credential."""
    backend = build_backend(delete_user=False)
    session = prepared(backend)
    before = snapshot(backend.store)
    async with client_of(backend.app) as client:
        response = await client.delete(USER, headers=HEADERS_OF[credential](session))
        assert error_of(response) == (403, "FORBIDDEN")
        assert set_cookies_of(response) == []
        assert error_of(await client.delete(USER)) == (401, "UNAUTHENTICATED")
    assert snapshot(backend.store) == before


@pytest.mark.parametrize("credential", HEADERS_OF)
async def test_raw_session_tokens_can_be_turned_off(credential: str) -> None:
    """`BEARER_REQUIRE_SIGNATURE`: who reads the table of sessions, cannot use its tokens."""
    backend = build_backend(bearer_require_signature=True)
    session = prepared(backend)
    expected = 401 if credential == "raw session token" else 200
    async with client_of(backend.app) as client:
        for path in (ME, TASKS):
            response = await client.get(path, headers=HEADERS_OF[credential](session))
            assert response.status_code == expected


async def test_raw_session_token_beside_a_cookie_is_rejected() -> None:
    """As every invalid bearer."""
    backend = build_backend(bearer_require_signature=True)
    session = prepared(backend)
    headers = [*HEADERS_OF["raw session token"](session), *HEADERS_OF["cookie"](session)]
    async with client_of(backend.app) as client:
        assert (await client.get(ME, headers=httpx.Headers(headers))).status_code == 401


def prepared(backend: Backend) -> Session:
    """The session of a user with a task."""
    add_key(backend.store)
    session = add_session(backend.store, add_user(backend.store).id)
    add_task(backend.store)
    return session
