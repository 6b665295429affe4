"""The OpenAPI document matches the service."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from adapters.http.routing import DirectRoute
from adapters.http.schema import all_schemas
from domain.tasks import Task, TaskDraft
from tests.http.api import LOG_IN, LOG_OUT, ME, ONE_SESSION, REFRESH, SIGN_UP, USER, VALIDATE

PUBLIC = {SIGN_UP, LOG_IN, LOG_OUT}

SCHEMAS = {schema.__name__: schema for schema in all_schemas()}


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_version_is_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "Taskport"


def test_every_route_is_documented(app: FastAPI, document: dict[str, Any]) -> None:
    served = {
        (route.path_format, method.lower())
        for route in app.routes
        if isinstance(route, DirectRoute) and route.include_in_schema
        for method in route.methods or ()
    }
    assert {(path, method) for path, method, _ in operations(document)} == served


def test_operation_ids_are_stable_and_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert {"listTasks", "createTask", "getTask", "updateTask", "patchTask"} < set(ids)
    assert {"completeTask", "deleteTask", "health", "readyz"} < set(ids)


def test_protected_operations_document_security_and_errors(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        statuses = set(operation["responses"])
        assert {"500", "503"} <= statuses
        if not path.startswith("/api") or path in PUBLIC:
            # A log-out reads a credential, but needs none.
            assert {} in operation.get("security", [{}])
            continue
        assert operation["security"] == [{"bearer": []}, {"cookie": []}]
        assert {"401", "403", "409", "422"} <= statuses
        if "{task_id}" in path:
            assert {"403", "404"} <= statuses
            assert ("412" in statuses) is (method != "get")
        if "requestBody" in operation:
            assert {"400", "408", "413", "415"} <= statuses


def test_errors_are_documented_with_an_example_for_each_code(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            content = response["content"]["application/problem+json"]
            shape = "InvalidProblem" if status == "422" else "Problem"
            assert content["schema"] == {"$ref": f"#/components/schemas/{shape}"}
            for name, example in content["examples"].items():
                assert example["value"]["error_code"] == name
                assert example["value"]["status"] == int(status)
            assert ("Retry-After" in response["headers"]) is (status in ("429", "503"))


def test_examples_are_valid(document: dict[str, Any]) -> None:
    """As they are in the document, nulls included."""
    schemas = document["components"]["schemas"]
    names = [name for name in schemas if name in SCHEMAS and "properties" in schemas[name]]
    assert {"NewTask", "TaskUpdate", "Task", "TaskPage", "SignedIn", "User"} <= set(names)
    for name in names:
        for example in schemas[name]["examples"]:
            SCHEMAS[name].model_validate(example)
    assert {"description": None} in schemas["TaskUpdate"]["examples"]


def test_bounds_of_parameters(document: dict[str, Any]) -> None:
    parameters = {
        parameter["name"]: parameter["schema"]
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", [])
    }
    for name, maximum in (("page", 1_000_000), ("limit", 100), ("task_id", 2**63 - 1)):
        assert parameters[name]["type"] == "integer"
        assert (parameters[name]["minimum"], parameters[name]["maximum"]) == (1, maximum)
        assert {type(parameters[name][bound]) for bound in ("minimum", "maximum")} == {int}


def test_entity_tags_are_documented(document: dict[str, Any]) -> None:
    task, tasks = document["paths"]["/api/tasks/{task_id}"], document["paths"]["/api/tasks"]
    names = {method: {p["name"] for p in op["parameters"]} for method, op in task.items()}
    assert names.pop("get") == {"task_id", "If-None-Match"}
    assert set(map(frozenset, names.values())) == {frozenset({"task_id", "If-Match"})}
    assert {"ETag", "Location"} <= tasks["post"]["responses"]["201"]["headers"].keys()
    assert "ETag" in task["get"]["responses"]["304"]["headers"]
    assert "ETag" not in tasks["get"]["responses"]["200"].get("headers", {})


def test_encoded_task_matches_its_schema() -> None:
    """Entities are encoded directly: neither side may have a field that the other lacks."""
    names = [field.name for field in dataclasses.fields(Task)]
    assert names == list(SCHEMAS["Task"].model_fields)
    task = Task.create(TaskDraft(title="x"), user_id="u", now=datetime(2026, 11, 20, tzinfo=UTC))
    task.id = 1
    encoded = msgspec.json.encode(task)
    assert list(msgspec.json.decode(encoded)) == names
    SCHEMAS["Task"].model_validate_json(encoded)


async def test_document_is_served(anonymous: httpx.AsyncClient, document: dict[str, Any]) -> None:
    assert (await anonymous.get("/openapi.json")).json() == document
    assert (await anonymous.get("/docs")).status_code == 200


def test_set_cookie_headers_are_documented(document: dict[str, Any]) -> None:
    """And no ETag is documented outside tasks."""
    with_cookies = {
        (path, status)
        for path, _, operation in operations(document)
        for status, response in operation["responses"].items()
        if "Set-Cookie" in response.get("headers", {})
    }
    assert with_cookies == {
        (SIGN_UP, "201"),
        (LOG_IN, "200"),
        (LOG_OUT, "204"),
        (REFRESH, "200"),
        (ME, "200"),
        (VALIDATE, "200"),
        (USER, "204"),
        (ONE_SESSION, "204"),
    }
    for path, _, operation in operations(document):
        if not path.startswith("/api/tasks"):
            for response in operation["responses"].values():
                assert "ETag" not in response.get("headers", {})
