"""The table of fields has a row for every field of every route.

A new route or field without a row in `fields.py` fails here.
"""

import re
from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import Route

from adapters.http.routing import DirectRoute
from adapters.http.schema import all_schemas
from tests.http.fields import BODIES, FIELDS, Field

# FastAPI's own route, which reads no input.
OTHER_ROUTES: Final = {"/openapi.json"}


def fields_of(app: FastAPI) -> set[Field]:
    """All fields of all routes of the application."""
    fields = set()
    for route in app.routes:
        assert isinstance(route, Route)
        if not isinstance(route, DirectRoute):
            assert route.path in OTHER_ROUTES
            continue
        dependant = route.dependant
        for method in route.methods or ():
            for parameter in dependant.path_params:
                fields.add(Field(method, route.path, "path", parameter.alias))
            for parameter in dependant.query_params:
                fields.add(Field(method, route.path, "query", parameter.alias))
            for body in dependant.body_params:
                members = re.findall(r"schemas\.(\w+)", repr(body.field_info.annotation))
                [model] = {schema_named(member) for member in members}
                for name in model.model_fields:
                    fields.add(Field(method, route.path, "body", name))
    return fields


def schema_named(name: str) -> Any:
    return {schema.__name__: schema for schema in all_schemas()}[name]


def test_every_field_has_a_row(app: FastAPI) -> None:
    assert fields_of(app) == FIELDS.keys()


def test_document_has_the_same_fields(app: FastAPI) -> None:
    document = app.openapi()
    fields = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] != "header":
                    field = Field(method.upper(), path, parameter["in"], parameter["name"])
                    fields.add(field)
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                name = schema["$ref"].rpartition("/")[2]
                for member in document["components"]["schemas"][name]["properties"]:
                    fields.add(Field(method.upper(), path, "body", member))
    assert fields == {field for field in FIELDS if not field.path.startswith("/docs")}


def test_documented_bodies_are_those_of_the_field_table(app: FastAPI) -> None:
    document = app.openapi()["paths"]
    assert set(BODIES) == {
        (method.upper(), path)
        for path, item in document.items()
        for method, operation in item.items()
        if "requestBody" in operation
    }
