"""Blocks generated from the OpenAPI document: operations and schemas."""

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, Final

from fastapi import FastAPI

import domain
from adapters.asgi.problems import MEDIA_TYPE
from adapters.http.schema import ID_MAX, all_schemas
from entrypoints.app import from_settings
from entrypoints.settings import Settings
from specs.generator.markdown import code, codes, section, table, wrapped
from specs.generator.modules import classes
from specs.generator.source import comments_of

_REFERENCE: Final = "#/components/schemas/"
_NULL: Final = {"type": "null"}
_ID_MAX_TEXT: Final = "2⁶³−1"

Json = Mapping[str, Any]


class _Defaults(Settings):
    """The default settings, whatever the environment and `.env` contain."""

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[Any, ...]:
        return (sources["init_settings"],)


@cache
def application() -> FastAPI:
    """The service with all of its middleware, on memory."""
    secret = "0123456789abcdef" * 2
    return from_settings(_Defaults(better_auth_secret=secret, allowed_hosts="localhost"))


def operation(name: str, app: FastAPI | None = None) -> str:
    """Parameters, body and responses of an operation, by its `operationId`."""
    [found] = [o for _, o in operations(app or application()) if o["operationId"] == name]
    parts = [_parameters(found), _body(found), _responses(found)]
    return "\n\n".join(part for part in parts if part)


def operations(app: FastAPI) -> Iterator[tuple[str, Json]]:
    """The operations of the document, as `POST /api/tasks`."""
    for path, item in app.openapi()["paths"].items():
        for method, found in item.items():
            yield f"{method.upper()} {path}", found


def schemas(app: FastAPI | None = None) -> str:
    """A section for each schema: request bodies, responses, enumerations."""
    document = (app or application()).openapi()
    found: dict[str, Json] = document["components"]["schemas"]
    bodies = set(re.findall(_REFERENCE + r"(\w+)", json.dumps(_bodies(document))))
    bodies = {name for name in bodies if "enum" not in found[name]}
    names = sorted(found, key=lambda name: (name not in bodies, "enum" in found[name], name))
    return "\n\n".join(_schema(name, found[name], is_body=name in bodies) for name in names)


def _bodies(document: Json) -> list[Any]:
    return [
        operation.get("requestBody")
        for item in document["paths"].values()
        for operation in item.values()
    ]


def _schema(name: str, schema: Json, *, is_body: bool) -> str:
    text = [" ".join(part.split()) for part in schema.get("description", "").split("\n\n")]
    if "enum" in schema:
        members = table(("Value", "Meaning"), _enumeration(name, schema))
    else:
        header = ("Member", "Type", "Null", *(("Required",) if is_body else ()), "Rule", "Meaning")
        rows = list(_members(name, schema, is_body=is_body))
        members = table(header, rows) if rows else ""
    return section(3, code(name), *text, members)


def _members(name: str, schema: Json, *, is_body: bool) -> Iterator[tuple[str, ...]]:
    comments = _comments(name)
    for member, value in schema.get("properties", {}).items():
        kinds = value.get("anyOf", [value])
        required = "yes" if member in schema.get("required", ()) else "no"
        yield (
            code(member),
            " or ".join(_type(kind) for kind in kinds if kind != _NULL),
            "yes" if _NULL in kinds else "no",
            *((required,) if is_body else ()),
            _rule(value),
            value.get("description") or comments.get(member, ""),
        )


def _enumeration(name: str, schema: Json) -> Iterator[tuple[str, str]]:
    [kind] = [kind for kind in classes() if kind.__name__ == name and issubclass(kind, Enum)]
    for value in schema["enum"]:
        yield code(value), comments_of(kind).get(kind(value).name, "")


def _comments(name: str) -> Mapping[str, str]:
    """The comments of a schema and of its entity: `Task` for `NewTask`, ..."""
    found: dict[str, str] = {}
    for kind in sorted(classes(domain), key=lambda kind: len(kind.__name__)):
        if kind.__name__ in name:
            found.update(comments_of(kind))
    for schema in all_schemas():
        if schema.__name__ == name:
            found.update(comments_of(schema))
    return found


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        return f"[`{name}`](#{name.lower()})"
    if "const" in schema:
        return code(schema["const"])
    if schema.get("type") == "array":
        return f"array of {_type(schema['items'])}"
    return str(schema.get("format") or schema["type"])


def _rule(schema: Json) -> str:
    """The bounds of a number, or of the length of a text."""
    for low, high, unit in (("minimum", "maximum", ""), ("minLength", "maxLength", " characters")):
        least, most = schema.get(low), schema.get(high)
        if most is None and least is not None:
            return f"from {least}{unit}"
        if most is not None:
            bound = _ID_MAX_TEXT if most == ID_MAX else str(most)
            return f"{least} to {bound}{unit}" if least is not None else f"up to {bound}{unit}"
    return ""


def _parameters(operation: Json) -> str:
    rows = [
        (
            code(parameter["name"]),
            parameter["in"],
            " or ".join(_type(kind) for kind in _kinds(parameter["schema"])),
            _rule(parameter["schema"]),
            code(str(parameter["schema"].get("default", ""))),
            parameter.get("description", ""),
        )
        for parameter in operation.get("parameters", ())
    ]
    return table(("Parameter", "In", "Type", "Rule", "Default", "Meaning"), rows) if rows else ""


def _kinds(schema: Json) -> list[Json]:
    kinds: list[Json] = schema.get("anyOf", [schema])
    return kinds


def _body(operation: Json) -> str:
    body = operation.get("requestBody")
    if body is None:
        return ""
    kind = _type(body["content"]["application/json"]["schema"])
    return f"Body: {kind}{'' if body.get('required') else ', optional'}."


def _responses(operation: Json) -> str:
    return wrapped(
        "Responses: "
        + " · ".join(
            " ".join([status, *_content(response)])
            for status, response in operation["responses"].items()
        )
    )


def _content(response: Json) -> Iterator[str]:
    """The schema of a success, or the codes of an error."""
    for media_type, content in response.get("content", {}).items():
        if media_type == MEDIA_TYPE:
            yield codes(content["examples"])
        elif "schema" in content:
            yield _type(content["schema"])
