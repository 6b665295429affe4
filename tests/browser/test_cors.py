"""CORS as a browser applies it: a script of the front end calls Taskport, which is cross-origin."""

from typing import Any, Final

import pytest

from tests.browser.front_end import FrontEnd
from tests.browser.network import NetworkLog
from tests.browser.stack import Stack

TASKS: Final = "/api/tasks"
POST: Final = {"method": "POST"}
ERRORS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "no credential": (TASKS, {"credentials": "omit"}),
    "malformed token": (TASKS, {"headers": {"Authorization": "Bearer x.y.z"}}),
    "unknown task": (f"{TASKS}/4711", {}),
    "unknown path": ("/api/nothing", {}),
    "wrong method": (TASKS, {"method": "DELETE"}),
    "invalid value": (TASKS, {**POST, "json": {"title": ""}}),
    "invalid parameter": (f"{TASKS}?limit=many", {}),
    "not JSON": (TASKS, {**POST, "body": "title=a"}),
    "body too large": (TASKS, {**POST, "json": {"title": "x" * 66_000}}),
}


@pytest.fixture
async def signed_in(front_end: FrontEnd, email: str) -> FrontEnd:
    await front_end.sign_up(email)
    await front_end.expect_tasks()
    return front_end


@pytest.fixture
async def network(signed_in: FrontEnd, stack: Stack) -> NetworkLog:
    network = NetworkLog(stack.api_url)
    await network.record(signed_in.page)
    return network


async def test_script_can_read_exposed_headers(signed_in: FrontEnd) -> None:
    created = await signed_in.fetch(
        TASKS, method="POST", json={"title": "New"}, headers={"X-Request-ID": "of-the-page"}
    )

    assert created.status == 201
    assert created.headers["location"] == f"{TASKS}/{created.body['id']}"
    assert created.headers["etag"] == '"1"'
    assert created.headers["x-request-id"] == "of-the-page"
    fetched = await signed_in.fetch(created.headers["location"])
    assert (fetched.body, fetched.headers["etag"]) == (created.body, '"1"')


async def test_preflights_succeed_and_are_cached_per_path(
    signed_in: FrontEnd, network: NetworkLog
) -> None:
    created = await signed_in.fetch(TASKS, method="POST", json={"title": "New"})
    path = f"{TASKS}/{created.body['id']}"
    conditional = {"If-Match": created.headers["etag"], "Idempotency-Key": "once"}

    patched = await signed_in.fetch(path, method="PATCH", json={"title": "A"}, headers=conditional)
    assert (patched.status, patched.headers["etag"]) == (200, '"2"')
    assert (await signed_in.fetch(path, method="PATCH", json={"title": "B"})).status == 200
    assert (await signed_in.fetch(path, method="PUT", json={"title": "C"})).status == 200
    assert (await signed_in.fetch(path, method="DELETE")).body == ""

    # DevTools may report the last request only after the script has its response.
    await network.exchange("DELETE", path)
    seen = [(e.method, e.path, e.status) for e in network.exchanges()]
    preflights = [path for method, path, status in seen if (method, status) == ("OPTIONS", 200)]
    assert preflights == [TASKS, path], "the first preflight of a path allows every method"
    sent = [method for method, _, _ in seen if method != "OPTIONS"]
    assert sent == ["POST", "PATCH", "PATCH", "PUT", "DELETE"]


async def test_unchanged_task_is_not_modified(signed_in: FrontEnd, network: NetworkLog) -> None:
    """For an `If-None-Match` of the script, and for one that the browser's cache adds."""
    created = await signed_in.fetch(TASKS, method="POST", json={"title": "New"})
    path, etag = created.headers["location"], created.headers["etag"]

    conditional = await signed_in.fetch(path, headers={"If-None-Match": etag})
    assert (conditional.status, conditional.headers["etag"], conditional.body) == (304, etag, "")
    first = await signed_in.fetch(path)
    network.clear()
    second = await signed_in.fetch(path)

    assert (await network.exchange("GET", path)).status == 304
    assert (second.status, second.body, second.headers["etag"]) == (200, created.body, etag)
    assert first.body == created.body


async def test_cached_responses_are_not_used_after_sign_out(
    signed_in: FrontEnd, email: str
) -> None:
    """Neither an anonymous request nor the next user gets what the browser has cached."""
    created = await signed_in.fetch(TASKS, method="POST", json={"title": "New"})
    path = created.headers["location"]
    for url in (path, TASKS):
        assert (await signed_in.fetch(url)).status == 200

    await signed_in.sign_out()
    for url in (path, TASKS):
        assert (await signed_in.fetch(url)).status == 401

    await signed_in.sign_up(f"next-{email}", name="Next")
    await signed_in.expect_user("Next")
    assert (await signed_in.fetch(path)).status == 403
    assert (await signed_in.fetch(TASKS)).body["data"] == []


async def test_script_can_read_error_responses(signed_in: FrontEnd) -> None:
    responses = {
        name: await signed_in.fetch(path, **options) for name, (path, options) in ERRORS.items()
    }

    assert {name: response.body["error_code"] for name, response in responses.items()} == {
        "no credential": "UNAUTHENTICATED",
        "malformed token": "UNAUTHENTICATED",
        "unknown task": "TASK_NOT_FOUND",
        "unknown path": "NOT_FOUND",
        "wrong method": "METHOD_NOT_ALLOWED",
        "invalid value": "VALIDATION_ERROR",
        "invalid parameter": "VALIDATION_ERROR",
        "not JSON": "UNSUPPORTED_MEDIA_TYPE",
        "body too large": "BODY_TOO_LARGE",
    }
    for name, response in responses.items():
        assert response.status == response.body["status"] >= 400, name
        assert response.headers["content-type"] == "application/problem+json", name
        assert response.headers["x-request-id"] == response.body["request_id"], name
