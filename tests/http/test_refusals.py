"""Why requests are refused: in the access log, in the metrics, and as a warning."""

from typing import Any

import httpx
import pytest

from adapters.asgi import access_log, refusals
from domain.refusals import Reason, Refusal, shown
from domain.sessions import Session
from tests.canaries import assert_no_secrets
from tests.conftest import LogEvents
from tests.http.api import PROBLEM_FIELDS, TASKS
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, error_of, send_json, shared_secret_token
from tests.http.credentials import HEADERS_OF, bearer, cookie, plugin_claims
from tests.http.forging import OWN_KEY
from tests.http.metrics import refusals_counted
from tests.http.refusals import CASES, REFUSED, Refused, backend_with, secrets_of


@pytest.fixture(autouse=True)
def fresh_warnings() -> None:
    refusals.forget_warnings()


async def send(case: Refused, backend: Backend, session: Session) -> httpx.Response:
    return await send_json(
        backend.app, case.method, case.path, case.headers(session), body=case.body
    )


def events(log_events: LogEvents, name: str) -> list[Any]:
    access_log.flush()
    return [line for line in log_events if line["event"] == name]


def test_every_reason_has_a_case() -> None:
    assert set(CASES) == set(Reason)


@pytest.mark.parametrize("name", REFUSED)
async def test_refusal_is_logged_and_counted(log_events: LogEvents, name: str) -> None:
    reason, case = REFUSED[name]
    backend, session = backend_with(case.settings)
    before = refusals_counted(case.code, reason.value)
    response = await send(case, backend, session)
    # The response tells nothing of the reason.
    assert error_of(response) == (case.status, case.code)
    assert response.json().keys() == PROBLEM_FIELDS
    assert reason.value not in response.text
    [line] = events(log_events, "request")
    assert (line["status"], line["error_code"], line["reason"]) == (
        case.status,
        case.code,
        reason.value,
    )
    assert refusals_counted(case.code, reason.value) == before + 1
    [warning] = events(log_events, "request_refused")
    assert (warning["log_level"], warning["reason"]) == ("warning", reason.value)
    assert (warning["error_code"], warning["left_out"]) == (case.code, 0)
    assert warning["request_id"] == line["request_id"]
    assert case.expected is None or case.expected in warning["expected"]
    assert case.seen is None or case.seen in warning["seen"]
    assert_no_secrets(str(log_events), secrets_of(case.headers(session), session))


@pytest.mark.parametrize("credential", HEADERS_OF)
async def test_success_has_neither_code_nor_reason(log_events: LogEvents, credential: str) -> None:
    backend, session = backend_with({})
    response = await send_json(backend.app, "GET", TASKS, HEADERS_OF[credential](session))
    assert response.status_code == 200
    [line] = events(log_events, "request")
    assert not {"error_code", "reason"} & line.keys()
    assert not events(log_events, "request_refused")


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/nowhere", None, "NOT_FOUND"),
        ("GET", f"{TASKS}/4711", None, "TASK_NOT_FOUND"),
        ("DELETE", TASKS, None, "METHOD_NOT_ALLOWED"),
        ("POST", TASKS, {"title": ""}, "VALIDATION_ERROR"),
        ("POST", TASKS, {"title": "x" * 70_000}, "BODY_TOO_LARGE"),
    ],
)
async def test_every_error_has_its_code_in_the_log(
    log_events: LogEvents, method: str, path: str, body: object, code: str
) -> None:
    backend, _ = backend_with({})
    response = await send_json(backend.app, method, path, bearer(shared_secret_token()), body=body)
    assert error_of(response)[1] == code
    [line] = events(log_events, "request")
    assert (line["error_code"], line["reason"]) == (code, None)


async def test_rate_limit_has_its_code_in_the_log(log_events: LogEvents) -> None:
    app = build_backend(rate_limit="1/minute").app
    for _ in range(2):
        await send_json(app, "GET", TASKS, bearer(shared_secret_token()))
    lines = events(log_events, "request")
    assert [line.get("error_code") for line in lines] == [None, "TOO_MANY_REQUESTS"]


async def test_log_out_without_a_credential_is_no_refusal(log_events: LogEvents) -> None:
    backend, _ = backend_with({})
    response = await send_json(backend.app, "POST", "/api/auth/logout", [("Origin", ORIGIN)])
    assert response.status_code == 204
    assert not events(log_events, "request_refused")


async def test_warning_comes_once_a_minute_for_each_reason(
    log_events: LogEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All requests are counted and logged; the next warning tells how many had none."""
    time = 0.0
    monkeypatch.setattr(refusals, "monotonic", lambda: time)
    backend, _ = backend_with({})
    before = refusals_counted("UNAUTHENTICATED", "jwt_malformed")

    async def refuse(token: str, times: int) -> None:
        for _ in range(times):
            assert (await send_json(backend.app, "GET", TASKS, bearer(token))).status_code == 401

    await refuse("a.b.c", 500)
    await refuse("unknown", 3)
    time = 59.0
    await refuse("a.b.c", 1)
    time = 61.0
    await refuse("a.b.c", 1)
    warnings = events(log_events, "request_refused")
    assert [(warning["reason"], warning["left_out"]) for warning in warnings] == [
        ("jwt_malformed", 0),
        ("no_such_session", 0),
        ("jwt_malformed", 500),
    ]
    assert refusals_counted("UNAUTHENTICATED", "jwt_malformed") == before + 502
    assert len(events(log_events, "request")) == 505


@pytest.mark.parametrize(
    "value",
    [
        "a\nb",
        "\x1b[31m",
        "ann@example.com",
        "x" * 65,
        "http://user:pass@host/",
        "https://host/?token=secret",
        "a b",
        "ä",
        "",
    ],
)
def test_value_that_is_no_name_is_not_shown(value: str) -> None:
    assert shown(value) == f"a text of {len(value)} characters"
    assert value not in shown([value]) or not value


def test_names_are_shown() -> None:
    assert shown("https://app.example.com:8443") == "https://app.example.com:8443"
    assert shown(["a", "b", "c", "d"]) == "a, b, c, …"
    assert (shown(None), shown([]), shown(5), shown({})) == ("nothing", "nothing", *["no text"] * 2)


def test_texts_of_a_refusal_are_bounded() -> None:
    refusal = Refusal(Reason.ORIGIN_NOT_ALLOWED, "x" * 1_000, "y" * 200)
    assert refusal.expected == "x" * 199 + "…"
    assert refusal.seen == "y" * 200


@pytest.mark.parametrize("claim", ["iss", "aud", "typ", "kid", "alg", "origin", "cookie"])
async def test_hostile_names_reach_no_log(log_events: LogEvents, claim: str) -> None:
    """Neither line breaks nor escapes nor what looks like an address."""
    for text in ("x\r\nx", "\x1b]0;x\x07", "hidden@example.org", "é" * 500):
        backend, _ = backend_with({})
        refusals.forget_warnings()
        headers = bearer(OWN_KEY.token(plugin_claims(), **{claim: text}))
        if claim in ("iss", "aud"):
            headers = bearer(OWN_KEY.token(plugin_claims(**{claim: text})))
        elif claim == "origin":
            headers = [("Origin", text), ("Access-Control-Request-Method", "POST")]
        elif claim == "cookie":
            headers = cookie("x", f"{text}.session_token")
        method = "OPTIONS" if claim == "origin" else "GET"
        response = await send_json(backend.app, method, TASKS, headers)
        assert response.status_code in (401, 403)
        [warning] = events(log_events, "request_refused")
        log_events.clear()
        assert text not in str(warning)
        assert text not in f"{warning['seen']}"
        for name in ("expected", "seen"):
            assert (warning[name] or "").isprintable()
