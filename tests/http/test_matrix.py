"""Every route × nobody, the owner, another user. A new route without a row here fails."""

import logging
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from adapters.http.routing import DirectRoute
from entrypoints.app import from_settings
from entrypoints.settings import Settings
from tests.http.client import SECRET, client_of, code, new_task

Row = tuple[str, str, dict[str, Any], int]
# Method and path, what is sent, and what the owner gets.
PROTECTED: Final[list[Row]] = [
    ("GET", "/api/tasks", {}, 200),
    ("POST", "/api/tasks", {"json": {"title": "x"}}, 201),
    ("GET", "/api/tasks/{task_id}", {}, 200),
    ("PUT", "/api/tasks/{task_id}", {"json": {"title": "x"}}, 200),
    ("PATCH", "/api/tasks/{task_id}", {"json": {"title": "x"}}, 200),
    ("PATCH", "/api/tasks/{task_id}/complete", {}, 200),
    ("DELETE", "/api/tasks/{task_id}", {}, 204),
    ("POST", "/api/auth/refresh", {}, 403),
    ("GET", "/api/auth/me", {}, 200),
    ("GET", "/api/auth/session/validate", {}, 200),
    ("GET", "/api/users/me", {}, 200),
    ("PATCH", "/api/users/me", {"json": {"name": "x"}}, 200),
    ("DELETE", "/api/users/me", {}, 204),
    ("GET", "/api/users/me/sessions", {}, 200),
    ("DELETE", "/api/users/me/sessions/{session_id}", {}, 404),
]
PUBLIC: Final[set[tuple[str, str]]] = {
    ("GET", path)
    for path in ("/health", "/health/db", "/livez", "/readyz", "/openapi.json", "/docs")
} | {("POST", f"/api/auth/{name}") for name in ("signup", "login", "logout")}
ROWS = pytest.mark.parametrize(("method", "path", "sent", "status"), PROTECTED)
OBJECTS = pytest.mark.parametrize(
    ("method", "path", "sent", "status"), [row for row in PROTECTED if "{task_id}" in row[1]]
)


def test_every_route_has_a_row(app: FastAPI) -> None:
    served = set()
    for route in app.routes:
        assert isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}:
            served.add((method, route.path))
    expected = {(method, path) for method, path, _, _ in PROTECTED} | PUBLIC
    assert {row for row in served if not row[1].startswith("/docs/")} == expected


def test_every_protected_route_asks_who_is_there(app: FastAPI) -> None:
    for route in app.routes:
        if isinstance(route, DirectRoute):
            protected = any(route.path == path for _, path, _, _ in PROTECTED)
            assert (route.user_name is not None) is protected


@ROWS
async def test_nobody(
    nobody: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    method: str,
    path: str,
    sent: dict[str, Any],
    status: int,
) -> None:
    task = await new_task(ann)
    answer = await nobody.request(method, path.format(task_id=task["id"], session_id="s"), **sent)
    assert code(answer) == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (await ann.get(f"/api/tasks/{task['id']}")).json() == task


@ROWS
async def test_nobody_learns_nothing_else_first(
    nobody: httpx.AsyncClient, method: str, path: str, sent: dict[str, Any], status: int
) -> None:
    """401 comes before what is wrong with an id, a parameter or a value."""
    for suffix in ("", "?unknown=1"):
        body: dict[str, Any] = {"json": {"wrong": 1}} if sent else {}
        answer = await nobody.request(
            method, path.format(task_id="x", session_id="s") + suffix, **body
        )
        assert code(answer) == (401, "UNAUTHENTICATED")


@ROWS
async def test_the_owner(
    ann: httpx.AsyncClient, method: str, path: str, sent: dict[str, Any], status: int
) -> None:
    task = await new_task(ann)
    answer = await ann.request(method, path.format(task_id=task["id"], session_id="s"), **sent)
    assert answer.status_code == status


@OBJECTS
async def test_another_user(
    ann: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    sent: dict[str, Any],
    status: int,
) -> None:
    """403, in which nothing of the task is told; a warning names both users."""
    task = await new_task(ann, title="a secret plan")
    with caplog.at_level(logging.WARNING, "taskport"):
        answer = await bob.request(method, path.format(task_id=task["id"], session_id="s"), **sent)
    assert code(answer) == (403, "FORBIDDEN")
    assert "ann" not in answer.text
    assert "secret" not in answer.text
    assert any("bob" in r.message and "ann" in r.message for r in caplog.records)
    assert (await ann.get(f"/api/tasks/{task['id']}")).json() == task


@OBJECTS
async def test_another_user_where_foreign_tasks_are_hidden(
    method: str, path: str, sent: dict[str, Any], status: int
) -> None:
    """The answer is the same as for no task at all, but for what names the request."""
    app = from_settings(Settings(better_auth_secret=SECRET, hide_foreign_tasks=True))
    async with client_of(app, "ann") as ann, client_of(app, "bob") as bob:
        task = await new_task(ann)
        foreign = await bob.request(method, path.format(task_id=task["id"], session_id="s"), **sent)
        missing = await bob.request(method, path.format(task_id=99, session_id="s"), **sent)
        assert code(foreign) == code(missing) == (404, "TASK_NOT_FOUND")
        varying = {"instance", "request_id", "timestamp"}
        assert {k: v for k, v in foreign.json().items() if k not in varying} == {
            k: v for k, v in missing.json().items() if k not in varying
        }
        assert foreign.headers.keys() == missing.headers.keys()
        assert (await ann.get(f"/api/tasks/{task['id']}")).json() == task


async def test_lists_show_nothing_of_others(ann: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await new_task(ann, title="a secret plan")
    for query in ("", "?q=secret", "?sort=title", "?status=Pending"):
        body = (await bob.get(f"/api/tasks{query}")).json()
        assert (body["data"], body["total"]) == ([], 0)
