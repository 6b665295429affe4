"""Every route × nobody, the owner, another user, somebody banned, somebody deleted.

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
from tests.conftest import Logged
from tests.http.backend import build_backend
from tests.http.client import client_of, code, new_task
from tests.http.people import (
    OF_NO_SESSION,
    PROOFS,
    add_session,
    add_task,
    add_user,
    contents,
)

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
    for path in (
        *("/health", "/health/db", "/livez", "/readyz", "/metrics"),
        *("/openapi.json", "/docs", "/docs/{name}"),
    )
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
    assert served == expected


def test_every_protected_route_asks_who_is_there(app: FastAPI) -> None:
    for route in app.routes:
        if isinstance(route, DirectRoute):
            protected = any(route.path == path for _, path, _, _ in PROTECTED)
            assert route.is_protected is protected


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
    logged: Logged,
    method: str,
    path: str,
    sent: dict[str, Any],
    status: int,
) -> None:
    """403, in which nothing of the task is told; a warning names both users."""
    task = await new_task(ann, title="a secret plan")
    answer = await bob.request(method, path.format(task_id=task["id"], session_id="s"), **sent)
    assert code(answer) == (403, "FORBIDDEN")
    assert "ann" not in answer.text
    assert "secret" not in answer.text
    [warning] = [event for event in logged if event["event"] == "task_refused"]
    assert (warning["user_id"], warning["owner_id"]) == ("bob", "ann")
    assert (warning["task_id"], warning["log_level"]) == (task["id"], "warning")
    assert (await ann.get(f"/api/tasks/{task['id']}")).json() == task


@OBJECTS
async def test_another_user_where_foreign_tasks_are_hidden(
    method: str, path: str, sent: dict[str, Any], status: int
) -> None:
    """The answer is the same as for no task at all, but for what names the request."""
    app = build_backend(hide_foreign_tasks=True).app
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


async def test_another_user_where_the_object_is_a_session(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """Its own answer: that there is none; told or not, the session lives on."""
    bobs = add_session(store, add_user(store, "bob").id)
    before = contents(store)
    for _, show in PROOFS.values():
        path = f"/api/users/me/sessions/{session.id}"
        answer = await nobody.delete(path, headers=show(bobs))
        assert code(answer) == (404, "SESSION_NOT_FOUND")
        assert "ann" not in answer.text.lower()
    assert contents(store) == before


@ROWS
async def test_every_route_takes_every_credential(
    nobody: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    method: str,
    path: str,
    sent: dict[str, Any],
    status: int,
) -> None:
    """But for `refresh`, which needs one that stands for a session."""
    for name, (_, show) in PROOFS.items():
        add_user(store)
        add_session(store)
        where = path.format(task_id=add_task(store).id, session_id="s")
        answer = await nobody.request(method, where, headers=show(session), **sent)
        refreshed = path == "/api/auth/refresh" and name not in OF_NO_SESSION
        assert answer.status_code == (200 if refreshed else status), name
        store.deleted_users.clear()


@ROWS
async def test_somebody_who_is_banned(
    nobody: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    method: str,
    path: str,
    sent: dict[str, Any],
    status: int,
) -> None:
    """Refused on every route, by a session and without; and nothing changes."""
    store.users["ann"].banned = True
    where = path.format(task_id=add_task(store).id, session_id=session.id)
    before = contents(store)
    for name in ("cookie", "shared secret"):
        shown = PROOFS[name][1](session)
        answer = await nobody.request(method, where, headers=shown, **sent)
        assert code(answer) == (403, "USER_BANNED"), name
    assert contents(store) == before


@ROWS
async def test_somebody_who_is_deleted(
    nobody: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    method: str,
    path: str,
    sent: dict[str, Any],
    status: int,
) -> None:
    """Nobody any more, whatever they show; and nobody comes back."""
    task = add_task(store)
    shown = {name: PROOFS[name][1](session) for name in ("cookie", "shared secret")}
    await nobody.delete("/api/users/me", headers=shown["cookie"])
    before = contents(store)
    where = path.format(task_id=task.id, session_id=session.id)
    for name, headers in shown.items():
        answer = await nobody.request(method, where, headers=headers, **sent)
        gone = "UNKNOWN_USER" if name in OF_NO_SESSION else "UNAUTHENTICATED"
        assert code(answer) == (401, gone), name
    assert contents(store) == before
    assert not store.users


async def test_lists_show_nothing_of_others(ann: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await new_task(ann, title="a secret plan")
    for query in ("", "?q=secret", "?sort=title", "?status=Pending"):
        body = (await bob.get(f"/api/tasks{query}")).json()
        assert (body["data"], body["total"]) == ([], 0)
