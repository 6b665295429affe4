"""Who may do what from which page: every method, credential and sign of a page (S70, S72).

What is expected is worked out from the sentences of the contract, never by the code under test.
"""

import re
from itertools import product
from typing import Final

import httpx
import pytest
from fastapi import FastAPI

from tests.http.backend import Backend, build_backend
from tests.http.people import COOKIE, PASSWORD, Headers, access_token, bearer, contents
from tests.http.test_csrf import APP, LOCAL, TOOLS, World, origin, referer, site
from tests.http.test_hostile_input import JSON, problem_of, send

pytestmark = pytest.mark.slow  # A row for each value, and there are thousands.

CORS: Final = (APP, TOOLS)
TRUSTED: Final = {*CORS, LOCAL}
EVIL: Final = "https://evil.example"
LIST, CREATE = ("GET", "/api/tasks"), ("POST", "/api/tasks")
DELETE, LOG_OUT = ("DELETE", "/api/tasks/{task_id}"), ("POST", "/api/auth/logout")
LOG_IN, SIGN_UP = ("POST", "/api/auth/login"), ("POST", "/api/auth/signup")
SENT: Final = {
    CREATE: '{"title":"a"}',
    LOG_IN: f'{{"email":"ann@example.com","password":"{PASSWORD}"}}',
    SIGN_UP: f'{{"email":"new@example.com","password":"{PASSWORD}"}}',
}
SUCCESS: Final = {LIST: 200, CREATE: 201, DELETE: 204, LOG_OUT: 204, LOG_IN: 200, SIGN_UP: 201}
CREDENTIALS: Final = ("none", "cookie", "bearer", "both")

SITES: Final[list[Headers]] = [
    [],
    [site("same-origin")],
    [site("same-site")],
    [site("cross-site")],
    [site("none")],
    [site("garbage")],
    [site("same-origin"), site("same-origin")],
    [site("same-origin"), site("cross-site")],
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
# 320 of them.
PAGES: Final[list[Headers]] = [a + b + c for a, b, c in product(SITES, ORIGINS, REFERERS)]


def values(headers: Headers, wanted: str) -> list[str]:
    return [value for name, value in headers if name == wanted]


def is_trusted(page: Headers) -> bool:
    """A change passes when `Sec-Fetch-Site` is `same-origin`, or when `Origin` (absent: the origin
    of `Referer`) is a trusted one. What is there twice is neither."""
    if values(page, "Sec-Fetch-Site") == ["same-origin"]:
        return True
    said = values(page, "Origin")
    if not said:
        said = [re.split(r"(?<=[^:/])[/?#]", r, maxsplit=1)[0] for r in values(page, "Referer")]
    return len(said) == 1 and said[0] in TRUSTED


def expected(route: tuple[str, str], credential: str, page: Headers) -> tuple[int, bool | None]:
    """The status, and whether a cookie is set; None where that is nobody's business."""
    success, trusted = SUCCESS[route], is_trusted(page)
    if route in (LOG_IN, SIGN_UP):
        is_browser = bool(page) or credential in ("cookie", "both")
        return (success, True) if trusted or not is_browser else (403, False)
    if credential == "none":
        # Nobody is signed out of nothing, but a page of others may not make a browser forget.
        return (204, trusted or not page) if route == LOG_OUT else (401, False)
    if credential == "cookie" and route != LIST and not trusted:
        return 403, False
    return success, route == LOG_OUT


@pytest.fixture(scope="module")
def origins_backend() -> Backend:
    """Two origins of CORS, and Better Auth at a third."""
    return build_backend(cors_origins=",".join(CORS), better_auth_url=LOCAL)


@pytest.fixture
def world(origins_backend: Backend) -> World:
    return World(origins_backend)


@pytest.fixture
def app(origins_backend: Backend) -> FastAPI:
    return origins_backend.app


def shown(world: World, credential: str) -> Headers:
    token = bearer(access_token(world.session))
    return {"none": [], "cookie": world.cookie, "bearer": token, "both": world.cookie + token}[
        credential
    ]


async def ask(
    world: World, route: tuple[str, str], credential: str, page: Headers
) -> httpx.Response:
    method, path = route
    headers = [*shown(world, credential), *page, *([JSON] if route in SENT else [])]
    where = path.format(task_id=world.task.id)
    return await send(world.app, method, where, headers, raw=SENT.get(route, ""))


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("route", SUCCESS, ids=map(" ".join, SUCCESS))
async def test_what_a_page_may_do(world: World, route: tuple[str, str], credential: str) -> None:
    """All of them where they decide, and some where they should not."""
    changes = route in (CREATE, DELETE, LOG_OUT) and credential == "cookie"
    decides = changes or (route in (LOG_IN, SIGN_UP) and credential == "none")
    before = contents(world.store)
    for page in PAGES[:: (1 if changes else 3) if decides else 13]:
        answer = await ask(world, route, credential, page)
        status, sets_cookie = expected(route, credential, page)
        assert answer.status_code == status, page
        assert ("set-cookie" in answer.headers) is sets_cookie, page
        if status == 403:
            assert problem_of(answer)["error_code"] == "CROSS_SITE_REQUEST"
        allowed = values(page, "Origin")[:1]
        may_read = allowed[0] if allowed and allowed[0] in CORS else None
        assert answer.headers.get("access-control-allow-origin") == may_read, page
        assert "Origin" in ", ".join(answer.headers.get_list("vary")), page
        if answer.is_success and route != LIST:
            world.begin()
            before = contents(world.store)
        else:
            assert contents(world.store) == before, page


def test_the_table_has_both_in_it() -> None:
    """Or it would show nothing."""
    for route, credential in product(SUCCESS, CREDENTIALS):
        found = {expected(route, credential, page)[0] for page in PAGES}
        checked = route in (LOG_IN, SIGN_UP) or (credential == "cookie" and route != LIST)
        assert (403 in found) is checked


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_what_only_reads_is_not_checked(world: World, method: str) -> None:
    before = contents(world.store)
    for page in PAGES[::6]:
        answer = await ask(world, (method, "/api/tasks"), "cookie", page)
        assert answer.status_code == (405 if method == "OPTIONS" else 200)
    assert contents(world.store) == before


async def test_a_method_in_a_header_does_not_get_round_it(world: World) -> None:
    """A request that is safe for the check must not be a change for the route."""
    before = contents(world.store)
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "_method"):
        headers = [*world.cookie, origin(EVIL), (name, "DELETE")]
        path = f"/api/tasks/{world.task.id}"
        assert (await send(world.app, "GET", path, headers)).status_code == 200
        answer = await send(world.app, "GET", path, headers, query="_method=DELETE")
        assert answer.status_code == 422
        assert (await send(world.app, "POST", path, headers)).status_code == 405
    assert contents(world.store) == before


async def test_cookies_are_no_proof_of_a_page(world: World) -> None:
    """Neither a cookie that names an origin, nor one header that holds two."""
    before = contents(world.store)
    for headers in (
        [("Cookie", f"{world.cookie[0][1]}; Origin={APP}")],
        [("Cookie", f"{COOKIE}=x"), *world.cookie, ("X-Origin", APP)],
        [*world.cookie, ("X-Forwarded-Host", "app.example.com"), ("Host", "app.example.com")],
        [*world.cookie, ("Sec-Fetch-Mode", "same-origin"), ("Sec-Fetch-Dest", "empty")],
        [*world.cookie, ("Access-Control-Request-Method", "POST"), origin(EVIL)],
    ):
        answer = await send(world.app, *CREATE, [*headers, JSON], raw=SENT[CREATE])
        assert answer.status_code in (401, 403)
    assert contents(world.store) == before


# CORS

METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
REQUEST_HEADERS: Final = {
    *("authorization", "content-type", "if-match", "if-none-match"),
    *("idempotency-key", "x-request-id"),
}
# Those that a browser lets every page send anyway.
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


def words(text: str) -> set[str]:
    return {word.strip() for word in text.split(",")}


@pytest.mark.parametrize("trusted", CORS)
async def test_preflights_of_the_front_end(app: FastAPI, trusted: str) -> None:
    for method in METHODS:
        for headers in ([], [("Access-Control-Request-Headers", ", ".join(REQUEST_HEADERS))]):
            asked = [origin(trusted), ("Access-Control-Request-Method", method), *headers]
            answer = await send(app, "OPTIONS", "/api/tasks", asked)
            assert answer.status_code == 200
            said = answer.headers
            assert said["access-control-allow-origin"] == trusted
            assert said["access-control-allow-credentials"] == "true"
            assert words(said["access-control-allow-methods"]) == METHODS
            allowed = {word.lower() for word in words(said["access-control-allow-headers"])}
            assert allowed == REQUEST_HEADERS | SAFE_HEADERS
            assert 0 < int(said["access-control-max-age"]) <= 600
            assert "Origin" in said["vary"]


async def test_preflights_for_too_much(app: FastAPI) -> None:
    for name, value in (
        ("Access-Control-Request-Method", "TRACE"),
        ("Access-Control-Request-Method", "CONNECT"),
        ("Access-Control-Request-Method", "delete"),
        ("Access-Control-Request-Headers", "x-evil"),
        ("Access-Control-Request-Headers", "content-type, cookie"),
        ("Access-Control-Request-Private-Network", "true"),
    ):
        asked = {"Access-Control-Request-Method": "PUT", name: value}
        answer = await send(app, "OPTIONS", "/api/tasks", [origin(APP), *asked.items()])
        assert answer.status_code == 403, (name, value)
        assert problem_of(answer)["error_code"] == "FORBIDDEN"
        assert "Origin" in answer.headers["vary"]


async def test_other_origins_may_read_nothing(world: World) -> None:
    """Better Auth's own origin is none of CORS: `CORS_ORIGINS` alone decides."""
    good = shown(world, "bearer")
    for other in NOT_CORS:
        asked = [origin(other), ("Access-Control-Request-Method", "PUT")]
        preflight = await send(world.app, "OPTIONS", "/api/tasks", asked)
        assert preflight.status_code == 403, other
        paths = ("/api/tasks", "/api/tasks/x", "/nowhere", "/health")
        read = [await send(world.app, "GET", path, [*good, origin(other)]) for path in paths]
        for answer in (preflight, *read):
            assert "access-control-allow-origin" not in answer.headers, other
            assert "Origin" in ", ".join(answer.headers.get_list("vary")), other


@pytest.mark.parametrize("trusted", CORS)
async def test_the_front_end_may_read_everything(world: World, trusted: str) -> None:
    """Errors as well; and no other origin is named, and never all of them."""
    for path in ("/api/tasks", "/api/tasks/x", "/api/auth/me", "/nowhere", "/health", "/docs"):
        for headers in ([], shown(world, "bearer"), shown(world, "cookie")):
            answer = await send(world.app, "GET", path, [*headers, origin(trusted)])
            assert answer.headers.get_list("access-control-allow-origin") == [trusted]
            assert answer.headers.get_list("access-control-allow-credentials") == ["true"]
            exposed = words(answer.headers["access-control-expose-headers"].lower())
            assert exposed == EXPOSED
            assert "Origin" in ", ".join(answer.headers.get_list("vary"))
