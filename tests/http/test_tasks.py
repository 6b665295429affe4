"""Tasks over HTTP: what every request answers."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.http.backend import build_backend
from tests.http.client import client_of, code, new_task, token

PATH = "/api/tasks"


async def test_creating(ann: httpx.AsyncClient) -> None:
    answer = await ann.post(PATH, json={"title": " Water ", "description": "a\r\nb"})
    task = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{PATH}/{task['id']}"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "no-store"
    assert (task["title"], task["description"]) == ("Water", "a\nb")
    assert (task["status"], task["completed_at"], task["version"]) == ("Pending", None, 1)
    assert task["user_id"] == "ann"
    assert task["created_at"] == task["updated_at"]
    assert task["created_at"].endswith("Z")


async def test_creating_completed(ann: httpx.AsyncClient) -> None:
    task = await new_task(ann, status="Completed")
    assert task["completed_at"] == task["created_at"]


async def test_what_was_accepted_comes_back(ann: httpx.AsyncClient) -> None:
    task = await new_task(ann, title="👩\u200d👧 %_\\'\"<b>", description="")
    answer = await ann.get(f"{PATH}/{task['id']}")
    assert answer.json() == task
    assert (await ann.get(PATH)).json()["data"] == [task]


async def test_getting(ann: httpx.AsyncClient) -> None:
    task = await new_task(ann)
    answer = await ann.get(f"{PATH}/{task['id']}")
    assert (answer.status_code, answer.json()) == (200, task)
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Cookie, Authorization, Origin"


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', '"0", "1"', "*", '"7" , W/"1",'])
async def test_getting_what_is_known(ann: httpx.AsyncClient, tag: str) -> None:
    task = await new_task(ann)
    answer = await ann.get(f"{PATH}/{task['id']}", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Cookie, Authorization, Origin"


@pytest.mark.parametrize("tag", ['"2"', "1", '""', '"01"', "nonsense"])
async def test_getting_what_is_not_known(ann: httpx.AsyncClient, tag: str) -> None:
    task = await new_task(ann)
    answer = await ann.get(f"{PATH}/{task['id']}", headers={"If-None-Match": tag})
    assert answer.status_code == 200


async def test_head_is_get_without_the_body(ann: httpx.AsyncClient) -> None:
    task = await new_task(ann)
    for path in (PATH, f"{PATH}/{task['id']}", "/health", "/readyz", "/openapi.json"):
        got, head = await ann.get(path), await ann.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        ignored = ("x-request-id", "date")
        assert {k: v for k, v in head.headers.items() if k not in ignored} == {
            k: v for k, v in got.headers.items() if k not in ignored
        }


async def test_listing_pages(ann: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    titles = [f"task {n}" for n in range(5)]
    for title in titles:
        await new_task(ann, title=title)
    await new_task(bob)
    answer = await ann.get(PATH, params={"page": 2, "limit": 2})
    body = answer.json()
    assert [task["title"] for task in body.pop("data")] == ["task 2", "task 1"]
    assert body == {"count": 2, "total": 5, "page": 2, "limit": 2}
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "etag" not in answer.headers
    past = (await ann.get(PATH, params={"page": 1_000_000})).json()
    assert past == {"data": [], "count": 0, "total": 5, "page": 1_000_000, "limit": 50}


async def test_listing_filters_and_sorts(ann: httpx.AsyncClient) -> None:
    for title, status in (("b", "Pending"), ("a", "Completed"), ("c", "Completed")):
        await new_task(ann, title=title, status=status)
    params = {"status": "Completed", "sort": "title"}
    assert [t["title"] for t in (await ann.get(PATH, params=params)).json()["data"]] == ["a", "c"]
    assert [t["title"] for t in (await ann.get(PATH, params={"q": "B"})).json()["data"]] == ["b"]


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
async def test_listing_refuses(ann: httpx.AsyncClient, query: str, field: str | None) -> None:
    answer = await ann.get(f"{PATH}?{query}")
    assert code(answer) == (422, "VALIDATION_ERROR")
    details = answer.json()["details"]
    assert details["field"] == field
    assert [(e["field"], e["pointer"]) for e in details["errors"]] == [(field, None)]
    assert "script" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_partial_update(ann: httpx.AsyncClient, method: str) -> None:
    task = await new_task(ann, description="old")
    path = f"{PATH}/{task['id']}"
    answer = await ann.request(method, path, json={"title": "new"})
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    assert answer.headers["cache-control"] == "no-store"
    changed = answer.json()
    expected = {**task, "title": "new", "version": 2, "updated_at": changed["updated_at"]}
    assert changed == expected
    cleared = (await ann.request(method, path, json={"description": None})).json()
    assert (cleared["description"], cleared["version"]) == (None, 3)
    done = (await ann.request(method, path, json={"status": "Completed"})).json()
    assert done["completed_at"] == done["updated_at"]


@pytest.mark.parametrize(
    "body", [{}, {"title": "Water the plants"}, {"title": " Water the plants "}]
)
async def test_a_change_that_changes_nothing(ann: httpx.AsyncClient, body: object) -> None:
    task = await new_task(ann)
    answer = await ann.patch(f"{PATH}/{task['id']}", json=body)
    assert (answer.status_code, answer.json()) == (200, task)
    assert answer.headers["etag"] == '"1"'


async def test_toggling_and_setting(ann: httpx.AsyncClient) -> None:
    path = f"{PATH}/{(await new_task(ann))['id']}/complete"
    seen = []
    for body in (None, None, {"completed": True}, {"completed": True}, {"completed": False}):
        answer = await (ann.patch(path) if body is None else ann.patch(path, json=body))
        task = answer.json()
        assert answer.headers["etag"] == f'"{task["version"]}"'
        assert (task["completed_at"] is not None) is (task["status"] == "Completed")
        seen.append((task["status"], task["version"]))
    assert seen == [
        ("Completed", 2),
        ("Pending", 3),
        ("Completed", 4),
        ("Completed", 4),
        ("Pending", 5),
    ]


async def test_deleting(ann: httpx.AsyncClient) -> None:
    path = f"{PATH}/{(await new_task(ann))['id']}"
    answer = await ann.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert code(await ann.delete(path)) == (404, "TASK_NOT_FOUND")


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
    path = f"{PATH}/{task['id']}"
    answer = await ann.request(method, path + suffix, headers={"If-Match": tag}, **body)
    if status == 200:
        assert answer.status_code in (200, 204)
        return
    expected = {400: "MALFORMED_REQUEST", 412: "STALE_TASK"}[status]
    assert code(answer) == (status, expected)
    assert (await ann.get(path)).json() == task


async def test_several_if_match_fields_are_one_list(ann: httpx.AsyncClient) -> None:
    path = f"{PATH}/{(await new_task(ann))['id']}"
    headers = [*ann.headers.items(), ("If-Match", '"7"'), ("If-Match", '"1"')]
    assert (await ann.put(path, json={"title": "x"}, headers=headers)).status_code == 200


async def test_a_stale_change_is_refused_even_if_it_would_change_nothing(
    ann: httpx.AsyncClient,
) -> None:
    task = await new_task(ann)
    path = f"{PATH}/{task['id']}"
    answer = await ann.put(path, json={}, headers={"If-Match": '"7"'})
    assert code(answer) == (412, "STALE_TASK")


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
async def test_creating_refuses(
    ann: httpx.AsyncClient, body: object, fields: list[str | None]
) -> None:
    answer = await ann.post(PATH, json=body)
    assert code(answer) == (422, "VALIDATION_ERROR")
    details = answer.json()["details"]
    assert [e["field"] for e in details["errors"]] == fields
    assert (details["field"], details["error"]) == (fields[0], details["errors"][0]["error"])
    for error in details["errors"]:
        if error["field"] is not None:
            assert error["pointer"] == f"/{error['field']}"
    assert (await ann.get(PATH)).json()["total"] == 0


@pytest.mark.parametrize("body", [{"title": None}, {"status": None}, {"titel": "x"}, {"title": ""}])
async def test_updating_refuses(ann: httpx.AsyncClient, body: object) -> None:
    task = await new_task(ann)
    path = f"{PATH}/{task['id']}"
    assert code(await ann.patch(path, json=body)) == (422, "VALIDATION_ERROR")
    assert (await ann.get(path)).json() == task


@pytest.mark.parametrize(
    "body",
    ["null", "[]", "{}", '{"completed": null}', '{"completed": 1}', '{"completed": "true"}'],
)
async def test_completing_refuses(ann: httpx.AsyncClient, body: str) -> None:
    """Only the absence of a body toggles."""
    task = await new_task(ann)
    headers = {"Content-Type": "application/json"}
    answer = await ann.patch(f"{PATH}/{task['id']}/complete", content=body, headers=headers)
    assert code(answer) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "task_id",
    ["0", "-1", "+1", "01", "1_0", "1.0", "%201", "x", "9223372036854775808", "9" * 400, "١"],
)
async def test_ids_that_are_not_canonical(ann: httpx.AsyncClient, task_id: str) -> None:
    await new_task(ann)
    answer = await ann.get(f"{PATH}/{task_id}")
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["details"]["field"] == "task_id"


async def test_the_largest_id_is_just_not_there(ann: httpx.AsyncClient) -> None:
    assert code(await ann.get(f"{PATH}/{2**63 - 1}")) == (404, "TASK_NOT_FOUND")


async def test_what_is_invalid_is_said_before_what_is_not_there(
    ann: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    foreign = await new_task(bob)
    for task_id in (foreign["id"], 99):
        answer = await ann.put(f"{PATH}/{task_id}", json={"title": ""}, headers={"If-Match": '"9"'})
        assert code(answer) == (422, "VALIDATION_ERROR")


async def test_fifty_toggles_over_http(app: Any, ann: httpx.AsyncClient) -> None:
    path = f"{PATH}/{(await new_task(ann))['id']}"
    async with client_of(app, "ann") as other:
        both = [(ann, other)[n % 2].patch(f"{path}/complete") for n in range(50)]
        answers = await asyncio.gather(*both)
    assert {answer.status_code for answer in answers} == {200}
    assert (await ann.get(path)).json()["version"] == 51


async def test_a_location_knows_the_prefix_of_a_rewrite() -> None:
    app = build_backend(api_root_path="/backend").app
    transport = httpx.ASGITransport(app, root_path="/backend")
    headers = {"Authorization": f"Bearer {token()}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in (PATH, f"/backend{PATH}"):
            answer = await client.post(path, json={"title": "x"}, headers=headers)
            assert answer.headers["location"].startswith("/backend/api/tasks/")
            assert (await client.get(answer.headers["location"], headers=headers)).is_success
        assert (await client.get("/openapi.json")).json()["servers"] == [{"url": "/backend"}]
