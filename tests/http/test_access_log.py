"""What is logged and counted of each request, and what never is."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest
import structlog
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.types import Message

from adapters.asgi import access_log
from application.ports.passwords import Passwords
from domain.sessions import Session
from domain.tasks import TaskRepository
from tests import canaries
from tests.conftest import Logged
from tests.http.backend import build_backend
from tests.http.client import SECRET, TASK, ask, client_of, code, new_task, scope_of, token
from tests.http.fakes import CrashingPasswords, FailingTasks
from tests.http.people import (
    ANN,
    LOG_IN,
    LOG_OUT,
    OTHERWISE,
    PROOFS,
    SIGN_UP,
    Headers,
    cookie,
    signature,
    signed,
)
from tests.interop.better_auth import PASSWORD
from tests.interop.taskport import SECRET as OF_INTEROP
from tests.processes.service import SECRET as OF_PROCESSES

TASKS: Final = "/api/tasks"
CANARY: Final = "canary-5b1c"
FIELDS: Final = {
    *("event", "log_level", "method", "route", "status", "duration_ms"),
    *("request_id", "user_id", "address"),
}


def only(logged: Logged, event: str) -> Any:
    """The one event of a name."""
    access_log.flush()
    [found] = [line for line in logged if line["event"] == event]
    return found


def last(logged: Logged) -> Any:
    """The line of the last request."""
    access_log.flush()
    return [line for line in logged if line["event"] == "request"][-1]


def told(line: Any) -> tuple[str, str | None, int, str | None]:
    return line["method"], line["route"], line["status"], line["user_id"]


# The line of a request


async def test_a_request_is_one_line(ann: httpx.AsyncClient, logged: Logged) -> None:
    task = await new_task(ann)
    access_log.flush()
    logged.clear()
    answer = await ann.get(f"{TASKS}/{task['id']}", headers={"X-Request-ID": "of-the-page"})
    assert answer.status_code == 200
    access_log.flush()
    [line] = logged
    assert set(line) == FIELDS | {"timestamp"}
    assert told(line) == ("GET", "/api/tasks/{task_id}", 200, "ann")
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
async def test_a_request_is_known_by_its_route(
    ann: httpx.AsyncClient,
    logged: Logged,
    method: str,
    path: str,
    expected: tuple[str, str | None, int, str | None],
) -> None:
    """An address that we do not serve has none. What was asked for is nobody's business."""
    await ann.request(method, path)
    line = only(logged, "request")
    assert told(line) == expected
    assert "canary" not in str(logged)


async def test_a_preflight(ann: httpx.AsyncClient, logged: Logged) -> None:
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    assert (await ann.options(TASKS, headers=headers)).status_code == 200
    assert told(only(logged, "request")) == ("OPTIONS", None, 200, None)


@pytest.mark.parametrize("proof", PROOFS)
async def test_whoever_proves_who_they_are_is_named(
    app: FastAPI, session: Session, logged: Logged, proof: str
) -> None:
    _, show = PROOFS[proof]
    assert (await ask(app, "GET", TASKS, show(session))).status_code == 200
    assert last(logged)["user_id"] == "ann"


@pytest.mark.parametrize(
    "shown",
    [
        cookie(CANARY),
        cookie(signed(CANARY)),
        cookie(signed(CANARY, "x" * 40)),
        [("Authorization", f"Bearer {CANARY}")],
        [("Authorization", f"Bearer {CANARY}.{signature(CANARY)}")],
        [("Authorization", f"Bearer {token('ann', exp=1)}")],
        [("Authorization", f"Bearer eyJhbGciOiJub25lIn0.{CANARY}.")],
        [("Authorization", f"Basic {CANARY}")],
        [("Authorization", CANARY), ("Authorization", CANARY)],
        [],
    ],
)
async def test_whoever_does_not_is_nobody(
    app: FastAPI, session: Session, logged: Logged, shown: Headers
) -> None:
    assert (await ask(app, "GET", TASKS, shown)).status_code == 401
    assert told(only(logged, "request")) == ("GET", TASKS, 401, None)
    assert "canary" not in str(logged)


async def test_a_request_id_that_is_not_sane_is_not_repeated(app: FastAPI, logged: Logged) -> None:
    for shown in (f"{CANARY}\r\nX: 1", f"{CANARY} ", "c" * 129, f"{CANARY}\x1b[31m", ""):
        answer = await ask(app, "GET", "/livez", [("X-Request-ID", shown)])
        line = last(logged)
        assert re.fullmatch("[0-9a-f]{32}", line["request_id"]), shown
        assert answer.headers["x-request-id"] == line["request_id"]


async def test_signing_in_names_who_has_signed_in(
    app: FastAPI, nobody: httpx.AsyncClient, logged: Logged
) -> None:
    """From then on; and not the address or the password."""
    made = (await nobody.post(SIGN_UP, json=ANN)).json()
    assert told(last(logged)) == ("POST", SIGN_UP, 201, made["user"]["id"])
    entered = (await nobody.post(LOG_IN, json=ANN)).json()
    assert told(last(logged)) == ("POST", LOG_IN, 200, made["user"]["id"])
    shown = [("Authorization", f"Bearer {entered['session_token']}")]
    assert (await ask(app, "POST", LOG_OUT, shown)).status_code == 204
    assert told(last(logged)) == ("POST", LOG_OUT, 204, made["user"]["id"])
    for secret in (ANN["email"], ANN["password"], made["session_token"], made["access_token"]):
        assert secret not in str(logged)


# A client that has gone


async def asked(app: FastAPI, receive: Callable[[], Any], headers: Headers) -> list[Message]:
    """What is sent to a client that gets into the way."""
    sent: list[Message] = []
    shown = [("Host", "test"), ("Content-Type", "application/json"), *headers]

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of("POST", TASKS, shown), receive, send)
    return sent


async def test_a_client_that_has_gone_before_the_answer(app: FastAPI, logged: Logged) -> None:
    """Status 499, which nobody has been sent."""

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    before = counted("POST", TASKS, 499)
    assert await asked(app, receive, [("Authorization", f"Bearer {token()}")]) == []
    access_log.flush()
    [line] = logged
    assert told(line) == ("POST", TASKS, 499, None)
    assert counted("POST", TASKS, 499) == before + 1


async def test_a_request_that_is_cancelled(app: FastAPI, logged: Logged) -> None:
    """As by a server that stops: that is noted, too."""

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    work = asyncio.create_task(asked(app, receive, []))
    await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert only(logged, "request")["status"] == 499


# What goes wrong


async def test_a_crash_is_logged_once_with_its_traceback(logged: Logged) -> None:
    """And with all that is known of the request; beside the line that every request gets."""
    backend = build_backend({TaskRepository: FailingTasks(RuntimeError(CANARY))})
    async with client_of(backend.app, "ann") as ann:
        answer = await ann.get(TASKS, headers={"X-Request-ID": "of-the-page"})
    assert code(answer) == (500, "INTERNAL_ERROR")
    assert told(last(logged)) == ("GET", TASKS, 500, "ann")
    line = only(logged, "request_crashed")
    assert line["log_level"] == "error"
    assert (line["route"], line["user_id"]) == (TASKS, "ann")
    assert (line["request_id"], line["address"]) == ("of-the-page", "127.0.0.1")
    assert len(logged) == 2


async def test_a_crash_before_it_is_known_who_asks(logged: Logged) -> None:
    backend = build_backend({Passwords: CrashingPasswords()})
    async with client_of(backend.app) as nobody:
        assert code(await nobody.post(LOG_IN, json=ANN)) == (500, "INTERNAL_ERROR")
    assert only(logged, "request_crashed")["user_id"] is None


@pytest.mark.parametrize("hidden", [False, True])
async def test_a_refused_access_names_both_users(logged: Logged, hidden: bool) -> None:
    app = build_backend(hide_foreign_tasks=hidden).app
    async with client_of(app, "ann") as ann, client_of(app, "bob") as bob:
        task = await new_task(ann)
        answer = await bob.delete(f"{TASKS}/{task['id']}")
    assert answer.status_code == (404 if hidden else 403)
    line = only(logged, "task_refused")
    assert line["log_level"] == "warning"
    assert (line["user_id"], line["owner_id"], line["task_id"]) == ("bob", "ann", task["id"])
    assert line["route"] == "/api/tasks/{task_id}"
    assert line["request_id"] == answer.json()["request_id"]
    assert line["address"] == "127.0.0.1"
    assert TASK["title"] not in str(logged)


async def test_a_failed_sign_in_names_the_account(
    nobody: httpx.AsyncClient, logged: Logged
) -> None:
    """Where there is one; never what was tried."""
    made = (await nobody.post(SIGN_UP, json=ANN)).json()
    for body, account in (
        (OTHERWISE, made["user"]["id"]),
        ({**ANN, "email": f"{CANARY}@example.com"}, None),
    ):
        logged.clear()
        answer = await nobody.post(LOG_IN, json=body)
        assert code(answer) == (401, "INVALID_CREDENTIALS")
        line = only(logged, "sign_in_failed")
        assert (line["log_level"], line["account"]) == ("warning", account)
        # Whoever it was has not shown to be that user.
        assert line["user_id"] is None
        assert (line["route"], line["address"]) == (LOG_IN, "127.0.0.1")
        assert line["request_id"] == answer.json()["request_id"]
        assert "horse" not in str(logged)
        assert "@" not in str(logged)


async def test_the_limit_of_requests_is_said_once_in_each_window(logged: Logged) -> None:
    """Whoever goes on is refused without more ado: a flood must not become one of lines."""
    app = build_backend(rate_limit="2/minute").app
    before = decided("requests", "allowed"), decided("requests", "refused")
    async with client_of(app, "ann") as ann:
        statuses = [(await ann.get(TASKS)).status_code for _ in range(5)]
    assert statuses == [200, 200, 429, 429, 429]
    line = only(logged, "limit_reached")
    assert (line["log_level"], line["limit"]) == ("warning", "requests")
    assert (line["user_id"], line["route"], line["address"]) == ("ann", TASKS, "127.0.0.1")
    after = decided("requests", "allowed"), decided("requests", "refused")
    assert (after[0] - before[0], after[1] - before[1]) == (2, 3)


@pytest.mark.parametrize(("path", "limit"), [(LOG_IN, "log_ins"), (SIGN_UP, "sign_ups")])
async def test_the_limits_of_signing_in_are_said(logged: Logged, path: str, limit: str) -> None:
    app = build_backend(auth_rate_limit="1/minute").app
    before = decided(limit, "refused")
    async with client_of(app) as nobody:
        for number in range(3):
            answer = await nobody.post(path, json={**ANN, "email": f"{number}@example.com"})
    assert answer.status_code == 429
    lines = [line for line in logged if line["event"] == "limit_reached"]
    assert {line["limit"] for line in lines} == {limit}
    assert {line["route"] for line in lines} == {path}
    assert decided(limit, "refused") - before == len(lines) > 0


async def test_requests_are_counted_by_and_by(ann: httpx.AsyncClient) -> None:
    """Without anybody who asks for it."""
    labels = {"method": "GET", "route": TASKS, "status": "200"}
    before = counted("GET", TASKS, 200)
    await ann.get(TASKS)
    await asyncio.sleep(2 * access_log.FLUSH_SECONDS)
    assert REGISTRY.get_sample_value("http_requests_total", labels) == before + 1


# What is counted


def counted(method: str, route: str, status: int) -> float:
    access_log.flush()
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0


def timed(method: str, route: str) -> float:
    access_log.flush()
    labels = {"method": method, "route": route}
    return REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) or 0


def decided(limit: str, decision: str) -> float:
    access_log.flush()
    labels = {"limit": limit, "decision": decision}
    return REGISTRY.get_sample_value("taskport_rate_limit_decisions_total", labels) or 0


def series() -> set[str]:
    """The names of all that is counted, labels and all."""
    access_log.flush()
    return {
        f"{sample.name}{sorted(sample.labels.items())}"
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith(("http_", "taskport_"))
    }


async def test_each_request_is_counted_once(app: FastAPI, ann: httpx.AsyncClient) -> None:
    route = "/api/tasks/{task_id}"
    before = counted("GET", route, 404), timed("GET", route), counted("HEAD", route, 404)
    await ann.get(f"{TASKS}/1")
    await ann.get(f"{TASKS}/2")
    await ann.head(f"{TASKS}/3")
    after = counted("GET", route, 404), timed("GET", route), counted("HEAD", route, 404)
    assert [a - b for a, b in zip(after, before, strict=True)] == [2, 2, 1]


async def test_nothing_that_a_client_makes_up_makes_a_series(app: FastAPI) -> None:
    """Ids, paths, methods and all the rest. Ten thousand are in `tests/processes`."""
    shown = [("Authorization", f"Bearer {token()}")]

    async def all_kinds(name: str) -> None:
        await ask(app, "GET", f"{TASKS}/{name}")
        await ask(app, "GET", f"/{name}", [("User-Agent", name)])
        await ask(app, f"X{name}", TASKS)
        await ask(app, f"X{name}", f"/{name}")
        await ask(app, "DELETE", f"/api/users/me/sessions/{name}", [("Cookie", f"a={name}")])
        await ask(app, "GET", f"/docs/{name}", [("X-Request-ID", name)])

    await ask(app, "GET", f"{TASKS}/1", shown)
    await all_kinds("0")
    before, cached = series(), observed()
    for number in range(1, 50):
        await all_kinds(str(number))
    assert series() == before
    assert observed() == cached, "what is remembered of series grows"


def observed() -> int:
    size: int = access_log._duration.cache_info().currsize
    return size


# The search for secrets in all that is logged


@pytest.mark.parametrize(
    "planted",
    [
        SECRET,
        ANN["password"],
        ANN["email"],
        TASK["title"],
        token(),
        "Bearer abc",
        "better-auth.session_token=abc",
        f"{'0a' * 16}:{'1b' * 64}",
        "postgresql://ann:pw@db.example.com/app",
        "postgresql+psycopg://ann:pw@db/app",
        CANARY,
    ],
)
def test_a_secret_in_the_log_would_fail_the_test_that_logged_it(planted: str) -> None:
    """Wherever in the line it stands; and the next test is not blamed."""
    log = structlog.get_logger("taskport.tests")
    for fields in ({"route": planted}, {"deep": [{"in": planted}]}):
        log.info("planted", **fields)
        with pytest.raises(AssertionError, match="in the log"):
            canaries.refuse_in_what_was_said()
    log.info("planted", route=TASKS)
    canaries.refuse_in_what_was_said()


def test_what_a_library_logs_is_searched_as_well() -> None:
    logging.getLogger("library").warning("it failed for %s", ANN["password"])
    with pytest.raises(AssertionError, match="in the log"):
        canaries.refuse_in_what_was_said()


def test_it_knows_the_secrets_that_the_tests_use() -> None:
    for secret in (
        *(SECRET, OF_INTEROP, OF_PROCESSES),
        *(ANN["password"], OTHERWISE["password"], PASSWORD),
        *(ANN["email"], TASK["title"]),
    ):
        assert canaries.found(f"line {secret} line"), secret
    assert not canaries.found('{"event":"request","route":"/api/tasks/{task_id}","status":200}')
