"""Cookies from before a changed setting: nobody is stranded, no session outlives its log-out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest

from adapters.memory.store import MemoryStore
from domain.sessions import Session
from tests.cookie_jar import CookieJar
from tests.http.api import (
    LOG_IN,
    LOG_OUT,
    LOGIN,
    ME,
    REFRESH,
    SESSIONS,
    SIGN_UP,
    TASKS,
    USER,
    WRONG_LOGIN,
)
from tests.http.backend import Backend, build_backend
from tests.http.client import client_of, error_of
from tests.http.credentials import COOKIE, Headers, access_token, bearer, set_cookies_of, signed
from tests.http.rows import add_session, add_user

HOST: Final = "api.example.com"
ORIGIN: Final = "https://app.example.com"
NAME: Final = f"__Secure-{COOKIE}"
CACHE: Final = "__Secure-better-auth.session_data"
NEW_USER: Final = {**LOGIN, "email": "carol@example.com"}
#: The sign-ins, and the users that they are for.
SIGN_INS: Final = {LOG_IN: LOGIN, SIGN_UP: NEW_USER}


@dataclass
class Browser:
    """A browser with sessions of two users, on a page of the front end."""

    http: httpx.AsyncClient
    store: MemoryStore
    jar: CookieJar = field(default_factory=CookieJar)

    def __post_init__(self) -> None:
        for user_id in ("ann", "bob"):
            add_user(self.store, user_id)
        self.ann, self.bob = add_session(self.store), add_session(self.store, "bob")

    def has(self, session: Session, *, name: str = NAME, domain: str = "") -> None:
        """Store a session cookie and a cache beside it."""
        rest = f"{domain and f'; Domain={domain}'}; Path=/; Secure"
        cache = name.replace("session_token", "session_data")
        self.jar.receive([f"{name}={signed(session.token)}{rest}", f"{cache}=x{rest}"], HOST)

    async def send(
        self, method: str, path: str, headers: Headers | None = None, **content: Any
    ) -> httpx.Response:
        more = [("Origin", ORIGIN)] if headers is None else headers
        sent = [("Host", HOST), ("Cookie", self.jar.header(HOST, path)), *more]
        response = await self.http.request(method, path, headers=sent, **content)
        self.jar.receive(set_cookies_of(response), HOST, path=path)
        return response


@pytest.fixture(scope="module")
def https_backend() -> Backend:
    return build_backend(better_auth_url=ORIGIN, cors_origins=ORIGIN)


@pytest.fixture
async def browser(https_backend: Backend) -> AsyncIterator[Browser]:
    https_backend.store.clear()
    async with client_of(https_backend.app) as http:
        yield Browser(http, https_backend.store)


async def assert_is_401(browser: Browser) -> None:
    for method, path in (("GET", ME), ("POST", REFRESH), ("GET", TASKS)):
        before = browser.jar.names()
        response = await browser.send(method, path)
        assert error_of(response) == (401, "UNAUTHENTICATED")
        assert set_cookies_of(response) == []
        assert browser.jar.names() == before


@pytest.mark.parametrize("path", SIGN_INS)
async def test_sign_in_with_two_cookies_ends_both_sessions_and_leaves_one(
    browser: Browser, path: str
) -> None:
    browser.has(browser.ann)
    browser.has(browser.bob, domain="example.com")
    await assert_is_401(browser)
    response = await browser.send("POST", path, json=SIGN_INS[path])
    assert response.is_success
    assert browser.jar.names() == [NAME]
    assert set(browser.store.sessions) == {response.json()["session"]["id"]}
    assert (await browser.send("GET", ME)).json()["email"] == SIGN_INS[path]["email"]


async def test_log_out_with_two_cookies_ends_both_sessions(browser: Browser) -> None:
    browser.has(browser.ann)
    browser.has(browser.bob, domain="example.com")
    response = await browser.send("POST", LOG_OUT)
    assert response.status_code == 204
    assert browser.jar.names() == []
    assert browser.store.sessions == {}


async def test_page_of_another_site_ends_no_session(browser: Browser) -> None:
    """The cookies prove the change, as with one valid cookie."""
    browser.has(browser.ann)
    browser.has(browser.bob, domain="example.com")
    before = browser.jar.names()
    for headers in ([], bearer("B" * 32)):
        response = await browser.send("POST", LOG_OUT, headers)
        assert error_of(response) == (403, "CROSS_SITE_REQUEST")
        evil = [*headers, ("Origin", "https://evil.example.com")]
        assert (await browser.send("POST", LOG_OUT, evil)).status_code == 204
        assert browser.jar.names() == before
        assert len(browser.store.sessions) == 2


async def test_log_out_beside_an_invalid_bearer_ends_the_session_of_the_cookie(
    browser: Browser,
) -> None:
    """The browser is about to drop the cookie, and nobody could end the session then."""
    for headers in (bearer("B" * 32), bearer(access_token(browser.bob))):
        ann = add_session(browser.store, name="Again")
        browser.has(ann)
        response = await browser.send("POST", LOG_OUT, [("Origin", ORIGIN), *headers])
        assert response.status_code == 204
        assert browser.jar.names() == []
        assert set(browser.store.sessions) == {browser.ann.id, browser.bob.id}


@pytest.mark.parametrize(
    "name", [COOKIE, "shop.session_token", "__Secure-shop.session_token"], ids=["http", *"ps"]
)
async def test_log_out_ends_the_session_of_a_former_name(browser: Browser, name: str) -> None:
    """It authenticates nobody, because a page on plain http could have set it."""
    browser.has(browser.bob, name=name, domain="example.com")
    await assert_is_401(browser)
    browser.has(browser.ann)
    assert (await browser.send("GET", ME)).json()["id"] == "ann"
    assert (await browser.send("POST", LOG_OUT)).status_code == 204
    assert browser.jar.names() == []
    assert browser.store.sessions == {}


@pytest.mark.parametrize("name", [NAME, COOKIE, "shop.session_token"])
async def test_log_in_with_one_cookie_leaves_its_session(browser: Browser, name: str) -> None:
    """As at Better Auth: other devices and tabs are not asked."""
    browser.has(browser.bob, name=name)
    assert (await browser.send("POST", LOG_IN, json=LOGIN)).is_success
    assert browser.jar.names() == [NAME]
    assert browser.bob.id in browser.store.sessions


async def test_log_in_that_fails_changes_nothing(browser: Browser) -> None:
    browser.has(browser.ann)
    browser.has(browser.bob, domain="example.com")
    before = browser.jar.names()
    for path, body in ((LOG_IN, WRONG_LOGIN), (SIGN_UP, LOGIN)):
        response = await browser.send("POST", path, json=body)
        assert response.is_client_error
        assert set_cookies_of(response) == []
    assert browser.jar.names() == before
    assert len(browser.store.sessions) == 2


async def test_twin_with_another_signature_is_no_dead_end(browser: Browser) -> None:
    browser.has(browser.ann)
    browser.jar.toss(NAME, signed(browser.bob.token, "x" * 40), "example.com")
    await assert_is_401(browser)
    assert (await browser.send("POST", LOG_OUT)).status_code == 204
    assert browser.jar.names() == []
    # The session of the other is not ended by a token without our signature.
    assert set(browser.store.sessions) == {browser.bob.id}


async def test_cookies_in_several_headers_are_expired(browser: Browser) -> None:
    """HTTP/2 splits them."""
    browser.has(browser.ann)
    browser.has(browser.bob, domain="example.com")
    cookies = [("Cookie", pair) for pair in browser.jar.header(HOST).split("; ")]
    headers = [("Host", HOST), ("Origin", ORIGIN), *cookies]
    response = await browser.http.post(LOG_OUT, headers=headers)
    browser.jar.receive(set_cookies_of(response), HOST)
    assert browser.jar.names() == []
    assert browser.store.sessions == {}


@pytest.mark.parametrize("path", [USER, f"{SESSIONS}/{{id}}"])
async def test_deletion_expires_every_cookie(browser: Browser, path: str) -> None:
    """Of the account, and of the current session."""
    browser.has(browser.ann)
    browser.has(browser.ann, domain="example.com")
    response = await browser.send("DELETE", path.format(id=browser.ann.id))
    assert response.status_code == 204
    assert browser.jar.names() == []


async def test_refresh_with_a_bearer_leaves_no_cache_of_another_user(browser: Browser) -> None:
    """The cookie that it sets is a new one for this browser; Better Auth 1.6 would name Bob."""
    browser.has(browser.bob, domain="example.com")
    del browser.store.sessions[browser.bob.id]
    response = await browser.send("POST", REFRESH, bearer(browser.ann.token))
    assert response.is_success
    assert browser.jar.names() == [NAME]
    assert (await browser.send("GET", ME)).json()["id"] == "ann"


async def test_refresh_with_the_cookie_keeps_its_cache(browser: Browser) -> None:
    browser.has(browser.ann)
    for headers in ([("Origin", ORIGIN)], bearer(browser.ann.token)):
        response = await browser.send("POST", REFRESH, headers)
        assert len(set_cookies_of(response)) == 1
        assert sorted(browser.jar.names()) == [CACHE, NAME]


@pytest.mark.parametrize(("path", "body"), [*SIGN_INS.items(), (LOG_OUT, None)])
async def test_head_fits_into_the_buffer_of_a_proxy(
    browser: Browser, path: str, body: dict[str, str] | None
) -> None:
    """nginx has 4 KiB by default, and responds 502 to a head that is larger."""
    names = [f"{CACHE}.{part}" for part in range(60)]
    headers = [("Host", HOST), ("Origin", ORIGIN), ("X-Request-ID", "x" * 128)]
    cookies = ("Cookie", "; ".join(f"{name}=x" for name in names))
    response = await browser.http.post(path, headers=[*headers, cookies], json=body)
    assert response.is_success
    assert len(set_cookies_of(response)) > 15
    lines = [name + b": " + value + b"\r\n" for name, value in response.headers.raw]
    by_the_server = b"HTTP/1.1 201 Created\r\ndate: Mon, 30 Nov 2026 09:00:00 GMT\r\n\r\n"
    assert len(b"".join(lines) + by_the_server) < 4_096


async def test_forwarded_host_is_not_believed(browser: Browser) -> None:
    browser.has(browser.ann)
    headers = [("Origin", ORIGIN), ("X-Forwarded-Host", "evil.example.net")]
    headers += [("Forwarded", "host=evil.example.net")]
    response = await browser.send("POST", LOG_OUT, headers)
    assert "evil" not in str(set_cookies_of(response))


EMBEDDED: Final = '{"sameSite": "none", "secure": true, "partitioned": true, "httpOnly": false}'


@pytest.mark.parametrize(
    ("settings", "name", "attributes"),
    [
        (
            {"better_auth_default_cookie_attributes": EMBEDDED},
            NAME,
            "Path=/; Secure; SameSite=None; Partitioned",
        ),
        (
            {
                "better_auth_default_cookie_attributes": '{"path": "/api", "sameSite": "Strict"}',
                "better_auth_cookies": '{"session_token": {"attributes": {"domain": ".B.c"}}}',
                "better_auth_use_secure_cookies": False,
            },
            COOKIE,
            "Domain=b.c; Path=/api; HttpOnly; SameSite=Strict",
        ),
        (
            {
                "better_auth_cookies": '{"session_token": {"name": "sid"}}',
                "better_auth_use_secure_cookies": True,
                "better_auth_cookie_prefix": "shop",
                "better_auth_url": "http://localhost:3000",
            },
            "__Secure-sid",
            "Path=/; HttpOnly; Secure; SameSite=Lax",
        ),
        (
            {
                "better_auth_cookies": '{"session_token": {"name": "__Host-sid", "attributes":'
                ' {"secure": true, "domain": ""}}}',
                "better_auth_use_secure_cookies": False,
                "cookie_domain": "example.com",
            },
            "__Host-sid",
            "Path=/; HttpOnly; Secure; SameSite=Lax",
        ),
    ],
    ids=["embedded", "attributes", "name", "host prefix"],
)
async def test_cookie_has_the_attributes_of_the_settings(
    settings: dict[str, Any], name: str, attributes: str
) -> None:
    """Also when it is sent again, and when it is expired: or the browser keeps another one."""
    all_settings = {"better_auth_url": ORIGIN, "cors_origins": ORIGIN, **settings}
    backend = build_backend(**all_settings)
    async with client_of(backend.app) as http:
        signed_up = await http.post(SIGN_UP, json=LOGIN)
        value = signed(signed_up.json()["session_token"])
        headers = {"Cookie": f"{name}={value}", "Origin": ORIGIN}
        refreshed = await http.post(REFRESH, headers=headers)
        for response in (signed_up, refreshed):
            line = set_cookies_of(response)[-1]
            assert line.startswith(f"{name}={value}; Max-Age=6")
            assert line.partition("; ")[2].partition("; ")[2] == attributes
        document = (await http.get("/openapi.json")).json()
        assert document["components"]["securitySchemes"]["cookie"]["name"] == name
        logged_out = await http.post(LOG_OUT, headers=headers)
        assert set_cookies_of(logged_out)[0] == f"{name}=; Max-Age=0; {attributes}"
        assert backend.store.sessions == {}
