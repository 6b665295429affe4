"""What OpenAPI says beyond what FastAPI finds in the routes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from adapters.asgi.errors import (
    BodyTooLarge,
    MalformedRequest,
    MethodNotAllowed,
    RequestTimeout,
    UnsupportedMediaType,
    WireError,
)
from adapters.asgi.problems import (
    INTERNAL_ERROR,
    INTERNAL_ERROR_MESSAGE,
    MEDIA_TYPE,
    InvalidProblem,
    Problem,
    problem_body,
)
from adapters.http import schemas
from adapters.http.errors import status_of
from adapters.http.etags import TAGS
from adapters.http.routing import DirectRoute
from domain.errors import (
    Invalid,
    NotFound,
    TaskportError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
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
_LIMITED: Final[tuple[_Error, ...]] = (TooManyRequests,)
# 400 for a request that is unfit as a whole: for another host, or about to change the protocol.
_ANYWHERE: Final[tuple[_Error, ...]] = (MalformedRequest, Unavailable)
_EXAMPLE_ID: Final = "2b1e7c1c-6d3c-4d0e-9a5f-0f6b6f1b8a34"
_BEARER: Final = "bearer"
_COOKIE: Final = "cookie"
_HEADERS: Final = {
    "ETag": 'The version of the task, such as `"3"`.',
    "Location": "Where the new task is.",
    "If-Match": "Only in one of these versions, or 412: a tag, a list of tags, or `*`.",
    "If-None-Match": "Not in one of these versions: then 304.",
    "X-Request-ID": "The id of the request: the caller's, where that is sane, or a new one.",
    "RateLimit": 'What is left, and for how many seconds: `"60s";r=599;t=60`. Absent where nothing'
    " is limited.",
    "RateLimit-Policy": 'How many requests there may be in how many seconds: `"60s";q=600;w=60`.',
}
_DESCRIPTION: Final = """\
Tasks for web front ends whose users sign in with Better Auth.

Every error is `application/problem+json` and carries an `error_code` that never changes.
Every answer carries `X-Request-ID`; `HEAD` is answered wherever `GET` is.
"""


def documented(
    *errors: _Error, protected: bool = True, limited: bool = True
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: these errors, and those that any such route can end in."""
    usual = (*(_PROTECTED if protected else ()), *(_LIMITED if limited else ()), *_ANYWHERE)
    # In this order, and each of them once.
    raised = dict.fromkeys((*errors, *usual))
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
    components.setdefault("schemas", {}).update(_problems(document))
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
        if not isinstance(route, DirectRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            if route.user_name is not None:
                operation["security"] = [{_BEARER: []}, {_COOKIE: []}]
                _add_conditions(route, method, operation)
            _add_common_headers(operation)
            _mend_nulls(operation)
    return document


def _problems(document: dict[str, Any]) -> dict[str, Any]:
    """The shapes of errors; `error_code` tells them apart."""
    _, made = models_json_schema(
        [(Problem, "serialization"), (InvalidProblem, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    found: dict[str, Any] = made["$defs"]
    codes = {
        code
        for operations in document["paths"].values()
        for operation in operations.values()
        for answer in operation["responses"].values()
        for code in answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples", ())
    }
    # These two belong to no route.
    codes |= {NotFound.code, MethodNotAllowed.code}
    found["Problem"]["properties"]["error_code"]["enum"] = sorted(codes - {Invalid.code})
    return found


def _add_common_headers(operation: dict[str, Any]) -> None:
    """The headers that the middleware adds to every answer."""
    names = ["X-Request-ID"]
    if str(status_of(TooManyRequests)) in operation["responses"]:
        names += ["RateLimit", "RateLimit-Policy"]
    for answer in operation["responses"].values():
        answer.setdefault("headers", {}).update(
            # What is not limited has no limit to tell.
            {name: _header(_HEADERS[name], "string", always=name == names[0]) for name in names}
        )


def _add_conditions(route: DirectRoute, method: str, operation: dict[str, Any]) -> None:
    """The headers of entity tags, which the routes read and write themselves."""
    for status, names in ((200, ("ETag",)), (201, ("ETag", "Location")), (304, ("ETag",))):
        answer = operation["responses"].get(str(status))
        if answer is not None and route.response_model is schemas.Task:
            answer["headers"] = {
                name: _header(_HEADERS[name], "string", always=True) for name in names
            }
    if "{task_id}" in route.path:
        name = "If-None-Match" if method == "GET" else "If-Match"
        header = {"name": name, "in": "header", **_header(_HEADERS[name], "string")}
        if name == "If-Match":
            kinds = ({"const": "*"}, {"pattern": TAGS})
            header["schema"] = {"anyOf": [{"type": "string", **kind} for kind in kinds]}
        operation["parameters"].append(header)


def _mend_nulls(operation: dict[str, Any]) -> None:
    """To FastAPI what may be absent may be null; a query has no null, and no body may be one."""
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    for part in (*operation.get("parameters", ()), *bodies):
        schema = part["schema"]
        others = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
        if len(others) == 1:
            del schema["anyOf"]
            part["schema"] = {**others[0], **schema}


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
        headers["Retry-After"] = _header(
            "Seconds to wait before the next try.", "integer", always=True
        )
    if status == 401:
        headers["WWW-Authenticate"] = _header(
            "How to prove who you are (RFC 6750).", "string", always=True
        )
    shape = InvalidProblem if status == status_of(Invalid) else Problem
    return {
        "description": " · ".join(f"`{code}`" for code, _ in errors),
        "headers": headers,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": f"#/components/schemas/{shape.__name__}"},
                "examples": {
                    code: {"value": _example(status, code, message)} for code, message in errors
                },
            }
        },
    }


def _header(description: str, kind: str, *, always: bool = False) -> dict[str, Any]:
    required = {"required": True} if always else {}
    return {"description": description, **required, "schema": {"type": kind}}


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
