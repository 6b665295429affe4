"""What every answer looks like, whatever it says (S19, S20, S73 to S75).

The document knows which answers each route gives; all of them are provoked here. A new route, or a
new answer, that cannot be provoked fails.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from adapters.asgi import body as json_body
from adapters.asgi.request_record import PROBE_PATHS
from tests.conftest import Logged, Skip
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, scope_of, token
from tests.http.fakes import crashing_endpoint, unavailable_endpoint
from tests.http.people import (
    PASSWORD,
    Headers,
    access_token,
    add_session,
    add_task,
    add_user,
    bearer,
    cookie,
    signed,
)
from tests.http.test_hostile_input import (
    BODIES,
    COMPLETE,
    JSON,
    LOG_IN,
    ONE,
    SIGN_UP,
    TASKS,
    body_for,
    problem_of,
    send,
)

EVIL: Final = [("Origin", "http://evil.example")]
STRICT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
REFRESH: Final = "/api/auth/refresh"
# Neither do they need a user, nor do they tell anything of one.
OPEN: Final = {"/health", "/health/db", "/livez", "/readyz", "/metrics"}
PUBLIC: Final = OPEN | {SIGN_UP, LOG_IN, "/api/auth/logout"}


def words(answer: httpx.Response, name: str) -> list[str]:
    """The words of a header, wherever it is split."""
    return [word.strip() for part in answer.headers.get_list(name) for word in part.split(",")]


def assert_dressed(
    answer: httpx.Response, policy: str = STRICT_POLICY, origin: str | None = ORIGIN
) -> None:
    """What every answer has on, each of it once; asked for by a page of `origin`, which may read
    it, or of another, which may not."""
    said = answer.headers
    once = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "content-security-policy": policy,
    }
    for name, value in once.items():
        assert said.get_list(name) == [value], name
    assert said.get("access-control-allow-origin") == origin
    if origin is not None:
        assert said.get_list("access-control-allow-credentials") == ["true"]
    assert len(said.get_list("x-request-id")) == 1
    assert "Origin" in words(answer, "vary")
    assert "server" not in said
    assert "x-powered-by" not in said
    assert "strict-transport-security" not in said
    if answer.content:
        assert said["content-type"] != ""
        assert int(said["content-length"]) == len(answer.content)


class World:
    """Ann and Bob, each with a task; Ann is signed in. Requests come from a page of ours."""

    def __init__(self, backend: Backend) -> None:
        self.app, self.store = backend.app, backend.store
        self.begin()

    def begin(self) -> None:
        self.store.clear()
        add_user(self.store)
        add_user(self.store, "bob")
        self.task = add_task(self.store)
        self.bobs = add_task(self.store, "bob")
        self.session = add_session(self.store)

    async def ask(
        self,
        route: tuple[str, str],
        headers: Headers | None = None,
        *,
        query: str = "",
        raw: str | bytes | None = None,
        page: Headers | None = None,
        task_id: int | None = None,
        session_id: str | None = None,
    ) -> httpx.Response:
        """What is not said otherwise is good."""
        method, path = route
        shown = bearer(access_token(self.session)) if path not in PUBLIC else []
        where = path.format(
            task_id=task_id or self.task.id, session_id=session_id or self.session.id
        )
        body = body_for(route) if raw is None else raw
        return await send(
            self.app,
            method,
            where,
            [
                *(shown if headers is None else headers),
                *([JSON] if body and JSON not in (headers or ()) else []),
                *([("Origin", ORIGIN)] if page is None else page),
            ],
            query=query,
            raw=body,
        )


Provoked = httpx.Response
Address = tuple[str, str]


class Provocations:
    """How to get each status and code out of a route."""

    def __init__(self, world: World, backends: dict[str, Backend], skip: Skip) -> None:
        self.world, self.backends, self.skip = world, backends, skip

    async def provoke(self, route: Address, status: int, code: str) -> Provoked:
        self.world.begin()
        ways: dict[int, Callable[[Address, str], Any]] = {
            **dict.fromkeys((200, 201, 204), self.success),
            **{304: self.unchanged, 400: self.malformed, 401: self.unknown, 403: self.forbidden},
            **{404: self.missing, 408: self.late, 409: self.taken, 412: self.stale},
            **{413: self.large, 415: self.strange, 422: self.wrong, 429: self.often},
            **{500: self.crash, 503: self.unavailable},
        }
        answer: httpx.Response = await ways[status](route, code)
        return answer

    async def success(self, route: Address, _code: str) -> Provoked:
        if route[1] == SIGN_UP:
            raw = f'{{"email":"new@example.com","password":"{PASSWORD}"}}'
            return await self.world.ask(route, raw=raw)
        return await self.world.ask(route)

    async def unchanged(self, route: Address, _code: str) -> Provoked:
        return await self.world.ask(route, [*self.good(), ("If-None-Match", '"1"')])

    async def malformed(self, route: Address, _code: str) -> Provoked:
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "h2c"), ("Content-Length", "2")]
        return await self.world.ask(route, [*self.good(), *upgrade], raw="{}")

    async def unknown(self, route: Address, code: str) -> Provoked:
        if code == "INVALID_CREDENTIALS":
            raw = '{"email":"ann@example.com","password":"something else"}'
            return await self.world.ask(route, raw=raw)
        return await self.world.ask(
            route, bearer(token("eve", email=None)) if code == "UNKNOWN_USER" else []
        )

    async def forbidden(self, route: Address, code: str) -> Provoked:
        world, store = self.world, self.world.store
        if code == "CROSS_SITE_REQUEST":
            shown = [("Cookie", cookie(signed(world.session.token))[0][1])]
            return await world.ask(route, shown, page=EVIL)
        if code == "USER_BANNED":
            store.users["ann"].banned = True
            return await world.ask(route, [] if route[1] == LOG_IN else self.good())
        if code == "SECOND_FACTOR_REQUIRED":
            store.users["ann"].has_second_factor = True
            return await world.ask(route)
        if code in ("SIGN_UP_CLOSED", "EMAIL_NOT_VERIFIED"):
            return await World(self.backends["closed"]).ask(route)
        if route[1] == REFRESH:
            return await world.ask(route, bearer(token()))
        return await world.ask(route, task_id=world.bobs.id)

    async def missing(self, route: Address, _code: str) -> Provoked:
        return await self.world.ask(route, task_id=4711, session_id="s")

    async def late(self, route: Address, _code: str) -> Provoked:
        said: list[Message] = []

        async def receive() -> Message:
            # Time passes in the next iteration, when the deadline has been set.
            asyncio.get_running_loop().call_soon(self.skip, json_body.BODY_SECONDS)
            return await asyncio.Event().wait()  # type: ignore[return-value]

        async def keep(message: Message) -> None:
            said.append(message)

        headers = [*self.good(), ("Origin", ORIGIN), ("Host", "test")]
        scope = scope_of(route[0], route[1].format(task_id=1), headers)
        await self.world.app(scope, receive, keep)
        start, body = said
        return httpx.Response(start["status"], headers=start["headers"], content=body["body"])

    async def taken(self, route: Address, _code: str) -> Provoked:
        if route[1] == SIGN_UP:
            return await self.world.ask(route)
        return await self.world.ask(route, bearer(token("eve", email="ann@example.com")))

    async def stale(self, route: Address, _code: str) -> Provoked:
        return await self.world.ask(route, [*self.good(), ("If-Match", '"9"')])

    async def large(self, route: Address, _code: str) -> Provoked:
        return await self.world.ask(route, raw=b" " * 65_537)

    async def strange(self, route: Address, _code: str) -> Provoked:
        gzip = [*self.good(), ("Content-Encoding", "gzip")]
        return await self.world.ask(route, gzip, raw="{}")

    async def wrong(self, route: Address, _code: str) -> Provoked:
        return await self.world.ask(route, query="unknown=1")

    async def often(self, route: Address, _code: str) -> Provoked:
        world = World(self.backends["limited"])
        # Of nobody, to sign out is not counted.
        is_anybodys = route[1] in PUBLIC and not route[1].endswith("/logout")
        shown = [] if is_anybodys else bearer(token(f"user-of-{abs(hash(route))}"))
        await world.ask(("GET", "/api/users/me") if shown else route, shown)
        return await world.ask(route, shown)

    async def crash(self, route: Address, _code: str) -> Provoked:
        answer = await World(self.backends["crashing"]).ask(route)
        assert "pipe" not in answer.text
        return answer

    async def unavailable(self, route: Address, _code: str) -> Provoked:
        return await World(self.backends["unavailable"]).ask(route)

    def good(self) -> Headers:
        return bearer(access_token(self.world.session))


def with_endpoints(endpoint: ASGIApp) -> Backend:
    """An application all of whose routes do the same."""
    backend = build_backend(cors_origins=ORIGIN)
    for route in backend.app.routes:
        assert isinstance(route, Route)
        route.app = endpoint
    return backend


@pytest.fixture(scope="module")
def other_backends() -> dict[str, Backend]:
    return {
        "closed": build_backend(sign_up=False, require_email_verification=True),
        "limited": build_backend(rate_limit="1/day"),
        "crashing": with_endpoints(crashing_endpoint),
        "unavailable": with_endpoints(unavailable_endpoint),
    }


@pytest.fixture
def provocations(backend: Backend, other_backends: dict[str, Backend], skip: Skip) -> Provocations:
    return Provocations(World(backend), other_backends, skip)


def answers_of(app: FastAPI) -> list[tuple[Address, int, str]]:
    """All that the document says: route, status, and a code for what is an error."""
    return [
        ((method.upper(), path), int(status), code)
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        for status, said in operation["responses"].items()
        for code in said.get("content", {})
        .get("application/problem+json", {})
        .get("examples", {"": ...})
    ]


async def test_every_documented_answer(app: FastAPI, provocations: Provocations) -> None:
    """Its status, its code, its body, its headers, and who may keep it."""
    found = answers_of(app)
    assert len(found) > 200
    for route, status, code in found:
        answer = await provocations.provoke(route, status, code)
        about = (*route, status, code, answer.text)
        assert answer.status_code == status, about
        assert_dressed(answer, origin=None if code == "CROSS_SITE_REQUEST" else ORIGIN)
        if status >= 400:
            assert problem_of(answer)["error_code"] == code, about
        elif status in (204, 304):
            assert answer.content == b"", about
            assert "content-type" not in answer.headers, about
        # Who may keep it
        method, path = route
        if method == "GET" and path in (TASKS, ONE) and status in (200, 304):
            assert answer.headers.get_list("cache-control") == ["private, no-cache"], about
            assert {"Cookie", "Authorization", "Origin"} <= set(words(answer, "vary")), about
        else:
            assert answer.headers.get_list("cache-control") == ["no-store"], about
        # What belongs to a status
        assert ("www-authenticate" in answer.headers) is (status == 401), about
        assert ("retry-after" in answer.headers) is (status in (429, 503)), about
        closes = status in (408, 413) or (status == 400 and code == "MALFORMED_REQUEST")
        assert (answer.headers.get("connection") == "close") is closes, about
        tagged = (
            status in (200, 201, 304) and path in (TASKS, ONE, COMPLETE) and route != ("GET", TASKS)
        )
        assert ("etag" in answer.headers) is tagged, about
        assert ("location" in answer.headers) is (route == ("POST", TASKS) and status == 201), about


def addresses(app: FastAPI) -> dict[str, set[str]]:
    """The methods of each path."""
    found: dict[str, set[str]] = {}
    for route in app.routes:
        assert isinstance(route, Route)
        found.setdefault(route.path, set()).update(route.methods or ())
    return found


def example(path: str) -> str:
    return path.format(task_id=1, session_id="s", name="start.js")


METHODS: Final = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"),
    *("PROPFIND", "QUERY", "BREW", "get", "X" * 1_000),
)


async def test_every_method_of_every_address(app: FastAPI) -> None:
    """S19. 405 with all methods that there are, of all routes together."""
    for path, methods in addresses(app).items():
        served = methods | ({"HEAD"} if "GET" in methods else set())
        for method in METHODS:
            if method in served:
                continue
            # A method in a header is none.
            headers = [("Origin", ORIGIN), ("X-HTTP-Method-Override", next(iter(methods)))]
            answer = await send(app, method, example(path), headers)
            assert answer.status_code == 405, (method, path)
            assert answer.headers.get_list("allow") == [", ".join(sorted(served))]
            assert answer.headers["cache-control"] == "no-store"
            assert_dressed(answer)
            if method != "HEAD":
                assert problem_of(answer)["error_code"] == "METHOD_NOT_ALLOWED"


async def test_addresses_that_nobody_serves(app: FastAPI) -> None:
    """S20, S75. None is redirected, with a slash, without, or by a name in `Host`."""
    known = addresses(app)
    paths = {example(path) for path in known}
    wrong = {f"{path}/" for path in paths} | {f"/{path}" for path in paths} | {"", "/", "//", "*"}
    wrong |= {f"{path}//" for path in paths} | {path.upper() for path in paths}
    wrong |= {f"{path}\n" for path in paths} | {f"{path}/.." for path in paths}
    wrong |= {"//evil.example", "/\\evil.example", "/api/tasks/1/../2", "/.env", "/api/../health"}
    wrong |= {"/docs/../../pyproject.toml", "/docs/swagger-ui.css/", "/admin", "/api/tasks/1/x"}
    wrong |= {"/\u0000", "/\udcff".encode("utf-8", "replace").decode(), "/" + "a/" * 5_000}
    for path in wrong - paths:
        for method in ("GET", "POST"):
            answer = await send(app, method, path, [("Origin", ORIGIN)], host="evil.example")
            if answer.status_code != 404:
                # An id may be anything without a slash; and it is refused as such.
                assert answer.status_code in (401, 405), (method, path)
            if answer.status_code == 404:
                assert problem_of(answer)["error_code"] == "NOT_FOUND"
            assert "location" not in answer.headers
            assert "evil.example" not in answer.text
            assert answer.headers["cache-control"] == "no-store"
            assert_dressed(answer)


async def test_head_wherever_there_is_get(backend: Backend, app: FastAPI) -> None:
    """The same headers, and nothing behind them."""
    world = World(backend)
    for path, methods in addresses(app).items():
        if "GET" not in methods:
            continue
        for query in ("", "unknown=1"):
            headers = [*bearer(access_token(world.session)), ("Origin", ORIGIN)]
            where = path.format(task_id=world.task.id, name="start.js")
            got, head = [
                await send(app, method, where, headers, query=query) for method in ("GET", "HEAD")
            ]
            assert head.status_code == got.status_code
            assert head.content == b""
            ignored = {"x-request-id", "content-length"}
            assert {k: v for k, v in head.headers.items() if k not in ignored} == {
                k: v for k, v in got.headers.items() if k not in ignored
            }
            assert "content-length" in head.headers
            if path != "/docs" or query:
                assert_dressed(got)


async def test_the_page_of_the_documentation(app: FastAPI) -> None:
    """It runs scripts of its own and of nobody else; what it consists of may be kept."""
    page = await send(app, "GET", "/docs", [("Origin", ORIGIN)])
    policy = page.headers["content-security-policy"]
    assert_dressed(page, policy)
    said = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert (said["default-src"], said["script-src"]) == ("'none'", "'self'")
    assert said["frame-ancestors"] == said["base-uri"] == said["form-action"] == "'none'"
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    assert "http" not in page.text.replace("<!doctype html>", "")
    for name in ("start.js", "swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"):
        asset = await send(app, "GET", f"/docs/{name}", [("Origin", ORIGIN)])
        assert asset.status_code == 200
        assert asset.headers["cache-control"].startswith("public")
        assert_dressed(asset)


# Other hosts

LONG_HOST: Final = "a" * 5_000 + ".example.org"
WELCOME: Final = [
    *("api.example.com", "API.Example.COM", "api.example.com:443", "api.example.com:8000"),
    *("api.example.com:", "localhost", "localhost:8000", "[::1]", "[::1]:8000"),
    *("a.example.org", "a.b.example.org", "A.EXAMPLE.ORG:80"),
]
UNWELCOME: Final = [
    *("", " ", "example.com", "evil.com", "api.example.com.", "api.example.com..", ".example.org"),
    *("example.org", "evilexample.org", "a.example.org.", "a.example.org.evil.com", "*"),
    *("api.example.com.evil.com", "evil-api.example.com", "api.example.com evil.com"),
    *("evil.com#", "evil.com#api.example.com", "evil.com#.example.org", "evil.com/.example.org"),
    *("evil.com?.example.org", "evil.com\\.example.org", "evil.com@api.example.com"),
    *("evil.com:80@a.example.org", "user@api.example.com", "user:x@a.example.org"),
    *("api.example.com@evil.com", "api.example.com:80@evil.com", "api.example.com:@evil.com"),
    *("api.example.com:80:80", "api.example.com:http", "api.example.com:-1", "api.example.com:8 0"),
    *("::1", "[::1", "::1]", "[::2]", "[::1].evil.com", "[::1]evil", "[::1]:x", "[0:0::1]"),
    *(
        "localhost.evil.com",
        "127.0.0.1",
        "localhost\t",
        "a.example.org,evil.com",
        "http://localhost",
    ),
    *("api.example.com\u0000", "\u00e4.example.org", "<script>.example.org", f" {'localhost'}"),
]


@pytest.fixture(scope="module")
def hosted_app() -> FastAPI:
    """At a few names, behind HTTPS."""
    return build_backend(
        better_auth_url="https://app.example.com",
        cors_origins=ORIGIN,
        allowed_hosts="api.example.com, *.example.org, [::1], localhost",
    ).app


async def test_hosts_that_are_allowed(hosted_app: FastAPI) -> None:
    for host in (*WELCOME, LONG_HOST):
        answer = await send(hosted_app, "GET", "/health", [("Origin", ORIGIN)], host=host)
        assert answer.status_code == 200, host


async def test_who_watches_may_call_by_the_address(hosted_app: FastAPI, logged: Logged) -> None:
    """As Kubernetes and Prometheus do. All others are told once in the log."""
    for path in sorted(PROBE_PATHS):
        answer = await send(hosted_app, "GET", path, host="10.0.0.7:8000")
        assert answer.status_code == 200, path
    for _ in range(2):
        await send(hosted_app, "GET", "/docs", host="10.0.0.7:8000")
    assert len([line for line in logged if line["event"] == "host_not_allowed"]) <= 1


async def test_hosts_that_are_not(hosted_app: FastAPI) -> None:
    """S20. On every path; and a page of ours may read that."""
    for host in (*UNWELCOME, None):
        for method, path in (
            ("GET", "/docs"),
            ("POST", TASKS),
            ("GET", "/nowhere"),
            ("TRACE", "/"),
        ):
            answer = await send(hosted_app, method, path, [("Origin", ORIGIN)], host=host)
            assert answer.status_code == 400, host
            assert problem_of(answer)["error_code"] == "MALFORMED_REQUEST"
            assert answer.headers["connection"] == "close"
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert "evil" not in answer.text
    for hosts in (("localhost", "localhost"), ("localhost", "evil.com"), ("evil.com", "localhost")):
        for other in (hosts[1], f"{hosts[1]}:80", ""):
            answer = await send(
                hosted_app, "GET", "/docs", [("Host", other), ("Origin", ORIGIN)], host=hosts[0]
            )
            assert answer.status_code == 400
            assert problem_of(answer)["error_code"] == "MALFORMED_REQUEST"
    before = [("X-Forwarded-Host", "localhost"), ("Forwarded", "host=localhost")]
    answer = await send(hosted_app, "GET", "/docs", before, host="evil.com")
    assert answer.status_code == 400


async def test_https_alone(hosted_app: FastAPI, app: FastAPI) -> None:
    """S73. A year, and only where Better Auth is at HTTPS, too; on errors as well."""
    for path, host in (
        ("/docs", "localhost"),
        ("/nowhere", "localhost"),
        ("/docs", "evil.com"),
    ):
        answer = await send(hosted_app, "GET", path, host=host)
        [said] = answer.headers.get_list("strict-transport-security")
        rules = dict.fromkeys(part.strip().partition("=")[0] for part in said.split(";"))
        assert "includeSubDomains" in rules
        assert int(said.split("=")[1].split(";")[0]) >= 31_536_000
        answer = await send(app, "GET", path, host=host)
        assert "strict-transport-security" not in answer.headers


def test_the_routes_with_bodies_are_those_of_the_table(app: FastAPI) -> None:
    document = app.openapi()["paths"]
    assert set(BODIES) == {
        (method.upper(), path)
        for path, item in document.items()
        for method, operation in item.items()
        if "requestBody" in operation
    }
