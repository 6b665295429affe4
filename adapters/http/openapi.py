"""What OpenAPI says beyond what FastAPI finds in the routes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from adapters.http import schemas
from adapters.http.errors import (
    BodyTooLarge,
    MalformedRequest,
    RequestTimeout,
    UnsupportedMediaType,
    WireError,
    status_of,
)
from adapters.http.problems import (
    INTERNAL_ERROR,
    INTERNAL_ERROR_MESSAGE,
    MEDIA_TYPE,
    Problem,
    problem_body,
)
from adapters.http.routing import DirectRoute
from domain.errors import TaskportError, Unauthenticated, Unavailable
from domain.users import EmailTaken, UnknownUser, UserBanned

BODY_ERRORS: Final = (MalformedRequest, RequestTimeout, BodyTooLarge, UnsupportedMediaType)
"""What can be wrong with any body."""

SETS_COOKIE: Final[dict[str, Any]] = {
    "headers": {
        "Set-Cookie": {
            "description": "The session cookie, where it is new, lives longer, or is over.",
            "schema": {"type": "string"},
        }
    }
}
"""What an answer says that gives or takes the session cookie."""

_Error = type[TaskportError] | type[WireError]
_PROTECTED: Final[tuple[_Error, ...]] = (Unauthenticated, UnknownUser, UserBanned, EmailTaken)
_ANYWHERE: Final[tuple[_Error, ...]] = (Unavailable,)
_EXAMPLE_ID: Final = "2b1e7c1c-6d3c-4d0e-9a5f-0f6b6f1b8a34"
_BEARER: Final = "bearer"
_COOKIE: Final = "cookie"
_HEADERS: Final = {
    "ETag": 'The version of the task, such as `"3"`.',
    "Location": "Where the new task is.",
    "If-Match": "Only in one of these versions, or 412: a tag, a list of tags, or `*`.",
    "If-None-Match": "Not in one of these versions: then 304.",
}
_DESCRIPTION: Final = """\
Tasks for web front ends whose users sign in with Better Auth.

Every error is `application/problem+json` and carries an `error_code` that never changes.
Every answer carries `X-Request-ID`; `HEAD` is answered wherever `GET` is.
"""


def documented(*errors: _Error, protected: bool = True) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: these errors, and those that any such route can end in."""
    raised = (*errors, *(_PROTECTED if protected else ()), *_ANYWHERE)
    by_status: dict[int, list[tuple[str, str]]] = {500: [(INTERNAL_ERROR, INTERNAL_ERROR_MESSAGE)]}
    for error in raised:
        status = error.status if issubclass(error, WireError) else status_of(error)
        by_status.setdefault(status, []).append((error.code, error.message))
    return {status: _response(status, by_status[status]) for status in sorted(by_status)}


def customise(app: FastAPI, root_path: str, cookie_name: str) -> None:
    """Complete the document: the shape of errors, and what proves who is asking."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, root_path, cookie_name)
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
    components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    for name, schema in components["schemas"].items():
        # FastAPI leaves every null out of an example.
        extra = getattr(getattr(schemas, name, None), "model_config", {}).get("json_schema_extra")
        schema.update(extra or {})
    _mend_bounds(document)
    components["securitySchemes"] = {
        _BEARER: {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token of this service; a session token, raw or signed; a"
            " token of Better Auth's `jwt` plugin; or one that the front end's server signed with"
            " the shared secret.",
        },
        _COOKIE: {
            "type": "apiKey",
            "in": "cookie",
            "name": cookie_name,
            "description": "Better Auth's session cookie. For a change it counts only where"
            " `Origin` or `Sec-Fetch-Site` say that a trusted page asks.",
        },
    }
    for route in app.routes:
        if isinstance(route, DirectRoute) and route.user_name is not None:
            for method in route.methods or ():
                operation = document["paths"][route.path_format][method.lower()]
                operation["security"] = [{_BEARER: []}, {_COOKIE: []}]
                _add_conditions(route, method, operation)
    return document


def _add_conditions(route: DirectRoute, method: str, operation: dict[str, Any]) -> None:
    """The headers of entity tags, which the routes read and write themselves."""
    for status, names in ((200, ("ETag",)), (201, ("ETag", "Location")), (304, ("ETag",))):
        answer = operation["responses"].get(str(status))
        if answer is not None and route.response_model is schemas.Task:
            answer["headers"] = {name: _header(_HEADERS[name], "string") for name in names}
    if "{task_id}" in route.path:
        name = "If-None-Match" if method == "GET" else "If-Match"
        operation["parameters"].append(
            {"name": name, "in": "header", **_header(_HEADERS[name], "string")}
        )


def _mend_bounds(part: Any) -> None:
    """FastAPI makes a float of every bound, and 2^63 - 1 is none."""
    if isinstance(part, dict):
        for name in ("maximum", "minimum"):
            if isinstance(part.get(name), float):
                part[name] = min(int(part[name]), schemas.ID_MAX)
    for inner in part.values() if isinstance(part, dict) else part:
        if isinstance(inner, dict | list):
            _mend_bounds(inner)


def _response(status: int, errors: Sequence[tuple[str, str]]) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if status in (429, 503):
        headers["Retry-After"] = _header("Seconds to wait before the next try.", "integer")
    if status == 401:
        headers["WWW-Authenticate"] = _header("How to prove who you are (RFC 6750).", "string")
    return {
        "description": " · ".join(f"`{code}`" for code, _ in errors),
        "headers": headers,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {
                    code: {"value": _example(status, code, message)} for code, message in errors
                },
            }
        },
    }


def _header(description: str, kind: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


def _example(status: int, code: str, message: str) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if status == 422:
        error = {"field": "title", "error": "must have at most 200 characters"}
        details = {**error, "errors": [{**error, "pointer": "/title"}]}
    body = problem_body(
        status,
        code,
        message,
        details,
        instance=f"urn:uuid:{_EXAMPLE_ID}",
        request_id=_EXAMPLE_ID,
        timestamp=datetime(2026, 11, 20, 16, 31, 35, tzinfo=UTC),
    )
    return {**body, "timestamp": "2026-11-20T16:31:35Z"}
