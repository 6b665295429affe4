"""The record of a request: what is known about it, kept in its ASGI scope."""

import random
import re
import uuid
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from starlette.types import Scope

from adapters.asgi.client_address import ForwardedFor
from application.limits import LimitStatus

CLIENT_CLOSED_REQUEST: Final = 499
PROBE_PATHS: Final = frozenset({"/health", "/health/db", "/livez", "/readyz", "/metrics"})
"""Paths for monitoring: exempt from rate limits and allowed for any host."""
# A browser may run nothing from a response, and may not frame it: an `<object>` would tell success
# from failure.
_CONTENT_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"
_RECORD: Final = "taskport.record"
_VALID_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


@dataclass(slots=True)
class RequestRecord:
    """The known facts about one request, filled in while the request is handled."""

    #: The client's `X-Request-ID` if it is valid, else a new one.
    request_id: bytes
    #: `perf_counter()` when the request arrived.
    started: float
    #: The client's IP address, or None if the server does not know it.
    address: str | None
    #: Whether the request has an `Origin` header.
    has_origin: bool
    #: The status of the response; `CLIENT_CLOSED_REQUEST` until one is sent.
    status: int = CLIENT_CLOSED_REQUEST
    #: The path template of the route, or None if no route matched.
    route: str | None = None
    #: The authenticated user.
    user_id: str | None = None
    #: None until the request has been counted against a rate limit.
    limit_status: LimitStatus | None = None
    #: The `error_code` of the response, if it is an error.
    error_code: str | None = None
    #: Why the request is refused, if it is: a `Reason`.
    reason: str | None = None
    #: The `Content-Security-Policy` of the response.
    content_policy: bytes = _CONTENT_POLICY


def open_record(scope: Scope, addresses: ForwardedFor) -> RequestRecord:
    """Create the record of a request and store it in the scope."""
    request_id: bytes | None = None
    has_origin = False
    forwarded: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if request_id is None and _VALID_ID.fullmatch(value):
                request_id = value
        elif name == b"x-forwarded-for":
            forwarded.append(value)
        elif name == b"origin":
            has_origin = True
    # The id is no secret; secure randomness would cost a system call.
    request_id = request_id or b"%032x" % random.getrandbits(128)
    client = scope.get("client")
    address = None if client is None else client[0]
    if forwarded:
        address = addresses(forwarded, address)
    record = RequestRecord(request_id, perf_counter(), address, has_origin)
    scope[_RECORD] = record
    return record


def record_of(scope: Scope) -> RequestRecord:
    record: RequestRecord = scope[_RECORD]
    return record


def has_response_started(scope: Scope) -> bool:
    return record_of(scope).status != CLIENT_CLOSED_REQUEST


def route_path(scope: Scope) -> str:
    """The path of the request, without the prefix `root_path`."""
    path: str = scope["path"]
    return path.removeprefix(scope["root_path"])


def request_id_of(scope: Scope) -> str:
    """The value of `X-Request-ID` in the response."""
    return record_of(scope).request_id.decode("ascii")


def log_context(scope: Scope) -> dict[str, Any]:
    """The fields of a log event about this request."""
    record = record_of(scope)
    return {
        "request_id": record.request_id.decode("ascii"),
        "route": record.route,
        "user_id": record.user_id,
        "address": record.address,
    }


def new_instance_urn() -> str:
    """The `instance` of problem details: unique to one response."""
    return f"urn:uuid:{uuid.uuid4()}"
