"""The OpenAPI document, completed: errors, security schemes, conditional requests, headers."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from adapters.asgi.errors import MethodNotAllowed
from adapters.asgi.problems import MEDIA_TYPE, InvalidProblem, Problem
from adapters.http.error_responses import response_header
from adapters.http.errors import status_of
from adapters.http.etags import TAGS
from adapters.http.routing import DirectRoute
from adapters.http.schema import ID_MAX, all_schemas
from adapters.http.session_schemas import EmailAndPassword, NewUser
from adapters.http.task_schemas import Task
from application.sign_in import PasswordPolicy
from domain.errors import Invalid, NotFound, TooManyRequests

_BEARER: Final = "bearer"
_COOKIE: Final = "cookie"
_HEADERS: Final = {
    "ETag": 'The version of the task, such as `"3"`.',
    "Location": "The path of the new task.",
    "If-Match": "The accepted versions, else 412: a tag, a list of tags, or `*`.",
    "If-None-Match": "Respond with 304 if the task is in one of these versions.",
    "X-Request-ID": "The id of the request: the client's if it is valid, else a new one.",
    "RateLimit": 'The remaining requests and seconds of each window: `"60s";r=599;t=60`. Absent'
    " without a limit.",
    "RateLimit-Policy": 'The requests that each window allows: `"60s";q=600;w=60`.',
}
_DESCRIPTION: Final = """\
Tasks for web front ends whose users sign in with Better Auth.

Every error is `application/problem+json` and carries an `error_code` that never changes.
Every response carries `X-Request-ID`; `HEAD` works wherever `GET` does.
"""


def customize(app: FastAPI, root_path: str, cookie_name: str, passwords: PasswordPolicy) -> None:
    """Let the application serve the completed document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, root_path, cookie_name)
            _set_password_lengths(app.openapi_schema, passwords)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, root_path: str, cookie_name: str) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=_DESCRIPTION,
        routes=app.routes,
        servers=[{"url": root_path or "/"}],
    )
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(_problems(document))
    for schema in all_schemas():
        # FastAPI drops every null of an example.
        extra = schema.model_config.get("json_schema_extra")
        if isinstance(extra, dict) and schema.__name__ in components["schemas"]:
            components["schemas"][schema.__name__].update(extra)
    _fix_bounds(document)
    components["securitySchemes"] = {
        _BEARER: {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token of this service; a session token, signed or (unless a"
            " setting forbids it) raw; a"
            " token of Better Auth's `jwt` plugin; or one that the front end's server signed with"
            " the shared secret.",
        },
        _COOKIE: {
            "type": "apiKey",
            "in": "cookie",
            "name": cookie_name,
            "description": "Better Auth's session cookie. For a change, `Origin` or"
            " `Sec-Fetch-Site` must show that a trusted page sent the request.",
        },
    }
    for route in app.routes:
        if not isinstance(route, DirectRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            if route.is_protected:
                operation["security"] = [{_BEARER: []}, {_COOKIE: []}]
                _add_conditions(route, method, operation)
            _add_common_headers(operation)
            _fix_nulls(operation)
    return document


def _set_password_lengths(document: dict[str, Any], passwords: PasswordPolicy) -> None:
    schemas = document["components"]["schemas"]
    for name, bounds in (
        (EmailAndPassword.__name__, {"maxLength": passwords.max_length}),
        (
            NewUser.__name__,
            {"minLength": passwords.min_length, "maxLength": passwords.max_length},
        ),
    ):
        schemas[name]["properties"]["password"] |= bounds


def _problems(document: dict[str, Any]) -> dict[str, Any]:
    """The schemas of errors; `error_code` discriminates them."""
    _, made = models_json_schema(
        [(Problem, "serialization"), (InvalidProblem, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    found: dict[str, Any] = made["$defs"]
    codes = {
        code
        for operations in document["paths"].values()
        for operation in operations.values()
        for response in operation["responses"].values()
        for code in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", ())
    }
    # The errors of paths and methods without a route.
    codes |= {NotFound.code, MethodNotAllowed.code}
    found["Problem"]["properties"]["error_code"]["enum"] = sorted(codes - {Invalid.code})
    return found


def _add_common_headers(operation: dict[str, Any]) -> None:
    """The headers that the middleware adds to every response."""
    names = ["X-Request-ID"]
    if str(status_of(TooManyRequests)) in operation["responses"]:
        names += ["RateLimit", "RateLimit-Policy"]
    for response in operation["responses"].values():
        response.setdefault("headers", {}).update(
            # The rate-limit headers are absent if there is no limit.
            {
                name: response_header(_HEADERS[name], "string", always=name == names[0])
                for name in names
            }
        )


def _add_conditions(route: DirectRoute, method: str, operation: dict[str, Any]) -> None:
    """The headers of conditional requests, which the routes read and write themselves."""
    for status, names in ((200, ("ETag",)), (201, ("ETag", "Location")), (304, ("ETag",))):
        response = operation["responses"].get(str(status))
        if response is not None and route.response_model is Task:
            response["headers"] = {
                name: response_header(_HEADERS[name], "string", always=True) for name in names
            }
    if "{task_id}" in route.path:
        name = "If-None-Match" if method == "GET" else "If-Match"
        header = {"name": name, "in": "header", **response_header(_HEADERS[name], "string")}
        if name == "If-Match":
            kinds = ({"const": "*"}, {"pattern": TAGS})
            header["schema"] = {"anyOf": [{"type": "string", **kind} for kind in kinds]}
        operation["parameters"].append(header)


def _fix_nulls(operation: dict[str, Any]) -> None:
    """Drop the null that FastAPI adds to optional parameters and bodies."""
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    for part in (*operation.get("parameters", ()), *bodies):
        schema = part["schema"]
        others = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
        if len(others) == 1:
            del schema["anyOf"]
            part["schema"] = {**others[0], **schema}


def _fix_bounds(part: Any) -> None:
    """FastAPI turns every bound into a float, which cannot hold 2^63 - 1."""
    if isinstance(part, dict):
        for name in ("maximum", "minimum"):
            if isinstance(part.get(name), float):
                part[name] = min(int(part[name]), ID_MAX)
    for inner in part.values() if isinstance(part, dict) else part:
        if isinstance(inner, dict | list):
            _fix_bounds(inner)
