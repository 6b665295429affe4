"""CSRF protection: only pages of trusted origins can make changes with a session cookie."""

from typing import Final

import httpx
import pytest

from adapters.http.routing import DirectRoute
from tests.http.api import LOG_IN, LOG_OUT, LOGIN, REFRESH, SIGN_UP
from tests.http.backend import Backend, build_backend
from tests.http.client import error_of, send_json
from tests.http.credentials import BEARERS, COOKIE, SESSIONLESS, Headers, signed
from tests.http.rows import add_key, add_session, add_task, add_user, snapshot
from tests.http.test_matrix import PROTECTED

# The origin of Better Auth, and two of `CORS_ORIGINS`.
LOCAL, APP, TOOLS = (
    "http://localhost:3000",
    "https://app.example.com",
    "http://tools.example.com:4000",
)
SAFE: Final = {"GET", "HEAD", "OPTIONS"}
LOG_OUT_ROUTE: Final = ("POST", LOG_OUT)
BODIES: Final[dict[tuple[str, str], object]] = {
    (method, path): kwargs.get("json") for method, path, kwargs, _ in PROTECTED
} | {LOG_OUT_ROUTE: None}
SIGN_INS: Final = (
    (LOG_IN, LOGIN),
    (SIGN_UP, {**LOGIN, "email": "new@example.com"}),
)
BROWSER_HEADERS: Final = {"origin", "referer", "sec-fetch-site", "cookie"}


def fetch_site(value: str) -> tuple[str, str]:
    return "Sec-Fetch-Site", value


def origin(value: str) -> tuple[str, str]:
    return "Origin", value


def referer(value: str) -> tuple[str, str]:
    return "Referer", value


ACCEPTED: Final[dict[str, Headers]] = {
    "same-origin": [fetch_site("same-origin")],
    "same-origin, whatever the Origin": [fetch_site("same-origin"), origin("http://evil.example")],
    "same-origin, opaque Origin": [fetch_site("same-origin"), origin("null")],
    "same-origin, whatever the Referer": [
        fetch_site("same-origin"),
        referer("http://evil.example/"),
    ],
    "Better Auth's origin": [origin(LOCAL)],
    "an origin of CORS": [origin(APP)],
    "another origin of CORS": [origin(TOOLS)],
    "same-site, trusted": [fetch_site("same-site"), origin(APP)],
    "cross-site, trusted": [fetch_site("cross-site"), origin(APP)],
    "user-initiated, trusted": [fetch_site("none"), origin(TOOLS)],
    "a trusted Origin beside another Referer": [origin(LOCAL), referer("http://evil.example/")],
    "a trusted Origin and Referer": [origin(LOCAL), referer(f"{LOCAL}/tasks")],
    "a Referer": [referer(f"{LOCAL}/")],
    "a Referer without a path": [referer(APP)],
    "a Referer with path and query": [referer(f"{APP}/a/b.html?c=d&e=//evil.example/")],
    "a Referer with a port": [referer(f"{TOOLS}/sign-in")],
    "cross-site, a trusted Referer": [fetch_site("cross-site"), referer(f"{TOOLS}/sign-in")],
}
REJECTED: Final[dict[str, Headers]] = {
    "no headers": [],
    "a trusted Host": [("Host", "localhost:3000")],
    "a trusted forwarded Host": [("X-Forwarded-Host", "localhost:3000"), ("Forwarded", "host=x")],
    "X-Requested-With": [("X-Requested-With", "XMLHttpRequest")],
    "same-site": [fetch_site("same-site")],
    "cross-site": [fetch_site("cross-site")],
    "user-initiated": [fetch_site("none")],
    "an empty site": [fetch_site("")],
    "a site in another case": [fetch_site("Same-Origin")],
    "two sites in one": [fetch_site("same-origin, cross-site")],
    "a site with a suffix": [fetch_site("same-origin;cross-site")],
    "another origin": [origin("http://evil.example")],
    "another origin, same-site": [fetch_site("same-site"), origin("https://blog.example.com")],
    "another origin, cross-site": [fetch_site("cross-site"), origin("http://evil.example")],
    "an opaque Origin": [origin("null")],
    "an empty Origin": [origin("")],
    "this service itself": [origin("http://test")],
    "a trusted origin with a suffix": [origin(f"{LOCAL}.evil.example")],
    "a trusted origin with a prefix": [origin("http://evil-localhost:3000")],
    "a port with a digit more": [origin("http://localhost:30001")],
    "a port with a digit less": [origin("http://localhost:300")],
    "no port": [origin("http://localhost")],
    "one of CORS without its port": [origin("http://tools.example.com")],
    "another scheme": [origin("https://localhost:3000")],
    "http instead of https": [origin("http://app.example.com")],
    "upper case": [origin("HTTP://LOCALHOST:3000")],
    "upper case in the host": [origin("https://App.Example.com")],
    "a slash": [origin(f"{LOCAL}/")],
    "a path": [origin(f"{LOCAL}/tasks")],
    "the default port": [origin(f"{APP}:443")],
    "a trailing dot": [origin(f"{APP}.")],
    "a subdomain": [origin("https://evil.app.example.com")],
    "the parent domain": [origin("https://example.com")],
    "the address of the host": [origin("http://127.0.0.1:3000")],
    "a user": [origin("http://localhost:3000@evil.example")],
    "two Origins": [origin(LOCAL), origin("http://evil.example")],
    "two Origins, the trusted one last": [origin("http://evil.example"), origin(LOCAL)],
    "two trusted Origins": [origin(LOCAL), origin(APP)],
    "the same Origin twice": [origin(LOCAL), origin(LOCAL)],
    "a list of Origins": [origin(f"{LOCAL}, http://evil.example")],
    "a list separated by spaces": [origin(f"{LOCAL} {APP}")],
    "another Origin beside a trusted Referer": [
        origin("http://evil.example"),
        referer(f"{LOCAL}/"),
    ],
    "an opaque Origin beside a trusted Referer": [origin("null"), referer(f"{LOCAL}/")],
    "two Origins beside a trusted Referer": [origin(APP), origin(APP), referer(f"{APP}/")],
    "an empty Origin beside a trusted Referer": [origin(""), referer(f"{LOCAL}/")],
    "another Referer": [referer("http://evil.example/")],
    "another Referer, same-site": [fetch_site("same-site"), referer("https://blog.example.com/")],
    "a Referer with a trusted origin in its path": [referer(f"http://evil.example/{LOCAL}/")],
    "a Referer with a trusted origin in its query": [referer(f"http://evil.example?{LOCAL}/")],
    "a Referer with a trusted origin as its user": [referer(f"{LOCAL}@evil.example/")],
    "a Referer with a backslash": [referer(f"{LOCAL}\\@evil.example/")],
    "a Referer with a longer host": [referer(f"{LOCAL}.evil.example/")],
    "a Referer without a scheme": [referer("//localhost:3000/")],
    "a Referer without http": [referer("localhost:3000/")],
    "a Referer of another scheme": [referer("https://localhost:3000/")],
    "a Referer about:blank": [referer("about:blank")],
    "a malformed Referer": [referer("http://[")],
    "an empty Referer": [referer("")],
}
ROWS: Final = [
    *[pytest.param(headers, True, id=f"accepted: {name}") for name, headers in ACCEPTED.items()],
    *[pytest.param(headers, False, id=f"rejected: {name}") for name, headers in REJECTED.items()],
]


@pytest.fixture(scope="session")
def trusting_backend() -> Backend:
    """An application with two CORS origins, and Better Auth at a third."""
    return build_backend(cors_origins=f"{APP},{TOOLS}", better_auth_url=f"{LOCAL}/")


@pytest.fixture
def routes(trusting_backend: Backend) -> list[tuple[str, str]]:
    """Every route that changes something for an authenticated user."""
    return [
        (method, route.path)
        for route in trusting_backend.app.routes
        if isinstance(route, DirectRoute)
        for method in (route.methods or set()) - SAFE
        if route.is_protected or (method, route.path) == LOG_OUT_ROUTE
    ]


class Browser:
    """The browser of Ann, who has two sessions and a task."""

    def __init__(self, backend: Backend) -> None:
        self.app, self.store = backend.app, backend.store
        self.reset()

    def reset(self) -> None:
        """Start anew with the same rows."""
        self.store.clear()
        add_user(self.store)
        add_key(self.store)
        self.task = add_task(self.store)
        self.session = add_session(self.store)
        self.other = add_session(self.store, name="Other")
        self.cookie = [("Cookie", f"{COOKIE}={signed(self.session.token)}")]

    async def send(self, method: str, path: str, headers: Headers) -> httpx.Response:
        url = path.format(task_id=self.task.id, session_id=self.other.id)
        return await send_json(self.app, method, url, headers, BODIES[method, path])


@pytest.fixture
def browser(trusting_backend: Backend) -> Browser:
    return Browser(trusting_backend)


def test_routes_are_all_that_change_something(routes: list[tuple[str, str]]) -> None:
    expected = {(method, path) for method, path, _, _ in PROTECTED if method not in SAFE}
    assert set(routes) == expected | {LOG_OUT_ROUTE}


@pytest.mark.parametrize(("headers", "is_accepted"), ROWS)
async def test_only_trusted_pages_can_make_changes(
    browser: Browser, routes: list[tuple[str, str]], headers: Headers, is_accepted: bool
) -> None:
    """Alike on every route that accepts a cookie; a rejected request changes nothing."""
    before = snapshot(browser.store)
    for method, path in routes:
        response = await browser.send(method, path, browser.cookie + headers)
        if is_accepted:
            assert response.is_success, (method, path)
            assert snapshot(browser.store) != before or path == REFRESH, (method, path)
            browser.reset()
            before = snapshot(browser.store)
        else:
            assert error_of(response) == (403, "CROSS_SITE_REQUEST"), (method, path)
            assert "set-cookie" not in response.headers
            assert snapshot(browser.store) == before, (method, path)

    # Log-in CSRF: another site could sign its visitor in to an account of its own. Clients that
    # are not browsers have no visitors.
    is_browser = any(name.lower() in BROWSER_HEADERS for name, _ in headers)
    for path, body in SIGN_INS:
        response = await send_json(browser.app, "POST", path, headers, body)
        if is_accepted or not is_browser:
            assert response.is_success, path
            assert response.headers.get_list("set-cookie")
        else:
            assert error_of(response) == (403, "CROSS_SITE_REQUEST"), path
            assert "set-cookie" not in response.headers
            assert snapshot(browser.store) == before, path
    # No session ends without a credential, but the cookies of a browser would expire.
    response = await send_json(browser.app, *LOG_OUT_ROUTE, headers)
    assert response.status_code == 204
    assert ("set-cookie" in response.headers) is (is_accepted or not is_browser)


@pytest.mark.parametrize("value", ["theme=dark", "", f"{COOKIE}=x", "own"])
async def test_any_cookie_marks_a_browser(browser: Browser, value: str) -> None:
    if value == "own":
        value = f"{COOKIE}={signed(browser.session.token)}"
    before = snapshot(browser.store)
    for path, body in SIGN_INS:
        response = await send_json(browser.app, "POST", path, [("Cookie", value)], body)
        assert error_of(response) == (403, "CROSS_SITE_REQUEST")
        assert snapshot(browser.store) == before
    for path, body in SIGN_INS:
        headers = [("Cookie", value), origin(APP)]
        assert (await send_json(browser.app, "POST", path, headers, body)).is_success


@pytest.mark.parametrize("name", BEARERS)
async def test_bearer_needs_no_origin(
    browser: Browser, routes: list[tuple[str, str]], name: str
) -> None:
    """No page can make a browser send a bearer, even with a cookie beside it."""
    for method, path in routes:
        for cookie in ([], browser.cookie):
            browser.reset()
            headers = BEARERS[name](browser.session) + cookie
            response = await browser.send(method, path, [*headers, origin("http://evil.example")])
            if path == REFRESH and name in SESSIONLESS:
                assert error_of(response) == (403, "FORBIDDEN")
            else:
                assert response.is_success, (method, path)


async def test_safe_methods_are_not_checked(browser: Browser) -> None:
    """A page of another origin cannot read the response, and links to the API must work."""
    cross_site = [*browser.cookie, fetch_site("cross-site"), origin("http://evil.example")]
    for method, path, _, _ in PROTECTED:
        if method == "GET":
            for safe in ("GET", "HEAD"):
                url = path.format(task_id=browser.task.id)
                response = await send_json(browser.app, safe, url, cross_site)
                assert response.status_code == 200


@pytest.mark.parametrize(
    "name", ["no credential", "a cookie of an unknown session", "an invalid bearer"]
)
async def test_authentication_comes_before_the_origin(
    browser: Browser, routes: list[tuple[str, str]], name: str
) -> None:
    """401, from any page: there is nothing to protect."""
    headers: Headers = {
        "no credential": [],
        "a cookie of an unknown session": [("Cookie", f"{COOKIE}={signed('D' * 32)}")],
        "an invalid bearer": [("Authorization", "Bearer x"), *browser.cookie],
    }[name]
    before = snapshot(browser.store)
    for method, path in routes:
        response = await browser.send(method, path, [*headers, origin("http://evil.example")])
        if (method, path) == LOG_OUT_ROUTE:
            assert response.status_code == 204
        else:
            assert error_of(response) == (401, "UNAUTHENTICATED")
    assert snapshot(browser.store) == before
