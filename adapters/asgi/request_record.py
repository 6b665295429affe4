"""What we know of the request at hand: one record, which lies in its ASGI scope."""

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
"""The paths that machines ask which watch the service, from wherever they are."""
# Nothing that an answer might run where a browser takes it for a page; and no frame around it, for
# an `<object>` tells success from failure.
_CONTENT_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"
_RECORD: Final = "taskport.record"
_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


@dataclass(slots=True)
class RequestRecord:
    """What is known about one request; it is filled in while the request is handled."""

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
    #: The `Content-Security-Policy` of the response.
    content_policy: bytes = _CONTENT_POLICY


def open_record(scope: Scope, addresses: ForwardedFor) -> RequestRecord:
    """Open the record of a request. Its id is the caller's where that is sane."""
    shown: bytes | None = None
    has_origin = False
    forwarded: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if shown is None and _SANE.fullmatch(value):
                shown = value
        elif name == b"x-forwarded-for":
            forwarded.append(value)
        elif name == b"origin":
            has_origin = True
    # It tells requests apart and keeps no secret; real randomness costs a system call.
    shown = shown or b"%032x" % random.getrandbits(128)
    client = scope.get("client")
    address = None if client is None else client[0]
    if forwarded:
        address = addresses(forwarded, address)
    record = RequestRecord(shown, perf_counter(), address, has_origin)
    scope[_RECORD] = record
    return record


def record_of(scope: Scope) -> RequestRecord:
    record: RequestRecord = scope[_RECORD]
    return record


def route_path(scope: Scope) -> str:
    """The path that is asked for, without the prefix under which we are mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope["root_path"])


def request_id_of(scope: Scope) -> str:
    """The id that the answer shows."""
    return record_of(scope).request_id.decode("ascii")


def log_context(scope: Scope) -> dict[str, Any]:
    """What each line of the log says of the request that it is about."""
    record = record_of(scope)
    return {
        "request_id": record.request_id.decode("ascii"),
        "route": record.route,
        "user_id": record.user_id,
        "address": record.address,
    }


def new_instance_urn() -> str:
    """A URN that is unique to one answer."""
    return f"urn:uuid:{uuid.uuid4()}"
