"""Every route × anonymous, the owner, another user, a banned user, a deleted user.

A new route without a row here fails.
"""

from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from adapters.http.routing import DirectRoute
from adapters.memory.store import MemoryStore
from domain.sessions import Session
from tests.conftest import LogEvents
from tests.http.backend import build_backend
from tests.http.client import client_of, error_of, new_task
from tests.http.credentials import HEADERS_OF, SESSIONLESS
from tests.http.rows import add_session, add_task, add_user, snapshot

Row = tuple[str, str, dict[str, Any], int]
# Method, path, arguments of the request, and the status for the owner.
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
    for path in (
        *("/health", "/health/db", "/livez", "/readyz", "/metrics"),
        *("/openapi.json", "/docs", "/docs/{name}"),
    )
} | {("POST", f"/api/auth/{name}") for name in ("signup", "login", "logout")}
ROWS = pytest.mark.parametrize(("method", "path", "kwargs", "status"), PROTECTED)
OBJECTS = pytest.mark.parametrize(
    ("method", "path", "kwargs", "status"), [row for row in PROTECTED if "{task_id}" in row[1]]
)


def test_every_route_has_a_row(app: FastAPI) -> None:
    served = set()
    for route in app.routes:
        assert isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}:
            served.add((method, route.path))
    expected = {(method, path) for method, path, _, _ in PROTECTED} | PUBLIC
    assert served == expected


def test_every_protected_route_authenticates(app: FastAPI) -> None:
    for route in app.routes:
        if isinstance(route, DirectRoute):
            protected = any(route.path == path for _, path, _, _ in PROTECTED)
            assert route.is_protected is protected


@ROWS
async def test_anonymous_is_rejected(
    anonymous: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    method: str,
    path: str,
    kwargs: dict[str, Any],
    status: int,
) -> None:
    task = await new_task(ann)
    response = await anonymous.request(
        method, path.format(task_id=task["id"], session_id="s"), **kwargs
    )
    assert error_of(response) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == "Bearer"
    assert (await ann.get(f"/api/tasks/{task['id']}")).json() == task


@ROWS
async def test_authentication_comes_before_validation(
    anonymous: httpx.AsyncClient, method: str, path: str, kwargs: dict[str, Any], status: int
) -> None:
    """401 takes precedence over an invalid id, parameter or value."""
    for suffix in ("", "?unknown=1"):
        body: dict[str, Any] = {"json": {"wrong": 1}} if kwargs else {}
        response = await anonymous.request(
            method, path.format(task_id="x", session_id="s") + suffix, **body
        )
        assert error_of(response) == (401, "UNAUTHENTICATED")


@ROWS
async def test_owner(
    ann: httpx.AsyncClient, method: str, path: str, kwargs: dict[str, Any], status: int
) -> None:
    task = await new_task(ann)
    response = await ann.request(method, path.format(task_id=task["id"], session_id="s"), **kwargs)
    assert response.status_code == status


@OBJECTS
async def test_another_user_is_rejected(
    ann: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    log_events: LogEvents,
    method: str,
    path: str,
    kwargs: dict[str, Any],
    status: int,
) -> None:
    """The response reveals nothing of the task; a warning in the log names both users."""
    task = await new_task(ann, title="a secret plan")
    response = await bob.request(method, path.format(task_id=task["id"], session_id="s"), **kwargs)
    assert error_of(response) == (403, "FORBIDDEN")
    assert "ann" not in response.text
    assert "secret" not in response.text
    [warning] = [event for event in log_events if event["event"] == "task_refused"]
    assert (warning["user_id"], warning["owner_id"]) == ("bob", "ann")
    assert (warning["task_id"], warning["log_level"]) == (task["id"], "warning")
    assert (await ann.get(f"/api/tasks/{task['id']}")).json() == task


@OBJECTS
async def test_another_user_with_hidden_foreign_tasks(
    method: str, path: str, kwargs: dict[str, Any], status: int
) -> None:
    """The response is that of a missing task, except for what identifies the request."""
    app = build_backend(hide_foreign_tasks=True).app
    async with client_of(app, "ann") as ann, client_of(app, "bob") as bob:
        task = await new_task(ann)
        foreign = await bob.request(
            method, path.format(task_id=task["id"], session_id="s"), **kwargs
        )
        missing = await bob.request(method, path.format(task_id=99, session_id="s"), **kwargs)
        assert error_of(foreign) == error_of(missing) == (404, "TASK_NOT_FOUND")
        varying = {"instance", "request_id", "timestamp"}
        assert {k: v for k, v in foreign.json().items() if k not in varying} == {
            k: v for k, v in missing.json().items() if k not in varying
        }
        assert foreign.headers.keys() == missing.headers.keys()
        assert (await ann.get(f"/api/tasks/{task['id']}")).json() == task


async def test_another_user_cannot_end_a_session(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """The session seems not to exist, and stays alive."""
    bobs = add_session(store, add_user(store, "bob").id)
    before = snapshot(store)
    for headers_of in HEADERS_OF.values():
        path = f"/api/users/me/sessions/{session.id}"
        response = await anonymous.delete(path, headers=headers_of(bobs))
        assert error_of(response) == (404, "SESSION_NOT_FOUND")
        assert "ann" not in response.text.lower()
    assert snapshot(store) == before


@ROWS
async def test_every_route_accepts_every_credential(
    anonymous: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    method: str,
    path: str,
    kwargs: dict[str, Any],
    status: int,
) -> None:
    """`refresh` alone needs a credential that belongs to a session."""
    for name, headers_of in HEADERS_OF.items():
        add_user(store)
        add_session(store)
        url = path.format(task_id=add_task(store).id, session_id="s")
        response = await anonymous.request(method, url, headers=headers_of(session), **kwargs)
        refreshed = path == "/api/auth/refresh" and name not in SESSIONLESS
        assert response.status_code == (200 if refreshed else status), name
        store.deleted_users.clear()


@ROWS
async def test_banned_user_is_rejected(
    anonymous: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    method: str,
    path: str,
    kwargs: dict[str, Any],
    status: int,
) -> None:
    """On every route, with and without a session, and nothing changes."""
    store.users["ann"].banned = True
    url = path.format(task_id=add_task(store).id, session_id=session.id)
    before = snapshot(store)
    for name in ("cookie", "shared secret"):
        headers = HEADERS_OF[name](session)
        response = await anonymous.request(method, url, headers=headers, **kwargs)
        assert error_of(response) == (403, "USER_BANNED"), name
    assert snapshot(store) == before


@ROWS
async def test_deleted_user_is_rejected(
    anonymous: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    method: str,
    path: str,
    kwargs: dict[str, Any],
    status: int,
) -> None:
    """No earlier credential authenticates or brings the user back."""
    task = add_task(store)
    old_headers = {name: HEADERS_OF[name](session) for name in ("cookie", "shared secret")}
    await anonymous.delete("/api/users/me", headers=old_headers["cookie"])
    before = snapshot(store)
    url = path.format(task_id=task.id, session_id=session.id)
    for name, headers in old_headers.items():
        response = await anonymous.request(method, url, headers=headers, **kwargs)
        expected = "UNKNOWN_USER" if name in SESSIONLESS else "UNAUTHENTICATED"
        assert error_of(response) == (401, expected), name
    assert snapshot(store) == before
    assert not store.users


async def test_lists_contain_no_tasks_of_other_users(
    ann: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await new_task(ann, title="a secret plan")
    for query in ("", "?q=secret", "?sort=title", "?status=Pending"):
        body = (await bob.get(f"/api/tasks{query}")).json()
        assert (body["data"], body["total"]) == ([], 0)
