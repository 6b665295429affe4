"""The body of every error, unknown paths and methods, crashes and deadlines."""

import asyncio
import json
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from adapters.asgi import deadline
from adapters.asgi.errors import WireError
from adapters.http.errors import STATUSES, status_of
from domain import errors
from domain.errors import TaskportError, Unavailable
from domain.tasks import TaskNotFound, TaskRepository
from domain.users import EmailTaken
from tests.conftest import AdvanceTime, LogEvents
from tests.http.api import TASKS
from tests.http.backend import build_backend
from tests.http.client import ORIGIN, client_of, error_of, new_task, scope_of, shared_secret_token
from tests.http.fakes import FailingTasks, HangingTasks

CODES = {
    400: {"MALFORMED_REQUEST"},
    401: {"UNAUTHENTICATED", "INVALID_CREDENTIALS", "UNKNOWN_USER"},
    403: {
        "FORBIDDEN",
        "CROSS_SITE_REQUEST",
        "SIGN_UP_CLOSED",
        "SIGN_IN_ELSEWHERE",
        "EMAIL_NOT_VERIFIED",
        "SECOND_FACTOR_REQUIRED",
        "USER_BANNED",
    },
    404: {"NOT_FOUND", "TASK_NOT_FOUND", "SESSION_NOT_FOUND"},
    405: {"METHOD_NOT_ALLOWED"},
    408: {"REQUEST_TIMEOUT"},
    409: {"EMAIL_TAKEN", "ACCOUNT_IN_USE"},
    412: {"STALE_TASK"},
    413: {"BODY_TOO_LARGE"},
    415: {"UNSUPPORTED_MEDIA_TYPE"},
    422: {"VALIDATION_ERROR"},
    429: {"TOO_MANY_REQUESTS"},
    503: {"UNAVAILABLE"},
}


ABSTRACT = {TaskportError, errors.Conflict, errors.Refused, errors.Stale}


def subclasses(kind: type[Any]) -> set[type[Any]]:
    """The class and all its subclasses."""
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_every_error_has_a_status_and_a_code_of_the_contract() -> None:
    assert {TaskNotFound, EmailTaken} <= subclasses(TaskportError)
    specific = [
        kind
        for kind in subclasses(TaskportError) - ABSTRACT
        if kind.__module__.startswith(("domain", "application"))
    ]
    for kind in specific:
        assert kind.code in CODES[status_of(kind)]
        assert kind.message.endswith(".")
    for wire in subclasses(WireError) - {WireError}:
        assert wire.code in CODES[wire.status]
    assert set(STATUSES.values()) <= CODES.keys()


async def test_body_of_an_error(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.get(TASKS, headers={"X-Request-ID": "my-id.1"})
    body = response.json()
    assert uuid.UUID(body.pop("instance").removeprefix("urn:uuid:")).version == 4
    assert abs(datetime.fromisoformat(body.pop("timestamp")) - datetime.now(UTC)).seconds < 5
    assert body == {
        "error_code": "UNAUTHENTICATED",
        "message": "Valid credentials are required.",
        "details": {},
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Valid credentials are required.",
        "request_id": "my-id.1",
    }
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"] == "my-id.1"


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 129, "ä", "a\tb", "<x>"])
async def test_invalid_request_id_is_replaced(
    anonymous: httpx.AsyncClient, request_id: str
) -> None:
    response = await anonymous.get("/health", headers={b"X-Request-ID": request_id.encode()})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


async def test_unknown_path(ann: httpx.AsyncClient) -> None:
    for path in (
        "/",
        "/api",
        "/api/tasks%0A",
        "/health%0A",
        "/api/tasks/",
        "/api/tasks/1/",
        "/api/tasks/1/x",
        "//api/tasks",
    ):
        assert error_of(await ann.get(path)) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", TASKS, "GET, HEAD, POST"),
        ("POST", f"{TASKS}/1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("TRACE", f"{TASKS}/1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("GET", f"{TASKS}/1/complete", "PATCH"),
        ("HEAD", f"{TASKS}/1/complete", "PATCH"),
        ("OPTIONS", TASKS, "GET, HEAD, POST"),
        ("BREW", "/health", "GET, HEAD"),
    ],
)
async def test_unknown_method(ann: httpx.AsyncClient, method: str, path: str, allowed: str) -> None:
    response = await ann.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    if method != "HEAD":
        assert error_of(response) == (405, "METHOD_NOT_ALLOWED")


async def test_method_override_header_is_ignored(ann: httpx.AsyncClient) -> None:
    task = await new_task(ann)
    headers = {"X-HTTP-Method-Override": "DELETE"}
    assert (await ann.get(f"{TASKS}/{task['id']}", headers=headers)).status_code == 200
    assert (await ann.get(f"{TASKS}/{task['id']}")).status_code == 200


async def test_errors_do_not_repeat_input(ann: httpx.AsyncClient) -> None:
    canary = "canary-7f3a"
    for response in (
        await ann.post(TASKS, json={"title": {"x": canary}, "status": canary}),
        await ann.post(TASKS, json={"title": f"{canary}\0"}),
        await ann.post(TASKS, json={f"{canary} ": canary}),
        await ann.post(
            TASKS, content=f'{{"{canary}'.encode(), headers={"Content-Type": "application/json"}
        ),
        await ann.get(f"{TASKS}/{canary}"),
        await ann.get(f"{TASKS}?status={canary}&q={canary}%00"),
        await ann.get(f"/{canary}"),
    ):
        assert response.is_error
        assert canary not in response.text


async def test_crash_is_a_regular_error(log_events: LogEvents) -> None:
    """500 with all headers. The traceback is only logged, and the process keeps serving."""
    error = RuntimeError("canary-5b1c")
    backend = build_backend({TaskRepository: FailingTasks(error)}, cors_origins=ORIGIN)
    async with client_of(backend.app, "ann") as ann:
        response = await ann.get(TASKS, headers={"Origin": ORIGIN})
        assert (await ann.get("/health")).status_code == 200
    assert error_of(response) == (500, "INTERNAL_ERROR")
    assert "canary" not in response.text
    [crash] = [event for event in log_events if event["event"] == "request_crashed"]
    assert crash["log_level"] == "error"
    assert crash["exc_info"]
    assert crash["request_id"] == response.json()["request_id"]
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"] == response.json()["request_id"]


async def test_slow_request_times_out(log_events: LogEvents, advance_time: AdvanceTime) -> None:
    tasks = HangingTasks()
    async with client_of(build_backend({TaskRepository: tasks}).app, "ann") as ann:
        request = asyncio.create_task(ann.get(TASKS))
        await tasks.started.wait()
        advance_time(deadline.REQUEST_SECONDS)
        response = await request
    assert error_of(response) == (503, "UNAVAILABLE")
    assert int(response.headers["retry-after"]) >= 1
    [line] = [event for event in log_events if event["event"] == "request_given_up"]
    assert line["request_id"] == response.json()["request_id"]


async def test_deadline_during_a_response_sends_no_second_response(
    app: FastAPI, log_events: LogEvents, advance_time: AdvanceTime
) -> None:
    """The client reads too slowly."""
    types: list[str] = []
    is_sending = asyncio.Event()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        types.append(message["type"])
        if message["type"] == "http.response.body" and not is_sending.is_set():
            is_sending.set()
            await asyncio.Event().wait()

    scope = scope_of("GET", "/health", [("Host", "test")])
    request = asyncio.ensure_future(app(scope, receive, send))
    await is_sending.wait()
    advance_time(deadline.REQUEST_SECONDS)
    await request
    assert types == ["http.response.start", "http.response.body"]
    assert "request_given_up" in {event["event"] for event in log_events}


async def test_cancelled_request_stays_cancelled(log_events: LogEvents) -> None:
    """As a stopping server cancels it. It is neither a timeout nor a crash, and has no response."""
    tasks = HangingTasks()
    async with client_of(build_backend({TaskRepository: tasks}).app, "ann") as ann:
        request = asyncio.create_task(ann.get(TASKS))
        await tasks.started.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert not {"request_given_up", "request_crashed"} & {event["event"] for event in log_events}


async def test_request_cancelled_at_its_deadline_stays_cancelled(
    advance_time: AdvanceTime,
) -> None:
    tasks = HangingTasks()
    async with client_of(build_backend({TaskRepository: tasks}).app, "ann") as ann:
        request = asyncio.create_task(ann.get(TASKS))
        await tasks.started.wait()
        later = deadline.REQUEST_SECONDS + 1
        asyncio.get_running_loop().call_later(later, request.cancel)
        # Both timers are due in the same iteration of the event loop.
        advance_time(later)
        with pytest.raises(asyncio.CancelledError):
            await request


async def test_timeout_error_of_a_port_is_a_crash() -> None:
    backend = build_backend({TaskRepository: FailingTasks(TimeoutError())})
    async with client_of(backend.app, "ann") as ann:
        assert error_of(await ann.get(TASKS)) == (500, "INTERNAL_ERROR")


async def test_crash_during_a_response_sends_no_second_response(
    app: FastAPI, log_events: LogEvents
) -> None:
    """The client would take the error for a part of the first response."""
    types: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        types.append(message["type"])
        if message["type"] == "http.response.body":
            raise RuntimeError("broken pipe")

    await app(scope_of("GET", "/health", [("Host", "test")]), receive, send)
    assert types == ["http.response.start", "http.response.body"]
    assert [event["event"] for event in log_events if event["log_level"] == "error"] == [
        "request_crashed"
    ]


async def test_unavailable_has_a_retry_after_header() -> None:
    backend = build_backend({TaskRepository: FailingTasks(Unavailable(retry_after=7))})
    async with client_of(backend.app, "ann") as ann:
        response = await ann.get(TASKS)
    assert error_of(response) == (503, "UNAVAILABLE")
    assert response.headers["retry-after"] == "7"


async def test_disconnect_during_the_body_is_not_a_crash(app: FastAPI) -> None:
    """No response is sent, and no crash is logged."""
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    headers = [
        ("Authorization", f"Bearer {shared_secret_token()}"),
        ("Content-Type", "application/json"),
    ]
    await app(scope_of("POST", TASKS, [("Host", "test"), *headers]), receive, send)
    assert messages == []


async def test_errors_are_json(ann: httpx.AsyncClient) -> None:
    response = await ann.get(f"{TASKS}/0")
    assert json.loads(response.content)["status"] == 422
