"""Every documented response, with its headers.

The OpenAPI document lists the responses of each route; all of them are provoked here. A new route
or response that cannot be provoked fails.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Message

from adapters.asgi import body as json_body
from adapters.memory.store import MemoryStore
from domain.users import UserRepository
from tests.conftest import AdvanceTime
from tests.http.api import (
    COMPLETE,
    LOG_IN,
    LOG_OUT,
    ONE_TASK,
    PASSWORD,
    REFRESH,
    SESSIONS,
    SIGN_UP,
    TASKS,
    USER,
)
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, problem_of, response_of, scope_of, shared_secret_token
from tests.http.common_headers import assert_common_headers, items_of
from tests.http.credentials import COOKIE, Headers, access_token, bearer, signed
from tests.http.fakes import ReferencedUsers, crashing_endpoint, unavailable_endpoint
from tests.http.fields import Route
from tests.http.scenario import PUBLIC, Scenario

CROSS_SITE: Final = [("Origin", "http://evil.example")]


class Provoker:
    """Makes a route send each of its documented responses."""

    def __init__(
        self, scenario: Scenario, backends: dict[str, Backend], advance_time: AdvanceTime
    ) -> None:
        self.scenario, self.backends, self.advance_time = scenario, backends, advance_time

    async def provoke(self, route: Route, status: int, code: str) -> httpx.Response:
        self.scenario.reset()
        provoke: dict[int, Callable[[Route, str], Any]] = {
            **dict.fromkeys((200, 201, 204), self.success),
            304: self.not_modified,
            400: self.bad_request,
            401: self.unauthorized,
            403: self.forbidden,
            404: self.not_found,
            408: self.timeout,
            409: self.conflict,
            412: self.precondition_failed,
            413: self.too_large,
            415: self.unsupported,
            422: self.invalid,
            429: self.too_many,
            500: self.internal_error,
            503: self.unavailable,
        }
        response: httpx.Response = await provoke[status](route, code)
        return response

    async def success(self, route: Route, _code: str) -> httpx.Response:
        if route[1] == SIGN_UP:
            body = f'{{"email":"new@example.com","password":"{PASSWORD}"}}'
            return await self.scenario.request(route, content=body)
        return await self.scenario.request(route)

    async def not_modified(self, route: Route, _code: str) -> httpx.Response:
        return await self.scenario.request(route, [*self.credential(), ("If-None-Match", '"1"')])

    async def bad_request(self, route: Route, _code: str) -> httpx.Response:
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "h2c"), ("Content-Length", "2")]
        return await self.scenario.request(route, [*self.credential(), *upgrade], content="{}")

    async def unauthorized(self, route: Route, code: str) -> httpx.Response:
        if code == "INVALID_CREDENTIALS":
            body = '{"email":"ann@example.com","password":"something else"}'
            return await self.scenario.request(route, content=body)
        return await self.scenario.request(
            route, bearer(shared_secret_token("eve", email=None)) if code == "UNKNOWN_USER" else []
        )

    async def forbidden(self, route: Route, code: str) -> httpx.Response:
        scenario, store = self.scenario, self.scenario.store
        if code == "CROSS_SITE_REQUEST":
            headers = [("Cookie", f"{COOKIE}={signed(scenario.session.token)}")]
            return await scenario.request(route, headers, page=CROSS_SITE)
        if code == "USER_BANNED":
            store.users["ann"].banned = True
            return await scenario.request(route, [] if route[1] == LOG_IN else self.credential())
        if code == "SECOND_FACTOR_REQUIRED":
            store.users["ann"].has_second_factor = True
            return await scenario.request(route)
        if code == "SIGN_IN_ELSEWHERE" or route[1] == REFRESH or SESSIONS in route[1]:
            if (code, route[1]) != ("FORBIDDEN", REFRESH):
                scenario = Scenario(self.backends["elsewhere"])
            is_anonymous = route[1] in PUBLIC
            headers = [] if is_anonymous else bearer(shared_secret_token())
            return await scenario.request(route, headers)
        for name, is_answering in (
            ("off", route == ("DELETE", USER)),
            ("closed", code in ("SIGN_UP_CLOSED", "EMAIL_NOT_VERIFIED")),
        ):
            if is_answering:
                return await Scenario(self.backends[name]).request(route)
        return await scenario.request(route, task_id=scenario.bobs_task.id)

    async def not_found(self, route: Route, _code: str) -> httpx.Response:
        return await self.scenario.request(route, task_id=4711, session_id="s")

    async def timeout(self, route: Route, _code: str) -> httpx.Response:
        messages: list[Message] = []

        async def receive() -> Message:
            # In the next iteration of the event loop, after the deadline has been set.
            asyncio.get_running_loop().call_soon(self.advance_time, json_body.BODY_SECONDS)
            return await asyncio.Event().wait()  # type: ignore[return-value]

        async def send(message: Message) -> None:
            messages.append(message)

        headers = [*self.credential(), ("Origin", ORIGIN), ("Host", "test")]
        scope = scope_of(route[0], route[1].format(task_id=1), headers)
        await self.scenario.app(scope, receive, send)
        return response_of(messages)

    async def conflict(self, route: Route, code: str) -> httpx.Response:
        if code == "ACCOUNT_IN_USE":
            return await Scenario(self.backends["referenced"]).request(route)
        if route[1] == SIGN_UP:
            return await self.scenario.request(route)
        return await self.scenario.request(
            route, bearer(shared_secret_token("eve", email="ann@example.com"))
        )

    async def precondition_failed(self, route: Route, _code: str) -> httpx.Response:
        return await self.scenario.request(route, [*self.credential(), ("If-Match", '"9"')])

    async def too_large(self, route: Route, _code: str) -> httpx.Response:
        return await self.scenario.request(route, content=b" " * 65_537)

    async def unsupported(self, route: Route, _code: str) -> httpx.Response:
        gzip = [*self.credential(), ("Content-Encoding", "gzip")]
        return await self.scenario.request(route, gzip, content="{}")

    async def invalid(self, route: Route, _code: str) -> httpx.Response:
        return await self.scenario.request(route, query="unknown=1")

    async def too_many(self, route: Route, _code: str) -> httpx.Response:
        scenario = Scenario(self.backends["limited"])
        # An anonymous log-out does not count.
        is_anonymous = route[1] in PUBLIC and route[1] != LOG_OUT
        user = shared_secret_token(f"user-of-{abs(hash(route))}")
        headers = [] if is_anonymous else bearer(user)
        await scenario.request(route if is_anonymous else ("GET", USER), headers)
        return await scenario.request(route, headers)

    async def internal_error(self, route: Route, _code: str) -> httpx.Response:
        response = await Scenario(self.backends["crashing"]).request(route)
        assert "pipe" not in response.text
        return response

    async def unavailable(self, route: Route, _code: str) -> httpx.Response:
        return await Scenario(self.backends["unavailable"]).request(route)

    def credential(self) -> Headers:
        return bearer(access_token(self.scenario.session))


def with_endpoints(endpoint: ASGIApp) -> Backend:
    """An application with this endpoint on every route."""
    backend = build_backend(cors_origins=ORIGIN)
    for route in backend.app.routes:
        assert isinstance(route, StarletteRoute)
        route.app = endpoint
    return backend


@pytest.fixture(scope="module")
def other_backends() -> dict[str, Backend]:
    return {
        "referenced": build_backend({UserRepository: ReferencedUsers(MemoryStore())}),
        "closed": build_backend(sign_up=False, require_email_verification=True),
        "elsewhere": build_backend(better_auth_sessions="remote"),
        "off": build_backend(email_and_password=False, delete_user=False),
        "limited": build_backend(rate_limit="1/day"),
        "crashing": with_endpoints(crashing_endpoint),
        "unavailable": with_endpoints(unavailable_endpoint),
    }


@pytest.fixture
def provoker(
    backend: Backend, other_backends: dict[str, Backend], advance_time: AdvanceTime
) -> Provoker:
    return Provoker(Scenario(backend), other_backends, advance_time)


def documented_responses(app: FastAPI) -> list[tuple[Route, int, str]]:
    """Route, status and error code of every response in the OpenAPI document."""
    return [
        ((method.upper(), path), int(status), code)
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        for status, response in operation["responses"].items()
        for code in response.get("content", {})
        .get("application/problem+json", {})
        .get("examples", {"": ...})
    ]


async def test_every_documented_response(app: FastAPI, provoker: Provoker) -> None:
    """Its status, error code, body, headers and caching."""
    responses = documented_responses(app)
    assert len(responses) > 200
    for route, status, code in responses:
        response = await provoker.provoke(route, status, code)
        context = (*route, status, code, response.text)
        assert response.status_code == status, context
        assert_common_headers(response, origin=None if code == "CROSS_SITE_REQUEST" else ORIGIN)
        if status >= 400:
            assert problem_of(response)["error_code"] == code, context
        elif status in (204, 304):
            assert response.content == b"", context
            assert "content-type" not in response.headers, context
        # Caching
        method, path = route
        if method == "GET" and path in (TASKS, ONE_TASK) and status in (200, 304):
            assert response.headers.get_list("cache-control") == ["private, no-cache"], context
            assert {"Cookie", "Authorization", "Origin"} <= set(items_of(response, "vary")), context
        else:
            assert response.headers.get_list("cache-control") == ["no-store"], context
        # Headers of some statuses
        assert ("www-authenticate" in response.headers) is (status == 401), context
        assert ("retry-after" in response.headers) is (status in (429, 503)), context
        closes = status in (408, 413) or (status == 400 and code == "MALFORMED_REQUEST")
        assert (response.headers.get("connection") == "close") is closes, context
        has_etag = (
            status in (200, 201, 304)
            and path in (TASKS, ONE_TASK, COMPLETE)
            and route != ("GET", TASKS)
        )
        assert ("etag" in response.headers) is has_etag, context
        assert ("location" in response.headers) is (route == ("POST", TASKS) and status == 201), (
            context
        )
