"""Direct routes respond exactly as routes with FastAPI's own dependency solver."""

from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

import httpx
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute

from adapters.asgi.body import ABSENT, JsonRequest
from adapters.http.routing import DirectRoute
from tests.http.backend import build_backend
from tests.http.client import client_of


class Body(JsonRequest):
    async def json(self) -> Any:
        value = await self.parse_json()
        return None if value is ABSENT else value


class SolvedRoute(APIRoute):
    """A route that FastAPI's solver reads; only its JSON body is parsed by ours."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(Body(request.scope, request.receive))

        return handler


JSON = {"Content-Type": "application/json"}
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/tasks", {"json": {"title": "a"}}),
    ("POST", "/api/tasks", {"json": {"title": "b", "description": None, "status": "Completed"}}),
    ("POST", "/api/tasks", {"json": {"title": 5, "x": 1}}),
    ("POST", "/api/tasks", {"json": {}}),
    ("POST", "/api/tasks", {"json": []}),
    ("POST", "/api/tasks", {"json": None}),
    ("POST", "/api/tasks", {}),
    ("POST", "/api/tasks", {"content": b"{", "headers": JSON}),
    ("GET", "/api/tasks", {}),
    ("GET", "/api/tasks?page=2&limit=1&sort=title&status=Pending&q=a", {}),
    ("GET", "/api/tasks?page=0&limit=x&status=y&sort=z", {}),
    ("GET", "/api/tasks?q=", {}),
    ("GET", "/api/tasks/1", {}),
    ("GET", "/api/tasks/01", {}),
    ("GET", f"/api/tasks/{2**63}", {}),
    ("GET", "/api/tasks/9", {}),
    ("PUT", "/api/tasks/1", {"json": {"title": "c", "description": "d"}}),
    ("PATCH", "/api/tasks/1", {"json": {}}),
    ("PATCH", "/api/tasks/x", {"json": {"status": None, "title": None}}),
    ("PATCH", "/api/tasks/1", {"json": {"title": "c"}, "headers": {"If-Match": '"9"'}}),
    ("PATCH", "/api/tasks/1/complete", {}),
    ("PATCH", "/api/tasks/1/complete", {"json": {"completed": False}}),
    ("PATCH", "/api/tasks/1/complete", {"json": {"completed": 1}}),
    ("DELETE", "/api/tasks/1", {}),
    ("DELETE", "/api/tasks/1", {}),
    ("GET", "/health", {}),
    ("GET", "/nowhere", {}),
]
VARYING = ("instance", "request_id", "timestamp", "created_at", "updated_at", "completed_at")


def comparable(response: httpx.Response) -> Any:
    def without_times(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without_times(v) for k, v in value.items() if k not in VARYING}
        return [without_times(v) for v in value] if isinstance(value, list) else value

    headers = {
        k: v for k, v in response.headers.items() if k not in ("x-request-id", "content-length")
    }
    return (
        response.status_code,
        headers,
        without_times(response.json()) if response.content else None,
    )


def solved_route(route: BaseRoute) -> BaseRoute:
    """The same route, read by FastAPI."""
    if not isinstance(route, DirectRoute):
        return route
    return SolvedRoute(route.path, route.endpoint, methods=route.methods, response_model=None)


async def test_direct_and_solved_routes_respond_alike() -> None:
    direct, solved = build_backend().app, build_backend().app
    solved.router.routes[:] = map(solved_route, solved.router.routes)
    assert {type(route) for route in solved.routes} >= {SolvedRoute}
    async with client_of(direct, "ann") as one, client_of(solved, "ann") as other:
        for number, (method, path, kwargs) in zip(count(), REQUESTS, strict=False):
            responses = [await client.request(method, path, **kwargs) for client in (one, other)]
            assert comparable(responses[0]) == comparable(responses[1]), (number, method, path)
    async with client_of(direct) as one, client_of(solved) as other:
        for method, path, kwargs in REQUESTS:
            if "content" not in kwargs:
                responses = [
                    await client.request(method, path, **kwargs) for client in (one, other)
                ]
                assert comparable(responses[0]) == comparable(responses[1]), (method, path)
