"""The error responses of an operation, for OpenAPI."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from adapters.asgi.errors import (
    BodyTooLarge,
    MalformedRequest,
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
from adapters.http.errors import status_of
from domain.errors import Invalid, TaskportError, TooManyRequests, Unauthenticated, Unavailable
from domain.users import EmailTaken, UnknownUser, UserBanned

BODY_ERRORS: Final = (MalformedRequest, RequestTimeout, BodyTooLarge, UnsupportedMediaType)
"""The errors of any operation with a body."""

SETS_COOKIE: Final[dict[str, Any]] = {
    "headers": {
        "Set-Cookie": {
            "description": "The session cookie: new, prolonged or expired.",
            "schema": {"type": "string"},
        }
    }
}
"""The documentation of a response that issues or expires the session cookie."""

Error = type[TaskportError] | type[WireError]
_PROTECTED: Final[tuple[Error, ...]] = (Unauthenticated, UnknownUser, UserBanned, EmailTaken)
_LIMITED: Final[tuple[Error, ...]] = (TooManyRequests,)
# 400 for a host that is not allowed, or an upgrade with a body.
_ANYWHERE: Final[tuple[Error, ...]] = (MalformedRequest, Unavailable)
_EXAMPLE_ID: Final = "2b1e7c1c-6d3c-4d0e-9a5f-0f6b6f1b8a34"


def error_responses(
    *errors: Error, is_protected: bool, is_limited: bool
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: these errors, and those that every such route can have."""
    common = (*(_PROTECTED if is_protected else ()), *(_LIMITED if is_limited else ()), *_ANYWHERE)
    # Without duplicates, in this order.
    raised = dict.fromkeys((*errors, *common))
    by_status: dict[int, list[tuple[str, str]]] = {500: [(INTERNAL_ERROR, INTERNAL_ERROR_MESSAGE)]}
    for error in raised:
        status = error.status if issubclass(error, WireError) else status_of(error)
        by_status.setdefault(status, []).append((error.code, error.message))
    return {status: _response(status, by_status[status]) for status in sorted(by_status)}


def _response(status: int, errors: Sequence[tuple[str, str]]) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if status in (429, 503):
        headers["Retry-After"] = response_header(
            "Seconds to wait before the next attempt.", "integer", always=True
        )
    if status == 401:
        headers["WWW-Authenticate"] = response_header(
            "The scheme of authentication (RFC 6750).", "string", always=True
        )
    schema = InvalidProblem if status == status_of(Invalid) else Problem
    return {
        "description": " · ".join(f"`{code}`" for code, _ in errors),
        "headers": headers,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": f"#/components/schemas/{schema.__name__}"},
                "examples": {
                    code: {"value": _example(status, code, message)} for code, message in errors
                },
            }
        },
    }


def response_header(description: str, kind: str, *, always: bool = False) -> dict[str, Any]:
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
