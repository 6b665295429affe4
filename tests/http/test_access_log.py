"""The access log: one line per request, without secrets."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from adapters.asgi import access_log
from application.ports.passwords import Passwords
from domain.sessions import Session
from domain.tasks import TaskRepository
from tests.conftest import LogEvents
from tests.http.api import LOG_IN, LOG_OUT, LOGIN, SIGN_UP, TASK, TASKS, WRONG_LOGIN
from tests.http.backend import build_backend
from tests.http.client import (
    client_of,
    error_of,
    new_task,
    scope_of,
    send_json,
    shared_secret_token,
)
from tests.http.credentials import (
    CREDENTIALS,
    HEADERS_OF,
    Headers,
    bearer,
    cookie,
    signature,
    signed,
)
from tests.http.fakes import CrashingPasswords, FailingTasks
from tests.http.metrics import limit_decisions, requests_counted

CANARY: Final = "canary-5b1c"
FIELDS: Final = {
    *("event", "log_level", "method", "route", "status", "duration_ms"),
    *("request_id", "user_id", "address"),
}


def only(log_events: LogEvents, event: str) -> Any:
    """The only event with this name."""
    access_log.flush()
    [line] = [line for line in log_events if line["event"] == event]
    return line


def last(log_events: LogEvents) -> Any:
    """The access-log line of the last request."""
    access_log.flush()
    return [line for line in log_events if line["event"] == "request"][-1]


def summary(line: Any) -> tuple[str, str | None, int, str | None]:
    return line["method"], line["route"], line["status"], line["user_id"]


# Access-log lines


async def test_request_writes_one_line(ann: httpx.AsyncClient, log_events: LogEvents) -> None:
    task = await new_task(ann)
    access_log.flush()
    log_events.clear()
    response = await ann.get(f"{TASKS}/{task['id']}", headers={"X-Request-ID": "of-the-page"})
    assert response.status_code == 200
    access_log.flush()
    [line] = log_events
    assert set(line) == FIELDS | {"timestamp"}
    assert summary(line) == ("GET", "/api/tasks/{task_id}", 200, "ann")
    assert (line["event"], line["log_level"]) == ("request", "info")
    assert line["request_id"] == "of-the-page"
    assert line["address"] == "127.0.0.1"
    assert 0 < line["duration_ms"] < 10_000


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", TASKS, ("GET", TASKS, 200, "ann")),
        ("HEAD", TASKS, ("HEAD", TASKS, 200, "ann")),
        ("POST", TASKS, ("POST", TASKS, 422, "ann")),
        ("GET", f"{TASKS}/4711", ("GET", "/api/tasks/{task_id}", 404, "ann")),
        ("GET", f"{TASKS}/{CANARY}", ("GET", "/api/tasks/{task_id}", 422, "ann")),
        ("GET", f"{TASKS}?q={CANARY}", ("GET", TASKS, 200, "ann")),
        ("GET", f"{TASKS}?{CANARY}=1", ("GET", TASKS, 422, "ann")),
        ("GET", f"/{CANARY}", ("GET", None, 404, None)),
        ("DELETE", TASKS, ("DELETE", None, 405, None)),
        ("BREW", TASKS, ("BREW", None, 405, None)),
        ("GET", "/livez", ("GET", "/livez", 200, None)),
        ("GET", "/docs", ("GET", "/docs", 200, None)),
        ("GET", f"/docs/{CANARY}", ("GET", "/docs/{name}", 404, None)),
        (
            "DELETE",
            "/api/users/me/sessions/x",
            ("DELETE", "/api/users/me/sessions/{session_id}", 404, "ann"),
        ),
    ],
)
async def test_line_has_the_route_instead_of_the_path(
    ann: httpx.AsyncClient,
    log_events: LogEvents,
    method: str,
    path: str,
    expected: tuple[str, str | None, int, str | None],
) -> None:
    """An unknown path has no route. Paths and queries are private."""
    await ann.request(method, path)
    line = only(log_events, "request")
    assert summary(line) == expected
    assert "canary" not in str(log_events)


async def test_preflight(ann: httpx.AsyncClient, log_events: LogEvents) -> None:
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    assert (await ann.options(TASKS, headers=headers)).status_code == 200
    assert summary(only(log_events, "request")) == ("OPTIONS", None, 200, None)


@pytest.mark.parametrize("name", CREDENTIALS)
async def test_line_names_the_authenticated_user(
    app: FastAPI, session: Session, log_events: LogEvents, name: str
) -> None:
    headers = HEADERS_OF[name](session)
    assert (await send_json(app, "GET", TASKS, headers)).status_code == 200
    assert last(log_events)["user_id"] == "ann"


@pytest.mark.parametrize(
    "headers",
    [
        cookie(CANARY),
        cookie(signed(CANARY)),
        cookie(signed(CANARY, "x" * 40)),
        [("Authorization", f"Bearer {CANARY}")],
        [("Authorization", f"Bearer {CANARY}.{signature(CANARY)}")],
        [("Authorization", f"Bearer {shared_secret_token('ann', exp=1)}")],
        [("Authorization", f"Bearer eyJhbGciOiJub25lIn0.{CANARY}.")],
        [("Authorization", f"Basic {CANARY}")],
        [("Authorization", CANARY), ("Authorization", CANARY)],
        [],
    ],
)
async def test_line_of_a_failed_authentication_names_no_user(
    app: FastAPI, session: Session, log_events: LogEvents, headers: Headers
) -> None:
    assert (await send_json(app, "GET", TASKS, headers)).status_code == 401
    assert summary(only(log_events, "request")) == ("GET", TASKS, 401, None)
    assert "canary" not in str(log_events)


async def test_invalid_request_id_is_replaced_in_the_log(
    app: FastAPI, log_events: LogEvents
) -> None:
    for request_id in (f"{CANARY}\r\nX: 1", f"{CANARY} ", "c" * 129, f"{CANARY}\x1b[31m", ""):
        response = await send_json(app, "GET", "/livez", [("X-Request-ID", request_id)])
        line = last(log_events)
        assert re.fullmatch("[0-9a-f]{32}", line["request_id"]), request_id
        assert response.headers["x-request-id"] == line["request_id"]


async def test_line_of_a_sign_in_names_the_user(
    app: FastAPI, anonymous: httpx.AsyncClient, log_events: LogEvents
) -> None:
    """Neither the email address nor the password is logged."""
    signed_up = (await anonymous.post(SIGN_UP, json=LOGIN)).json()
    assert summary(last(log_events)) == ("POST", SIGN_UP, 201, signed_up["user"]["id"])
    logged_in = (await anonymous.post(LOG_IN, json=LOGIN)).json()
    assert summary(last(log_events)) == ("POST", LOG_IN, 200, signed_up["user"]["id"])
    headers = bearer(logged_in["session_token"])
    assert (await send_json(app, "POST", LOG_OUT, headers)).status_code == 204
    assert summary(last(log_events)) == ("POST", LOG_OUT, 204, signed_up["user"]["id"])
    tokens = signed_up["session_token"], signed_up["access_token"]
    for secret in (LOGIN["email"], LOGIN["password"], *tokens):
        assert secret not in str(log_events)


# Disconnects and cancellation


async def send_to(app: FastAPI, receive: Callable[[], Any], headers: Headers) -> list[Message]:
    """The messages that the application sends to a client with this `receive`."""
    messages: list[Message] = []
    all_headers = [("Host", "test"), ("Content-Type", "application/json"), *headers]

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope_of("POST", TASKS, all_headers), receive, send)
    return messages


async def test_disconnect_before_the_response(app: FastAPI, log_events: LogEvents) -> None:
    """The status is 499, which is never sent."""

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    before = requests_counted("POST", TASKS, 499)
    assert await send_to(app, receive, [("Authorization", f"Bearer {shared_secret_token()}")]) == []
    access_log.flush()
    [line] = log_events
    assert summary(line) == ("POST", TASKS, 499, None)
    assert requests_counted("POST", TASKS, 499) == before + 1


async def test_cancelled_request(app: FastAPI, log_events: LogEvents) -> None:
    """A request that the server cancels when it stops is logged as well."""

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    request = asyncio.create_task(send_to(app, receive, []))
    # It runs up to its first wait for something outside the event loop, or to its end.
    for _ in range(100):
        await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert only(log_events, "request")["status"] == 499


# Crashes and rejections


async def test_crash_is_logged_once_with_its_traceback(log_events: LogEvents) -> None:
    """The event has the fields of the access log, and is logged beside the access-log line."""
    backend = build_backend({TaskRepository: FailingTasks(RuntimeError(CANARY))})
    async with client_of(backend.app, "ann") as ann:
        response = await ann.get(TASKS, headers={"X-Request-ID": "of-the-page"})
    assert error_of(response) == (500, "INTERNAL_ERROR")
    assert summary(last(log_events)) == ("GET", TASKS, 500, "ann")
    line = only(log_events, "request_crashed")
    assert line["log_level"] == "error"
    assert (line["route"], line["user_id"]) == (TASKS, "ann")
    assert (line["request_id"], line["address"]) == ("of-the-page", "127.0.0.1")
    assert len(log_events) == 2


async def test_crash_before_authentication(log_events: LogEvents) -> None:
    backend = build_backend({Passwords: CrashingPasswords()})
    async with client_of(backend.app) as anonymous:
        assert error_of(await anonymous.post(LOG_IN, json=LOGIN)) == (500, "INTERNAL_ERROR")
    assert only(log_events, "request_crashed")["user_id"] is None


@pytest.mark.parametrize("hidden", [False, True])
async def test_rejected_access_names_both_users(log_events: LogEvents, hidden: bool) -> None:
    app = build_backend(hide_foreign_tasks=hidden).app
    async with client_of(app, "ann") as ann, client_of(app, "bob") as bob:
        task = await new_task(ann)
        response = await bob.delete(f"{TASKS}/{task['id']}")
    assert response.status_code == (404 if hidden else 403)
    line = only(log_events, "task_refused")
    assert line["log_level"] == "warning"
    assert (line["user_id"], line["owner_id"], line["task_id"]) == ("bob", "ann", task["id"])
    assert line["route"] == "/api/tasks/{task_id}"
    assert line["request_id"] == response.json()["request_id"]
    assert line["address"] == "127.0.0.1"
    assert TASK["title"] not in str(log_events)


async def test_failed_sign_in_names_the_account(
    anonymous: httpx.AsyncClient, log_events: LogEvents
) -> None:
    """If there is one. The attempted email address and password are not logged."""
    signed_up = (await anonymous.post(SIGN_UP, json=LOGIN)).json()
    for body, account in (
        (WRONG_LOGIN, signed_up["user"]["id"]),
        ({**LOGIN, "email": f"{CANARY}@example.com"}, None),
    ):
        log_events.clear()
        response = await anonymous.post(LOG_IN, json=body)
        assert error_of(response) == (401, "INVALID_CREDENTIALS")
        line = only(log_events, "sign_in_failed")
        assert (line["log_level"], line["account"]) == ("warning", account)
        # The caller has not proved to be that user.
        assert line["user_id"] is None
        assert (line["route"], line["address"]) == (LOG_IN, "127.0.0.1")
        assert line["request_id"] == response.json()["request_id"]
        assert "horse" not in str(log_events)
        assert "@" not in str(log_events)


async def test_reached_request_limit_is_logged_once_per_window(log_events: LogEvents) -> None:
    """Further rejections are not logged, so that a flood of requests cannot flood the log."""
    app = build_backend(rate_limit="2/minute").app
    before = limit_decisions("requests", "allowed"), limit_decisions("requests", "refused")
    async with client_of(app, "ann") as ann:
        statuses = [(await ann.get(TASKS)).status_code for _ in range(5)]
    assert statuses == [200, 200, 429, 429, 429]
    line = only(log_events, "limit_reached")
    assert (line["log_level"], line["limit"]) == ("warning", "requests")
    assert (line["user_id"], line["route"], line["address"]) == ("ann", TASKS, "127.0.0.1")
    after = limit_decisions("requests", "allowed"), limit_decisions("requests", "refused")
    assert (after[0] - before[0], after[1] - before[1]) == (2, 3)


@pytest.mark.parametrize(("path", "limit"), [(LOG_IN, "log_ins"), (SIGN_UP, "sign_ups")])
async def test_reached_sign_in_limits_are_logged(
    log_events: LogEvents, path: str, limit: str
) -> None:
    app = build_backend(auth_rate_limit="1/minute").app
    before = limit_decisions(limit, "refused")
    async with client_of(app) as anonymous:
        for number in range(3):
            response = await anonymous.post(path, json={**LOGIN, "email": f"{number}@example.com"})
    assert response.status_code == 429
    lines = [line for line in log_events if line["event"] == "limit_reached"]
    assert {line["limit"] for line in lines} == {limit}
    assert {line["route"] for line in lines} == {path}
    assert limit_decisions(limit, "refused") - before == len(lines) > 0
