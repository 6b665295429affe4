"""Log out: end the session and expire its cookies."""

from typing import Any, Final

import httpx
import pytest

from adapters.memory.store import MemoryStore
from application.ports.clock import Clock
from application.ports.credentials import CredentialKind
from domain.sessions import Session
from tests.conftest import FixedClock
from tests.http.api import LOG_OUT, LOGIN, ME, REFRESH, SIGN_UP
from tests.http.backend import build_backend
from tests.http.client import client_of, error_of, shared_secret_token
from tests.http.credentials import (
    BEARERS,
    COOKIE,
    EXPIRED_COOKIES,
    HEADERS_OF,
    SESSIONLESS,
    WEEK,
    WITH_SESSION,
    Headers,
    bearer,
    cookie,
    cookie_of,
    set_cookies_of,
    signed,
)
from tests.http.rows import add_session, add_user, snapshot


async def assert_ended(client: httpx.AsyncClient, session: Session) -> None:
    """Every credential of the session is rejected."""
    for _, headers_of in WITH_SESSION.values():
        assert error_of(await client.get(ME, headers=headers_of(session))) == (
            401,
            "UNAUTHENTICATED",
        )


@pytest.mark.parametrize(("kind", "headers_of"), WITH_SESSION.values(), ids=WITH_SESSION.keys())
async def test_log_out(
    anonymous: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    kind: CredentialKind,
    headers_of: Any,
) -> None:
    """Ends the session and every credential of it; other sessions stay alive."""
    other, bobs = add_session(store, name="Other"), add_session(store, add_user(store, "bob").id)
    for _, every_headers_of in WITH_SESSION.values():
        assert (await anonymous.get(ME, headers=every_headers_of(session))).status_code == 200
    response = await anonymous.post(LOG_OUT, headers=headers_of(session))
    assert (response.status_code, response.content) == (204, b"")
    assert set_cookies_of(response) == EXPIRED_COOKIES
    assert set(store.sessions) == {other.id, bobs.id}
    await assert_ended(anonymous, session)
    assert (await anonymous.get(ME, headers=cookie_of(other))).status_code == 200


UNAUTHENTICATED: Final[dict[str, Headers]] = {
    "nothing": [],
    "a cookie of an unknown session": cookie(signed("D" * 32)),
    "an unsigned cookie": cookie("TokenOfAnn".ljust(32, "0")),
    "a cookie signed with another secret": cookie(signed("TokenOfAnn".ljust(32, "0"), "x" * 40)),
    "an invalid bearer": bearer("B" * 32),
    "another scheme": [("Authorization", "Basic YTpi")],
    "an unknown user": bearer(shared_secret_token("stranger", email=None)),
    "a user with a taken email": bearer(shared_secret_token("stranger", email="ann@example.com")),
}


@pytest.mark.parametrize("headers", UNAUTHENTICATED.values(), ids=UNAUTHENTICATED.keys())
async def test_log_out_without_a_valid_credential_expires_the_cookies(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session, headers: Headers
) -> None:
    """The cookies of the browser are useless."""
    before = snapshot(store)
    response = await anonymous.post(LOG_OUT, headers=headers)
    assert (response.status_code, set_cookies_of(response)) == (204, EXPIRED_COOKIES)
    assert snapshot(store) == before


async def test_log_out_with_a_bearer_and_a_cookie_ends_both_sessions(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    for name, headers_of in BEARERS.items():
        session = add_session(store)
        other = add_session(store, name="Other")
        headers = headers_of(session) + cookie_of(other)
        assert (await anonymous.post(LOG_OUT, headers=headers)).status_code == 204
        assert set(store.sessions) == ({session.id} if name in SESSIONLESS else set())


async def test_log_out_with_a_token_without_a_session_ends_none(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    for name in SESSIONLESS:
        response = await anonymous.post(LOG_OUT, headers=HEADERS_OF[name](session))
        assert (response.status_code, set_cookies_of(response)) == (204, EXPIRED_COOKIES)
    assert set(store.sessions) == {session.id}


@pytest.mark.parametrize(
    ("settings", "prefix", "domain", "secure"),
    [
        ({"cookie_domain": "example.com"}, "better-auth", "; Domain=example.com", ""),
        ({"better_auth_url": "https://app.example.com"}, "__Secure-better-auth", "", "; Secure"),
        (
            {
                "better_auth_url": "https://app.example.com",
                "cookie_domain": ".Example.com",
                "better_auth_cookie_prefix": "my-app",
            },
            "__Secure-my-app",
            "; Domain=example.com",
            "; Secure",
        ),
    ],
    ids=["a domain", "https", "all at once"],
)
async def test_cookie_attributes_follow_the_settings(
    frozen_clock: FixedClock, settings: dict[str, Any], prefix: str, domain: str, secure: str
) -> None:
    """They are the same when a cookie is set and when it expires, or browsers would keep it."""
    backend = build_backend({Clock: frozen_clock}, **settings)
    rest = f"{domain}; Path=/; HttpOnly{secure}; SameSite=Lax"
    names = [f"{prefix}.{name}" for name in ("session_token", "session_data", "dont_remember")]
    async with client_of(backend.app) as anonymous:
        response = await anonymous.post(SIGN_UP, json=LOGIN)
        token = response.json()["session_token"]
        assert set_cookies_of(response) == [f"{names[0]}={signed(token)}; Max-Age={WEEK}{rest}"]
        headers = cookie(signed(token), names[0])
        refreshed = await anonymous.post(REFRESH, headers=headers)
        assert set_cookies_of(refreshed) == set_cookies_of(response)
        logged_out = await anonymous.post(LOG_OUT, headers=headers)
        expired = [f"{name}=; Max-Age=0{rest}" for name in names]
        assert set_cookies_of(logged_out)[:3] == expired
        assert not backend.store.sessions


async def test_log_out_without_an_origin_expires_the_cookies(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """Only browsers send an `Origin`. A page of another origin cannot expire the cookies."""
    store.sessions.clear()
    old_cookie = ("Cookie", f"{COOKIE}={signed(session.token)}")
    assert set_cookies_of(await anonymous.post(LOG_OUT, headers=[old_cookie])) == EXPIRED_COOKIES
    cross_site = [old_cookie, ("Origin", "https://evil.example.com")]
    response = await anonymous.post(LOG_OUT, headers=cross_site)
    assert (response.status_code, set_cookies_of(response)) == (204, [])
