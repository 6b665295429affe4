"""CSRF and CORS: every method × credential × page.

The expected results are computed from the rules of the contract, never by the code under test.
"""

import re
from itertools import product
from typing import Final

import httpx
import pytest
from fastapi import FastAPI

from tests.http.api import LOG_IN, LOG_OUT, ONE_TASK, PASSWORD, SIGN_UP, TASKS
from tests.http.backend import Backend, build_backend
from tests.http.client import JSON, problem_of, send_request
from tests.http.credentials import COOKIE, Headers, access_token, bearer
from tests.http.rows import snapshot
from tests.http.test_csrf import APP, LOCAL, TOOLS, Browser, fetch_site, origin, referer

pytestmark = pytest.mark.slow  # Thousands of requests.

CORS: Final = (APP, TOOLS)
TRUSTED: Final = {*CORS, LOCAL}
EVIL: Final = "https://evil.example"
LIST, CREATE = ("GET", TASKS), ("POST", TASKS)
DELETE, LOG_OUT_ROUTE = ("DELETE", ONE_TASK), ("POST", LOG_OUT)
LOG_IN_ROUTE, SIGN_UP_ROUTE = ("POST", LOG_IN), ("POST", SIGN_UP)
BODIES: Final = {
    CREATE: '{"title":"a"}',
    LOG_IN_ROUTE: f'{{"email":"ann@example.com","password":"{PASSWORD}"}}',
    SIGN_UP_ROUTE: f'{{"email":"new@example.com","password":"{PASSWORD}"}}',
}
SUCCESS: Final = {
    LIST: 200,
    CREATE: 201,
    DELETE: 204,
    LOG_OUT_ROUTE: 204,
    LOG_IN_ROUTE: 200,
    SIGN_UP_ROUTE: 201,
}
CREDENTIAL_CASES: Final = ("none", "cookie", "bearer", "both")

SITES: Final[list[Headers]] = [
    [],
    [fetch_site("same-origin")],
    [fetch_site("same-site")],
    [fetch_site("cross-site")],
    [fetch_site("none")],
    [fetch_site("garbage")],
    [fetch_site("same-origin"), fetch_site("same-origin")],
    [fetch_site("same-origin"), fetch_site("cross-site")],
]
ORIGINS: Final[list[Headers]] = [
    [],
    [origin(APP)],
    [origin(LOCAL)],
    [origin("null")],
    [origin(EVIL)],
    [origin(f"{APP}.evil.example")],
    [origin("https://evil-app.example.com")],
    [origin("http://app.example.com")],
    [origin(APP.upper())],
    [origin(APP), origin(EVIL)],
]
REFERERS: Final[list[Headers]] = [
    [],
    [referer(f"{APP}/page?a=b")],
    [referer(f"{EVIL}/{APP}/")],
    [referer(f"{APP}/"), referer(f"{EVIL}/")],
]
# 320 pages.
PAGES: Final[list[Headers]] = [a + b + c for a, b, c in product(SITES, ORIGINS, REFERERS)]


def values(page: Headers, name: str) -> list[str]:
    return [value for header, value in page if header == name]


def is_trusted(page: Headers) -> bool:
    """Whether a change is accepted: `Sec-Fetch-Site` is `same-origin`, or `Origin` is trusted, or
    without an `Origin` the origin of `Referer`. A header that occurs twice is not trusted."""
    if values(page, "Sec-Fetch-Site") == ["same-origin"]:
        return True
    origins = values(page, "Origin")
    if not origins:
        origins = [re.split(r"(?<=[^:/])[/?#]", r, maxsplit=1)[0] for r in values(page, "Referer")]
    return len(origins) == 1 and origins[0] in TRUSTED


def expected(route: tuple[str, str], credential: str, page: Headers) -> tuple[int, bool]:
    """The status, and whether a cookie is set."""
    success, trusted = SUCCESS[route], is_trusted(page)
    if route in (LOG_IN_ROUTE, SIGN_UP_ROUTE):
        is_browser = bool(page) or credential in ("cookie", "both")
        return (success, True) if trusted or not is_browser else (403, False)
    if credential == "none":
        # No session ends without a credential, but another page must not expire the cookies.
        return (204, trusted or not page) if route == LOG_OUT_ROUTE else (401, False)
    if credential == "cookie" and route != LIST and not trusted:
        return 403, False
    return success, route == LOG_OUT_ROUTE


@pytest.fixture(scope="module")
def origins_backend() -> Backend:
    """An application with two CORS origins, and Better Auth at a third."""
    return build_backend(cors_origins=",".join(CORS), better_auth_url=LOCAL)


@pytest.fixture
def browser(origins_backend: Backend) -> Browser:
    return Browser(origins_backend)


@pytest.fixture
def app(origins_backend: Backend) -> FastAPI:
    return origins_backend.app


def credential_headers(browser: Browser, credential: str) -> Headers:
    shared_secret_token = bearer(access_token(browser.session))
    return {
        "none": [],
        "cookie": browser.cookie,
        "bearer": shared_secret_token,
        "both": browser.cookie + shared_secret_token,
    }[credential]


async def send_from(
    browser: Browser, route: tuple[str, str], credential: str, page: Headers
) -> httpx.Response:
    method, path = route
    headers = [
        *credential_headers(browser, credential),
        *page,
        *([JSON] if route in BODIES else []),
    ]
    url = path.format(task_id=browser.task.id)
    return await send_request(browser.app, method, url, headers, content=BODIES.get(route, ""))


@pytest.mark.parametrize("credential", CREDENTIAL_CASES)
@pytest.mark.parametrize("route", SUCCESS, ids=map(" ".join, SUCCESS))
async def test_only_trusted_pages_can_make_changes(
    browser: Browser, route: tuple[str, str], credential: str
) -> None:
    """All pages for the cases that are checked, and a sample for the others."""
    is_change = route in (CREATE, DELETE, LOG_OUT_ROUTE) and credential == "cookie"
    is_checked = is_change or (route in (LOG_IN_ROUTE, SIGN_UP_ROUTE) and credential == "none")
    before = snapshot(browser.store)
    for page in PAGES[:: (1 if is_change else 3) if is_checked else 13]:
        response = await send_from(browser, route, credential, page)
        status, sets_cookie = expected(route, credential, page)
        assert response.status_code == status, page
        assert ("set-cookie" in response.headers) is sets_cookie, page
        if status == 403:
            assert problem_of(response)["error_code"] == "CROSS_SITE_REQUEST"
        allowed = values(page, "Origin")[:1]
        readable_by = allowed[0] if allowed and allowed[0] in CORS else None
        assert response.headers.get("access-control-allow-origin") == readable_by, page
        assert "Origin" in ", ".join(response.headers.get_list("vary")), page
        if response.is_success and route != LIST:
            browser.reset()
            before = snapshot(browser.store)
        else:
            assert snapshot(browser.store) == before, page


def test_some_pages_are_rejected() -> None:
    """The matrix has rejected requests exactly for the cases that are checked."""
    for route, credential in product(SUCCESS, CREDENTIAL_CASES):
        statuses = {expected(route, credential, page)[0] for page in PAGES}
        is_checked = route in (LOG_IN_ROUTE, SIGN_UP_ROUTE) or (
            credential == "cookie" and route != LIST
        )
        assert (403 in statuses) is is_checked


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_safe_methods_are_not_checked(browser: Browser, method: str) -> None:
    before = snapshot(browser.store)
    for page in PAGES[::6]:
        response = await send_from(browser, (method, "/api/tasks"), "cookie", page)
        assert response.status_code == (405 if method == "OPTIONS" else 200)
    assert snapshot(browser.store) == before


async def test_method_override_does_not_bypass_the_check(browser: Browser) -> None:
    """A method that is safe for the check must not be a change for the route."""
    before = snapshot(browser.store)
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "_method"):
        headers = [*browser.cookie, origin(EVIL), (name, "DELETE")]
        path = f"/api/tasks/{browser.task.id}"
        assert (await send_request(browser.app, "GET", path, headers)).status_code == 200
        response = await send_request(browser.app, "GET", path, headers, query="_method=DELETE")
        assert response.status_code == 422
        assert (await send_request(browser.app, "POST", path, headers)).status_code == 405
    assert snapshot(browser.store) == before


async def test_other_headers_do_not_prove_an_origin(browser: Browser) -> None:
    """Cookies with the name of an origin, and forwarded or fetch headers."""
    before = snapshot(browser.store)
    for headers in (
        [("Cookie", f"{browser.cookie[0][1]}; Origin={APP}")],
        [("Cookie", f"{COOKIE}=x"), *browser.cookie, ("X-Origin", APP)],
        [*browser.cookie, ("X-Forwarded-Host", "app.example.com"), ("Host", "app.example.com")],
        [*browser.cookie, ("Sec-Fetch-Mode", "same-origin"), ("Sec-Fetch-Dest", "empty")],
        [*browser.cookie, ("Access-Control-Request-Method", "POST"), origin(EVIL)],
    ):
        response = await send_request(
            browser.app, *CREATE, [*headers, JSON], content=BODIES[CREATE]
        )
        assert response.status_code in (401, 403)
    assert snapshot(browser.store) == before


# CORS

METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
REQUEST_HEADERS: Final = {
    *("authorization", "content-type", "if-match", "if-none-match"),
    *("idempotency-key", "x-request-id"),
}
# Headers that need no permission.
SAFE_HEADERS: Final = {"accept", "accept-language", "content-language", "content-type"}
EXPOSED: Final = {
    *("etag", "location", "link", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id")
}
NOT_CORS: Final = [
    LOCAL,
    "null",
    "",
    "*",
    EVIL,
    f"{APP}/",
    f"{APP}:443",
    f"{APP}.",
    f"{APP}.evil.example",
    f"{APP}@evil.example",
    f"{APP}%00.evil.example",
    f"{APP}, {EVIL}",
    f"{APP} {TOOLS}",
    f" {APP}",
    "https://evil-app.example.com",
    "https://evilapp.example.com",
    "https://app.example.com.",
    "https://appxexample.com",
    "https://sub.app.example.com",
    "https://example.com",
    "http://app.example.com",
    "HTTPS://app.example.com",
    "https://APP.example.com",
    "//app.example.com",
    "app.example.com",
    "http://tools.example.com",
    "http://tools.example.com:4001",
    "http://tools.example.com:40000",
    "file://",
    "chrome-extension://abc",
]


def items(value: str) -> set[str]:
    """The items of a header value that is a list."""
    return {item.strip() for item in value.split(",")}


@pytest.mark.parametrize("trusted", CORS)
async def test_preflight_of_a_cors_origin(app: FastAPI, trusted: str) -> None:
    for method in METHODS:
        for headers in ([], [("Access-Control-Request-Headers", ", ".join(REQUEST_HEADERS))]):
            preflight = [origin(trusted), ("Access-Control-Request-Method", method), *headers]
            response = await send_request(app, "OPTIONS", "/api/tasks", preflight)
            assert response.status_code == 200
            allowed = response.headers
            assert allowed["access-control-allow-origin"] == trusted
            assert allowed["access-control-allow-credentials"] == "true"
            assert items(allowed["access-control-allow-methods"]) == METHODS
            names = {name.lower() for name in items(allowed["access-control-allow-headers"])}
            assert names == REQUEST_HEADERS | SAFE_HEADERS
            assert 0 < int(allowed["access-control-max-age"]) <= 600
            assert "Origin" in allowed["vary"]


async def test_preflight_for_unknown_methods_and_headers_is_rejected(app: FastAPI) -> None:
    for name, value in (
        ("Access-Control-Request-Method", "TRACE"),
        ("Access-Control-Request-Method", "CONNECT"),
        ("Access-Control-Request-Method", "delete"),
        ("Access-Control-Request-Headers", "x-evil"),
        ("Access-Control-Request-Headers", "content-type, cookie"),
        ("Access-Control-Request-Private-Network", "true"),
    ):
        preflight = {"Access-Control-Request-Method": "PUT", name: value}
        response = await send_request(
            app, "OPTIONS", "/api/tasks", [origin(APP), *preflight.items()]
        )
        assert response.status_code == 403, (name, value)
        assert problem_of(response)["error_code"] == "FORBIDDEN"
        assert "Origin" in response.headers["vary"]


async def test_other_origins_can_read_nothing(browser: Browser) -> None:
    """Neither can the origin of Better Auth: only `CORS_ORIGINS` counts."""
    bearer_headers = credential_headers(browser, "bearer")
    for other in NOT_CORS:
        request_method = ("Access-Control-Request-Method", "PUT")
        preflight = await send_request(
            browser.app, "OPTIONS", "/api/tasks", [origin(other), request_method]
        )
        assert preflight.status_code == 403, other
        paths = ("/api/tasks", "/api/tasks/x", "/nowhere", "/health")
        headers = [*bearer_headers, origin(other)]
        responses = [await send_request(browser.app, "GET", path, headers) for path in paths]
        for response in (preflight, *responses):
            assert "access-control-allow-origin" not in response.headers, other
            assert "Origin" in ", ".join(response.headers.get_list("vary")), other


@pytest.mark.parametrize("trusted", CORS)
async def test_cors_origins_can_read_everything(browser: Browser, trusted: str) -> None:
    """Errors as well. No response allows another origin, or all of them."""
    for path in ("/api/tasks", "/api/tasks/x", "/api/auth/me", "/nowhere", "/health", "/docs"):
        for headers in (
            [],
            credential_headers(browser, "bearer"),
            credential_headers(browser, "cookie"),
        ):
            response = await send_request(browser.app, "GET", path, [*headers, origin(trusted)])
            assert response.headers.get_list("access-control-allow-origin") == [trusted]
            assert response.headers.get_list("access-control-allow-credentials") == ["true"]
            exposed = items(response.headers["access-control-expose-headers"].lower())
            assert exposed == EXPOSED
            assert "Origin" in ", ".join(response.headers.get_list("vary"))
