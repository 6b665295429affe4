"""What we know of the request at hand: one record, which lies in its ASGI scope."""

import random
import re
import uuid
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from starlette.types import Scope

from adapters.asgi.client_address import ClientAddresses
from application.limits import Allowance

CLIENT_GONE: Final = 499
FOR_WATCHERS: Final = frozenset({"/health", "/health/db", "/livez", "/readyz", "/metrics"})
"""The paths that machines ask which watch the service, from wherever they are."""
# Nothing that an answer might run where a browser takes it for a page; and no frame around it, for
# an `<object>` tells success from failure.
_CONTENT_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"
_RECORD: Final = "taskport.record"
_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


@dataclass(slots=True)
class RequestRecord:
    """`request_id` is what the answer shows; `address` the client's, as far as it is known;
    `status` that of the answer, or nginx's for a client that hangs up before. What is None is not
    known yet, or never will be: the `route` of an address that we do not serve, the `user_id` of
    nobody, the `allowance` of a request that is not counted. `content_policy` is for the page that
    has one of its own. `is_of_a_page` where an `Origin` says so.
    """

    request_id: bytes
    started: float
    address: str | None
    is_of_a_page: bool
    status: int = CLIENT_GONE
    route: str | None = None
    user_id: str | None = None
    allowance: Allowance | None = None
    content_policy: bytes = _CONTENT_POLICY


def begin(scope: Scope, addresses: ClientAddresses) -> RequestRecord:
    """Open the record of a request. Its id is the caller's where that is sane."""
    shown: bytes | None = None
    is_of_a_page = False
    forwarded: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if shown is None and _SANE.fullmatch(value):
                shown = value
        elif name == b"x-forwarded-for":
            forwarded.append(value)
        elif name == b"origin":
            is_of_a_page = True
    # It tells requests apart and keeps no secret; real randomness costs a system call.
    shown = shown or b"%032x" % random.getrandbits(128)
    client = scope.get("client")
    address = None if client is None else client[0]
    if forwarded:
        address = addresses(forwarded, address)
    record = RequestRecord(shown, perf_counter(), address, is_of_a_page)
    scope[_RECORD] = record
    return record


def record_of(scope: Scope) -> RequestRecord:
    record: RequestRecord = scope[_RECORD]
    return record


def route_of(scope: Scope) -> str:
    """The path that is asked for, without the prefix under which we are mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope["root_path"])


def request_id_of(scope: Scope) -> str:
    """The id that the answer shows."""
    return record_of(scope).request_id.decode("ascii")


def about(scope: Scope) -> dict[str, Any]:
    """What each line of the log says of the request that it is about."""
    record = record_of(scope)
    return {
        "request_id": record.request_id.decode("ascii"),
        "route": record.route,
        "user_id": record.user_id,
        "address": record.address,
    }


def new_instance() -> str:
    """A URN that is unique to one answer."""
    return f"urn:uuid:{uuid.uuid4()}"
