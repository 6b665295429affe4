"""Tasks over HTTP: create, get, list, update, complete, delete."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.http.api import TASKS
from tests.http.backend import build_backend
from tests.http.client import client_of, error_of, new_task, shared_secret_token


async def test_create(ann: httpx.AsyncClient) -> None:
    response = await ann.post(TASKS, json={"title": " Water ", "description": "a\r\nb"})
    task = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"{TASKS}/{task['id']}"
    assert response.headers["etag"] == '"1"'
    assert response.headers["cache-control"] == "no-store"
    assert (task["title"], task["description"]) == ("Water", "a\nb")
    assert (task["status"], task["completed_at"], task["version"]) == ("Pending", None, 1)
    assert task["user_id"] == "ann"
    assert task["created_at"] == task["updated_at"]
    assert task["created_at"].endswith("Z")


async def test_create_completed(ann: httpx.AsyncClient) -> None:
    task = await new_task(ann, status="Completed")
    assert task["completed_at"] == task["created_at"]


async def test_accepted_text_is_returned_unchanged(ann: httpx.AsyncClient) -> None:
    task = await new_task(ann, title="👩\u200d👧 %_\\'\"<b>", description="")
    response = await ann.get(f"{TASKS}/{task['id']}")
    assert response.json() == task
    assert (await ann.get(TASKS)).json()["data"] == [task]


async def test_get(ann: httpx.AsyncClient) -> None:
    task = await new_task(ann)
    response = await ann.get(f"{TASKS}/{task['id']}")
    assert (response.status_code, response.json()) == (200, task)
    assert response.headers["etag"] == '"1"'
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.headers["vary"] == "Cookie, Authorization, Origin"


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', '"0", "1"', "*", '"7" , W/"1",'])
async def test_get_with_a_matching_etag(ann: httpx.AsyncClient, tag: str) -> None:
    task = await new_task(ann)
    response = await ann.get(f"{TASKS}/{task['id']}", headers={"If-None-Match": tag})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"1"'
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.headers["vary"] == "Cookie, Authorization, Origin"


@pytest.mark.parametrize("tag", ['"2"', "1", '""', '"01"', "nonsense"])
async def test_get_with_another_etag(ann: httpx.AsyncClient, tag: str) -> None:
    task = await new_task(ann)
    response = await ann.get(f"{TASKS}/{task['id']}", headers={"If-None-Match": tag})
    assert response.status_code == 200


async def test_head_has_the_headers_of_get(ann: httpx.AsyncClient) -> None:
    task = await new_task(ann)
    for path in (TASKS, f"{TASKS}/{task['id']}", "/health", "/readyz", "/openapi.json"):
        got, head = await ann.get(path), await ann.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        ignored = ("x-request-id", "date")
        assert {k: v for k, v in head.headers.items() if k not in ignored} == {
            k: v for k, v in got.headers.items() if k not in ignored
        }


async def test_list_in_pages(ann: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    titles = [f"task {n}" for n in range(5)]
    for title in titles:
        await new_task(ann, title=title)
    await new_task(bob)
    response = await ann.get(TASKS, params={"page": 2, "limit": 2})
    body = response.json()
    assert [task["title"] for task in body.pop("data")] == ["task 2", "task 1"]
    assert body == {"count": 2, "total": 5, "page": 2, "limit": 2}
    assert response.headers["cache-control"] == "private, no-cache"
    assert "etag" not in response.headers
    last = (await ann.get(TASKS, params={"page": 1_000_000})).json()
    assert last == {"data": [], "count": 0, "total": 5, "page": 1_000_000, "limit": 50}


async def test_list_with_filter_and_sort(ann: httpx.AsyncClient) -> None:
    for title, status in (("b", "Pending"), ("a", "Completed"), ("c", "Completed")):
        await new_task(ann, title=title, status=status)
    params = {"status": "Completed", "sort": "title"}
    assert [t["title"] for t in (await ann.get(TASKS, params=params)).json()["data"]] == ["a", "c"]
    assert [t["title"] for t in (await ann.get(TASKS, params={"q": "B"})).json()["data"]] == ["b"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=+5", "limit"),
        ("limit=1_0", "limit"),
        ("limit=1.0", "limit"),
        ("limit=%205", "limit"),
        ("limit=05", "limit"),
        ("limit=٥", "limit"),
        ("limit=", "limit"),
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=1000001", "page"),
        (f"page={'9' * 5_000}", "page"),
        ("status=pending", "status"),
        ("status=", "status"),
        ("sort=version", "sort"),
        ("sort=title;drop", "sort"),
        ("q=", "q"),
        (f"q={'x' * 201}", "q"),
        ("q=%00", "q"),
        ("q=%E2%80%AE", "q"),
        ("offset=3", "offset"),
        ("page=1&page=2", "page"),
        ("page=1&page=1", "page"),
        ("%3Cscript%3E=1", None),
    ],
)
async def test_list_rejects_invalid_parameters(
    ann: httpx.AsyncClient, query: str, field: str | None
) -> None:
    response = await ann.get(f"{TASKS}?{query}")
    assert error_of(response) == (422, "VALIDATION_ERROR")
    details = response.json()["details"]
    assert details["field"] == field
    assert [(e["field"], e["pointer"]) for e in details["errors"]] == [(field, None)]
    assert "script" not in response.text


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_partial_update(ann: httpx.AsyncClient, method: str) -> None:
    task = await new_task(ann, description="old")
    path = f"{TASKS}/{task['id']}"
    response = await ann.request(method, path, json={"title": "new"})
    assert response.status_code == 200
    assert response.headers["etag"] == '"2"'
    assert response.headers["cache-control"] == "no-store"
    changed = response.json()
    expected = {**task, "title": "new", "version": 2, "updated_at": changed["updated_at"]}
    assert changed == expected
    cleared = (await ann.request(method, path, json={"description": None})).json()
    assert (cleared["description"], cleared["version"]) == (None, 3)
    completed = (await ann.request(method, path, json={"status": "Completed"})).json()
    assert completed["completed_at"] == completed["updated_at"]


@pytest.mark.parametrize(
    "body", [{}, {"title": "Water the plants"}, {"title": " Water the plants "}]
)
async def test_update_without_a_change_keeps_the_version(
    ann: httpx.AsyncClient, body: object
) -> None:
    task = await new_task(ann)
    response = await ann.patch(f"{TASKS}/{task['id']}", json=body)
    assert (response.status_code, response.json()) == (200, task)
    assert response.headers["etag"] == '"1"'


async def test_toggle_and_set_completion(ann: httpx.AsyncClient) -> None:
    path = f"{TASKS}/{(await new_task(ann))['id']}/complete"
    states = []
    for body in (None, None, {"completed": True}, {"completed": True}, {"completed": False}):
        response = await (ann.patch(path) if body is None else ann.patch(path, json=body))
        task = response.json()
        assert response.headers["etag"] == f'"{task["version"]}"'
        assert (task["completed_at"] is not None) is (task["status"] == "Completed")
        states.append((task["status"], task["version"]))
    assert states == [
        ("Completed", 2),
        ("Pending", 3),
        ("Completed", 4),
        ("Completed", 4),
        ("Pending", 5),
    ]


async def test_delete(ann: httpx.AsyncClient) -> None:
    path = f"{TASKS}/{(await new_task(ann))['id']}"
    response = await ann.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["cache-control"] == "no-store"
    assert error_of(await ann.delete(path)) == (404, "TASK_NOT_FOUND")


CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "", {"json": {"title": "x"}}),
    ("PATCH", "", {"json": {"title": "x"}}),
    ("PATCH", "/complete", {}),
    ("DELETE", "", {}),
]


@pytest.mark.parametrize(("method", "suffix", "body"), CHANGES)
@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ('"1"', 200),
        ('W/"1"', 200),
        ('"9", "1"', 200),
        (', "1"', 200),
        ("*", 200),
        ('"2"', 412),
        ('"01"', 412),
        ('"abc"', 412),
        ('""', 412),
        (f'"{"9" * 30}"', 412),
        ("1", 400),
        ('"1', 400),
        ('w/"1"', 400),
        ('"1" "2"', 400),
        ('*, "1"', 400),
        ("", 400),
    ],
)
async def test_if_match(
    ann: httpx.AsyncClient, method: str, suffix: str, body: dict[str, Any], tag: str, status: int
) -> None:
    task = await new_task(ann)
    path = f"{TASKS}/{task['id']}"
    response = await ann.request(method, path + suffix, headers={"If-Match": tag}, **body)
    if status == 200:
        assert response.status_code in (200, 204)
        return
    expected = {400: "MALFORMED_REQUEST", 412: "STALE_TASK"}[status]
    assert error_of(response) == (status, expected)
    assert (await ann.get(path)).json() == task


async def test_several_if_match_headers_are_one_list(ann: httpx.AsyncClient) -> None:
    path = f"{TASKS}/{(await new_task(ann))['id']}"
    headers = [*ann.headers.items(), ("If-Match", '"7"'), ("If-Match", '"1"')]
    assert (await ann.put(path, json={"title": "x"}, headers=headers)).status_code == 200


async def test_stale_update_without_a_change_is_rejected(
    ann: httpx.AsyncClient,
) -> None:
    task = await new_task(ann)
    path = f"{TASKS}/{task['id']}"
    response = await ann.put(path, json={}, headers={"If-Match": '"7"'})
    assert error_of(response) == (412, "STALE_TASK")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["title"]),
        ({"title": None}, ["title"]),
        ({"title": 5}, ["title"]),
        ({"title": True}, ["title"]),
        ({"title": ["x"]}, ["title"]),
        ({"title": ""}, ["title"]),
        ({"title": " "}, ["title"]),
        ({"title": "x" * 201}, ["title"]),
        ({"title": "x", "description": "x" * 1001}, ["description"]),
        ({"title": "x", "description": 5}, ["description"]),
        ({"title": "a\x00", "description": "\x00"}, ["title", "description"]),
        ({"title": "x", "status": "pending"}, ["status"]),
        ({"title": "x", "status": None}, ["status"]),
        ({"title": "x", "status": 1}, ["status"]),
        ({"title": "x", "id": 7}, ["id"]),
        ({"title": "x", "user_id": "bob"}, ["user_id"]),
        ({"title": "x", "version": 7, "created_at": "x"}, ["version", "created_at"]),
        ({"title": "x", "<b>": 1}, [None]),
        ([], [None]),
        ("x", [None]),
        (None, [None]),
        (5, [None]),
    ],
)
async def test_create_rejects_invalid_bodies(
    ann: httpx.AsyncClient, body: object, fields: list[str | None]
) -> None:
    response = await ann.post(TASKS, json=body)
    assert error_of(response) == (422, "VALIDATION_ERROR")
    details = response.json()["details"]
    assert [e["field"] for e in details["errors"]] == fields
    assert (details["field"], details["error"]) == (fields[0], details["errors"][0]["error"])
    for error in details["errors"]:
        if error["field"] is not None:
            assert error["pointer"] == f"/{error['field']}"
    assert (await ann.get(TASKS)).json()["total"] == 0


@pytest.mark.parametrize("body", [{"title": None}, {"status": None}, {"titel": "x"}, {"title": ""}])
async def test_update_rejects_invalid_bodies(ann: httpx.AsyncClient, body: object) -> None:
    task = await new_task(ann)
    path = f"{TASKS}/{task['id']}"
    assert error_of(await ann.patch(path, json=body)) == (422, "VALIDATION_ERROR")
    assert (await ann.get(path)).json() == task


@pytest.mark.parametrize(
    "body",
    ["null", "[]", "{}", '{"completed": null}', '{"completed": 1}', '{"completed": "true"}'],
)
async def test_complete_rejects_invalid_bodies(ann: httpx.AsyncClient, body: str) -> None:
    """Only a request without a body toggles."""
    task = await new_task(ann)
    headers = {"Content-Type": "application/json"}
    response = await ann.patch(f"{TASKS}/{task['id']}/complete", content=body, headers=headers)
    assert error_of(response) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "task_id",
    ["0", "-1", "+1", "01", "1_0", "1.0", "%201", "x", "9223372036854775808", "9" * 400, "١"],
)
async def test_non_canonical_ids_are_rejected(ann: httpx.AsyncClient, task_id: str) -> None:
    await new_task(ann)
    response = await ann.get(f"{TASKS}/{task_id}")
    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert response.json()["details"]["field"] == "task_id"


async def test_largest_id_is_not_found(ann: httpx.AsyncClient) -> None:
    assert error_of(await ann.get(f"{TASKS}/{2**63 - 1}")) == (404, "TASK_NOT_FOUND")


async def test_validation_errors_come_before_not_found(
    ann: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    foreign = await new_task(bob)
    for task_id in (foreign["id"], 99):
        response = await ann.put(
            f"{TASKS}/{task_id}", json={"title": ""}, headers={"If-Match": '"9"'}
        )
        assert error_of(response) == (422, "VALIDATION_ERROR")


async def test_concurrent_toggles_lose_no_update(app: Any, ann: httpx.AsyncClient) -> None:
    path = f"{TASKS}/{(await new_task(ann))['id']}"
    async with client_of(app, "ann") as other:
        requests = [(ann, other)[n % 2].patch(f"{path}/complete") for n in range(50)]
        responses = await asyncio.gather(*requests)
    assert {response.status_code for response in responses} == {200}
    assert (await ann.get(path)).json()["version"] == 51


async def test_location_contains_the_root_path() -> None:
    app = build_backend(api_root_path="/backend").app
    transport = httpx.ASGITransport(app, root_path="/backend")
    headers = {"Authorization": f"Bearer {shared_secret_token()}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in (TASKS, f"/backend{TASKS}"):
            response = await client.post(path, json={"title": "x"}, headers=headers)
            assert response.headers["location"].startswith("/backend/api/tasks/")
            assert (await client.get(response.headers["location"], headers=headers)).is_success
        assert (await client.get("/openapi.json")).json()["servers"] == [{"url": "/backend"}]
