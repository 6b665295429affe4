"""Problem details (RFC 9457): the body of every error."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Scope

from adapters.asgi.request_record import new_instance_urn, record_of, request_id_of
from domain.errors import Invalid, TooManyRequests, Unavailable

MEDIA_TYPE: Final = "application/problem+json"
MALFORMED_REQUEST: Final = "MALFORMED_REQUEST"
MALFORMED_MESSAGE: Final = "The request cannot be read."
INTERNAL_ERROR: Final = "INTERNAL_ERROR"
INTERNAL_ERROR_MESSAGE: Final = "Something went wrong on our side."
# The names of RFC 9110, which Python has from 3.13 on.
_TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
_HARMLESS_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class NoDetails(BaseModel):
    """An empty object."""

    model_config = ConfigDict(extra="forbid")


class InvalidValue(BaseModel):
    """A value that breaks the rules. `field` is null if its name may not be repeated."""

    field: str | None
    pointer: str | None = Field(
        description="A JSON Pointer into the body; null for the query and the path."
    )
    error: str


class InvalidDetails(BaseModel):
    """All values that break the rules; `field` and `error` repeat the first of them."""

    field: str | None
    error: str
    errors: list[InvalidValue]


class _Problem(BaseModel):
    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    message: str = Field(description="What went wrong, for people.")
    type: Literal["about:blank"] = Field(description="See `error_code`.")
    title: str = Field(description="The name of the status.")
    status: int
    detail: str = Field(description="The same as `message`.")
    instance: str = Field(description="`urn:uuid:` of an id that only this request has.")
    request_id: str = Field(description="The `X-Request-ID` of the request.")
    timestamp: datetime


class Problem(_Problem):
    """An error. It never repeats what the client sent."""

    error_code: str = Field(description="What went wrong, for machines; it never changes.")
    details: NoDetails


class InvalidProblem(_Problem):
    """The error for values that break the rules."""

    error_code: Literal["VALIDATION_ERROR"]
    details: InvalidDetails


def title_of(status: int) -> str:
    """The name of a status (RFC 9110)."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def problem_body(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, Any],
    *,
    instance: str,
    request_id: str,
    timestamp: datetime,
) -> dict[str, Any]:
    return {
        "error_code": code,
        "message": message,
        "details": details,
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": message,
        "instance": instance,
        "request_id": request_id,
        "timestamp": timestamp,
    }


def problem(
    scope: Scope,
    status: int,
    code: str,
    message: str,
    details: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response to a request that failed; its code is recorded for the access log."""
    record_of(scope).error_code = code
    body = problem_body(
        status,
        code,
        message,
        details or {},
        instance=new_instance_urn(),
        request_id=request_id_of(scope),
        timestamp=datetime.now(UTC),
    )
    return Response(
        msgspec.json.encode(body),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        MEDIA_TYPE,
    )


def unavailable(scope: Scope, retry_after: int = 1) -> Response:
    return problem(
        scope,
        503,
        Unavailable.code,
        Unavailable.message,
        headers={"Retry-After": str(retry_after)},
    )


def too_many_requests(scope: Scope, retry_after: int) -> Response:
    return problem(
        scope,
        429,
        TooManyRequests.code,
        TooManyRequests.message,
        headers={"Retry-After": str(retry_after)},
    )


def malformed(scope: Scope) -> Response:
    """The request as a whole is malformed; the connection cannot be reused safely."""
    return problem(
        scope, 400, MALFORMED_REQUEST, MALFORMED_MESSAGE, headers={"Connection": "close"}
    )


def internal_error(scope: Scope) -> Response:
    return problem(scope, 500, INTERNAL_ERROR, INTERNAL_ERROR_MESSAGE)


def invalid(scope: Scope, errors: Sequence[Mapping[str, str | None]]) -> Response:
    """The response to values that break the rules; each of `errors` is an `invalid_value`."""
    first = errors[0] if errors else {"field": None, "error": Invalid.message}
    details = {"field": first["field"], "error": first["error"], "errors": errors}
    return problem(scope, 422, Invalid.code, Invalid.message, details)


def invalid_value(location: str, path: Sequence[str | int], error: str) -> dict[str, str | None]:
    """One entry of `details.errors`; `location` is "body", "query" or "path".

    A name that the client chose is repeated only if it is harmless. Only errors in the body have
    a `pointer` (RFC 6901).
    """
    names = [str(part) for part in path]
    is_harmless = all(map(_HARMLESS_NAME.fullmatch, names))
    return {
        "field": ".".join(names) if names and is_harmless else None,
        "pointer": "".join(f"/{name}" for name in names)
        if location == "body" and is_harmless
        else None,
        "error": error,
    }
