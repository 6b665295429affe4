"""The body of every error, and requests that cannot be read."""

import asyncio
import json
import re
import sys
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from adapters.asgi import body as json_body
from adapters.asgi import deadline
from adapters.asgi.errors import MalformedRequest, WireError
from adapters.http.errors import STATUSES, status_of
from domain import errors, tasks, users
from domain.errors import TaskportError, Unavailable
from domain.tasks import TaskRepository
from tests.conftest import Logged, Skip
from tests.http.backend import build_backend
from tests.http.client import ORIGIN, client_of, code, new_task, scope_of, token
from tests.http.fakes import FailingTasks, HangingTasks

PATH = "/api/tasks"
CODES = {
    400: {"MALFORMED_REQUEST"},
    401: {"UNAUTHENTICATED", "INVALID_CREDENTIALS", "UNKNOWN_USER"},
    403: {
        "FORBIDDEN",
        "CROSS_SITE_REQUEST",
        "SIGN_UP_CLOSED",
        "EMAIL_NOT_VERIFIED",
        "SECOND_FACTOR_REQUIRED",
        "USER_BANNED",
    },
    404: {"NOT_FOUND", "TASK_NOT_FOUND", "SESSION_NOT_FOUND"},
    405: {"METHOD_NOT_ALLOWED"},
    408: {"REQUEST_TIMEOUT"},
    409: {"EMAIL_TAKEN"},
    412: {"STALE_TASK"},
    413: {"BODY_TOO_LARGE"},
    415: {"UNSUPPORTED_MEDIA_TYPE"},
    422: {"VALIDATION_ERROR"},
    429: {"TOO_MANY_REQUESTS"},
    503: {"UNAVAILABLE"},
}


def every(kind: type[Any]) -> set[type[Any]]:
    return {kind}.union(*(every(child) for child in kind.__subclasses__()))


def test_every_error_has_a_status_and_a_code_of_the_contract() -> None:
    assert {tasks.TaskNotFound, users.EmailTaken} <= every(TaskportError)
    named = [
        kind
        for kind in every(TaskportError) - {TaskportError, errors.Conflict, errors.Stale}
        if kind.__module__.startswith(("domain", "application"))
    ]
    for kind in named:
        assert kind.code in CODES[status_of(kind)]
        assert kind.message.endswith(".")
    for wire in every(WireError) - {WireError}:
        assert wire.code in CODES[wire.status]
    assert set(STATUSES.values()) <= CODES.keys()


async def test_the_body_of_an_error(nobody: httpx.AsyncClient) -> None:
    answer = await nobody.get(PATH, headers={"X-Request-ID": "my-id.1"})
    body = answer.json()
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
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"] == "my-id.1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "ä", "a\tb", "<x>"])
async def test_a_request_id_that_is_not_sane_is_replaced(
    nobody: httpx.AsyncClient, given: str
) -> None:
    answer = await nobody.get("/health", headers={b"X-Request-ID": given.encode()})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_an_address_that_nobody_serves(ann: httpx.AsyncClient) -> None:
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
        assert code(await ann.get(path)) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", PATH, "GET, HEAD, POST"),
        ("POST", f"{PATH}/1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("TRACE", f"{PATH}/1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("GET", f"{PATH}/1/complete", "PATCH"),
        ("HEAD", f"{PATH}/1/complete", "PATCH"),
        ("OPTIONS", PATH, "GET, HEAD, POST"),
        ("BREW", "/health", "GET, HEAD"),
    ],
)
async def test_a_method_that_nobody_serves(
    ann: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await ann.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    if method != "HEAD":
        assert code(answer) == (405, "METHOD_NOT_ALLOWED")


async def test_a_method_in_a_header_is_not_a_method(ann: httpx.AsyncClient) -> None:
    task = await new_task(ann)
    headers = {"X-HTTP-Method-Override": "DELETE"}
    assert (await ann.get(f"{PATH}/{task['id']}", headers=headers)).status_code == 200
    assert (await ann.get(f"{PATH}/{task['id']}")).status_code == 200


DEEP = b'{"title":' + b"[" * 32 + b"]" * 32 + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"title":"x",}',
        b"{'title':'x'}",
        b'{"title":"x"}{}',
        b'{"title":NaN}',
        b'{"title":Infinity}',
        b'{"title":-Infinity}',
        b'{"title":1e999}',
        b'{"title":-1e999}',
        b'{"title":"x","title":"y"}',
        b'{"title":"x","description":{"a":1,"a":2}}',
        b'{"title":"\xff"}',
        b'\xef\xbb\xbf{"title":"x"}',
        '{"title":"x"}'.encode("utf-16"),
        b'{"title":"a\nb"}',
        b'{"title":' + b"9" * 5_000 + b"}",
        DEEP,
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ],
)
async def test_bodies_that_cannot_be_read(ann: httpx.AsyncClient, body: bytes) -> None:
    answer = await ann.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert code(answer) == (400, "MALFORMED_REQUEST")


async def test_a_body_is_looked_at_once() -> None:
    """Twice the body is twice the work, also where a string never ends: counted, not timed."""

    def instructions(body: bytes) -> int:
        steps = 0

        def count(*_: object) -> None:
            nonlocal steps
            steps += 1

        sys.setprofile(count)
        try:
            with suppress(MalformedRequest):
                json_body.parse_json(body)
        finally:
            sys.setprofile(None)
        return steps

    for pattern in (b"[" * 33 + b'"', b'{"a":[' * 40, b"[[],"):
        small, large = (instructions(pattern + b'\\"' * n) for n in (1_000, 16_000))
        assert large <= 32 * max(small, 1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"title":"\\ud800"}',
        b'{"title":"x","\\ud800":1}',
        b'{"title":"x","status":"\\ud800"}',
        b'{"title":"\\u0000"}',
        b'{"title":1.5}',
        b'{"title":{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}}',
        DEEP.replace(b"[", b"", 1).replace(b"]", b"", 1),
    ],
)
async def test_bodies_that_can_be_read_and_are_wrong(ann: httpx.AsyncClient, body: bytes) -> None:
    answer = await ann.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert code(answer) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/merge-patch+json"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/json, text/plain"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_bodies_of_another_kind(ann: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await ann.post(PATH, content=b'{"title":"x"}', headers=headers)
    assert code(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'],
)
async def test_bodies_of_the_right_kind(ann: httpx.AsyncClient, kind: str) -> None:
    answer = await ann.post(PATH, content=b'{"title":"x"}', headers={"Content-Type": kind})
    assert answer.status_code == 201


async def test_a_body_may_have_64_kib_and_not_a_byte_more(ann: httpx.AsyncClient) -> None:
    def padded(size: int) -> bytes:
        return b'{"title":"x"' + b" " * (size - 13) + b"}"

    headers = {"Content-Type": "application/json"}
    assert (await ann.post(PATH, content=padded(65_536), headers=headers)).status_code == 201
    answer = await ann.post(PATH, content=padded(65_537), headers=headers)
    assert code(answer) == (413, "BODY_TOO_LARGE")
    assert answer.headers["connection"] == "close"

    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 65_536

    assert code(await ann.post(PATH, content=chunks(), headers=headers)) == (413, "BODY_TOO_LARGE")


async def test_a_body_that_does_not_arrive(ann: httpx.AsyncClient, skip: Skip) -> None:
    started = asyncio.Event()

    async def never() -> Any:
        yield b"{"
        started.set()
        await asyncio.Event().wait()

    headers = {"Content-Type": "application/json"}
    request = asyncio.create_task(ann.post(PATH, content=never(), headers=headers))
    await started.wait()
    skip(json_body.BODY_SECONDS)
    answer = await request
    assert code(answer) == (408, "REQUEST_TIMEOUT")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("length", [{"Transfer-Encoding": "chunked"}, {}])
async def test_an_upgrade_with_a_body(ann: httpx.AsyncClient, length: dict[str, str]) -> None:
    """The parser would lose the body, or take it for another request."""
    task = await new_task(ann)
    path = f"{PATH}/{task['id']}"
    headers = {"Connection": "Upgrade", "Upgrade": "h2c"}
    answer = await ann.patch(
        f"{path}/complete", json={"completed": False}, headers={**headers, **length}
    )
    assert code(answer) == (400, "MALFORMED_REQUEST")
    assert answer.headers["connection"] == "close"
    assert (await ann.get(path, headers=headers)).json() == task


async def test_an_empty_body_where_one_is_needed(ann: httpx.AsyncClient) -> None:
    answer = await ann.post(PATH)
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["details"]["errors"] == [
        {"field": None, "pointer": "", "error": "is required"}
    ]


async def test_nothing_that_was_sent_comes_back(ann: httpx.AsyncClient) -> None:
    canary = "canary-7f3a"
    for answer in (
        await ann.post(PATH, json={"title": {"x": canary}, "status": canary}),
        await ann.post(PATH, json={"title": f"{canary}\0"}),
        await ann.post(PATH, json={f"{canary} ": canary}),
        await ann.post(
            PATH, content=f'{{"{canary}'.encode(), headers={"Content-Type": "application/json"}
        ),
        await ann.get(f"{PATH}/{canary}"),
        await ann.get(f"{PATH}?status={canary}&q={canary}%00"),
        await ann.get(f"/{canary}"),
    ):
        assert answer.is_error
        assert canary not in answer.text


async def test_a_crash_is_an_error_like_any_other(logged: Logged) -> None:
    """500 with all headers; the traceback is for the log, and the process goes on."""
    error = RuntimeError("canary-5b1c")
    backend = build_backend({TaskRepository: FailingTasks(error)}, cors_origins=ORIGIN)
    async with client_of(backend.app, "ann") as ann:
        answer = await ann.get(PATH, headers={"Origin": ORIGIN})
        assert (await ann.get("/health")).status_code == 200
    assert code(answer) == (500, "INTERNAL_ERROR")
    assert "canary" not in answer.text
    [crash_line] = [event for event in logged if event["event"] == "request_crashed"]
    assert crash_line["log_level"] == "error"
    assert crash_line["exc_info"]
    assert crash_line["request_id"] == answer.json()["request_id"]
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_a_request_that_takes_too_long(logged: Logged, skip: Skip) -> None:
    tasks = HangingTasks()
    async with client_of(build_backend({TaskRepository: tasks}).app, "ann") as ann:
        request = asyncio.create_task(ann.get(PATH))
        await tasks.started.wait()
        skip(deadline.REQUEST_SECONDS)
        answer = await request
    assert code(answer) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) >= 1
    [line] = [event for event in logged if event["event"] == "request_given_up"]
    assert line["request_id"] == answer.json()["request_id"]


async def test_who_ends_a_request_from_outside_is_obeyed(logged: Logged) -> None:
    """As a server does that stops. It is neither late nor a crash, nor is it answered."""
    tasks = HangingTasks()
    async with client_of(build_backend({TaskRepository: tasks}).app, "ann") as ann:
        request = asyncio.create_task(ann.get(PATH))
        await tasks.started.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert not {"request_given_up", "request_crashed"} & {event["event"] for event in logged}


async def test_who_ends_a_late_request_is_obeyed_too(skip: Skip) -> None:
    tasks = HangingTasks()
    async with client_of(build_backend({TaskRepository: tasks}).app, "ann") as ann:
        request = asyncio.create_task(ann.get(PATH))
        await tasks.started.wait()
        later = deadline.REQUEST_SECONDS + 1
        asyncio.get_running_loop().call_later(later, request.cancel)
        # Both timers are due in the same iteration of the event loop.
        skip(later)
        with pytest.raises(asyncio.CancelledError):
            await request


async def test_a_timeout_of_something_else_is_a_crash() -> None:
    backend = build_backend({TaskRepository: FailingTasks(TimeoutError())})
    async with client_of(backend.app, "ann") as ann:
        assert code(await ann.get(PATH)) == (500, "INTERNAL_ERROR")


async def test_a_crash_in_the_middle_of_an_answer_is_not_answered_again(
    app: FastAPI, logged: Logged
) -> None:
    """Whoever reads it would take the error for a part of the answer."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            raise RuntimeError("the wire")

    await app(scope_of("GET", "/health", [("Host", "test")]), receive, send)
    assert sent == ["http.response.start", "http.response.body"]
    assert [event["event"] for event in logged if event["log_level"] == "error"] == [
        "request_crashed"
    ]


async def test_what_is_unavailable_says_when_to_come_back() -> None:
    backend = build_backend({TaskRepository: FailingTasks(Unavailable(retry_after=7))})
    async with client_of(backend.app, "ann") as ann:
        answer = await ann.get(PATH)
    assert code(answer) == (503, "UNAVAILABLE")
    assert answer.headers["retry-after"] == "7"


async def test_a_client_that_hangs_up_does_no_harm(app: FastAPI) -> None:
    """Half a body and gone: no answer is tried, and nothing is logged as a crash."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [("Authorization", f"Bearer {token()}"), ("Content-Type", "application/json")]
    await app(scope_of("POST", PATH, [("Host", "test"), *headers]), receive, send)
    assert sent == []


async def test_errors_are_json_for_machines(ann: httpx.AsyncClient) -> None:
    answer = await ann.get(f"{PATH}/0")
    assert json.loads(answer.content)["status"] == 422
