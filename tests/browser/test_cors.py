"""What a script of the front end gets to see of Taskport, which is another origin."""

from typing import Any, Final

import pytest

from tests.browser.front_end import FrontEnd
from tests.browser.stage import Stage
from tests.browser.wire import Wire

TASKS: Final = "/api/tasks"
POST: Final = {"method": "POST"}
ERRORS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "no credential": (TASKS, {"credentials": "omit"}),
    "a bad one": (TASKS, {"headers": {"Authorization": "Bearer x.y.z"}}),
    "no such task": (f"{TASKS}/4711", {}),
    "no such address": ("/api/nothing", {}),
    "a wrong method": (TASKS, {"method": "DELETE"}),
    "a wrong value": (TASKS, {**POST, "json": {"title": ""}}),
    "a wrong parameter": (f"{TASKS}?limit=many", {}),
    "no JSON": (TASKS, {**POST, "body": "title=a"}),
    "too much": (TASKS, {**POST, "json": {"title": "x" * 66_000}}),
}


@pytest.fixture
async def signed_in(front_end: FrontEnd, email: str) -> FrontEnd:
    await front_end.sign_up(email)
    await front_end.shows()
    return front_end


@pytest.fixture
async def wire(signed_in: FrontEnd, stage: Stage) -> Wire:
    wire = Wire(stage.api)
    await wire.watch(signed_in.page)
    return wire


async def test_headers_can_be_read(signed_in: FrontEnd) -> None:
    made = await signed_in.fetch(
        TASKS, method="POST", json={"title": "New"}, headers={"X-Request-ID": "of-the-page"}
    )

    assert made.status == 201
    assert made.headers["location"] == f"{TASKS}/{made.body['id']}"
    assert made.headers["etag"] == '"1"'
    assert made.headers["x-request-id"] == "of-the-page"
    found = await signed_in.fetch(made.headers["location"])
    assert (found.body, found.headers["etag"]) == (made.body, '"1"')


async def test_preflights_pass_and_are_remembered(signed_in: FrontEnd, wire: Wire) -> None:
    made = await signed_in.fetch(TASKS, method="POST", json={"title": "New"})
    path = f"{TASKS}/{made.body['id']}"
    conditional = {"If-Match": made.headers["etag"], "Idempotency-Key": "once"}

    patched = await signed_in.fetch(path, method="PATCH", json={"title": "A"}, headers=conditional)
    assert (patched.status, patched.headers["etag"]) == (200, '"2"')
    assert (await signed_in.fetch(path, method="PATCH", json={"title": "B"})).status == 200
    assert (await signed_in.fetch(path, method="PUT", json={"title": "C"})).status == 200
    assert (await signed_in.fetch(path, method="DELETE")).body == ""

    # The last of them; what a browser reports of it may come later than the response.
    await wire.exchange("DELETE", path)
    asked = [(e.method, e.path, e.status) for e in wire.exchanges()]
    preflights = [path for method, path, status in asked if (method, status) == ("OPTIONS", 200)]
    assert preflights == [TASKS, path], "one tells the browser all about an address"
    sent = [method for method, _, _ in asked if method != "OPTIONS"]
    assert sent == ["POST", "PATCH", "PATCH", "PUT", "DELETE"]


async def test_what_has_not_changed_is_not_sent_again(signed_in: FrontEnd, wire: Wire) -> None:
    """Neither when the script asks so, nor when the browser does by itself."""
    made = await signed_in.fetch(TASKS, method="POST", json={"title": "New"})
    path, etag = made.headers["location"], made.headers["etag"]

    asked = await signed_in.fetch(path, headers={"If-None-Match": etag})
    assert (asked.status, asked.headers["etag"], asked.body) == (304, etag, "")
    first = await signed_in.fetch(path)
    wire.forget()
    second = await signed_in.fetch(path)

    assert (await wire.exchange("GET", path)).status == 304
    assert (second.status, second.body, second.headers["etag"]) == (200, made.body, etag)
    assert first.body == made.body


async def test_nothing_of_the_cache_outlives_the_session(signed_in: FrontEnd, email: str) -> None:
    """Neither nobody nor the next user is shown what this browser has read before."""
    made = await signed_in.fetch(TASKS, method="POST", json={"title": "New"})
    path = made.headers["location"]
    for address in (path, TASKS):
        assert (await signed_in.fetch(address)).status == 200

    await signed_in.sign_out()
    for address in (path, TASKS):
        assert (await signed_in.fetch(address)).status == 401

    await signed_in.sign_up(f"next-{email}", name="Next")
    await signed_in.is_of("Next")
    assert (await signed_in.fetch(path)).status == 403
    assert (await signed_in.fetch(TASKS)).body["data"] == []


async def test_errors_can_be_read(signed_in: FrontEnd) -> None:
    refused = {name: await signed_in.fetch(path, **how) for name, (path, how) in ERRORS.items()}

    assert {name: answer.body["error_code"] for name, answer in refused.items()} == {
        "no credential": "UNAUTHENTICATED",
        "a bad one": "UNAUTHENTICATED",
        "no such task": "TASK_NOT_FOUND",
        "no such address": "NOT_FOUND",
        "a wrong method": "METHOD_NOT_ALLOWED",
        "a wrong value": "VALIDATION_ERROR",
        "a wrong parameter": "VALIDATION_ERROR",
        "no JSON": "UNSUPPORTED_MEDIA_TYPE",
        "too much": "BODY_TOO_LARGE",
    }
    for name, answer in refused.items():
        assert answer.status == answer.body["status"] >= 400, name
        assert answer.headers["content-type"] == "application/problem+json", name
        assert answer.headers["x-request-id"] == answer.body["request_id"], name
