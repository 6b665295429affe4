"""How many requests one may make, and what each answer says of it.

A request is counted as soon as it is known whose it is. One of nobody is counted where something is
about to be done for it, and all that end in an error are counted then.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from starlette.types import Scope

from adapters.asgi.metrics import DECISIONS, REFUSED, UNCOUNTED
from adapters.asgi.request_record import PROBE_PATHS, log_context, record_of, route_path
from application.limits import LimitStatus, RequestLimit
from domain.errors import TooManyRequests

# Of a request that is not to be counted again, and of whose limits nothing is told.
_NOT_REPORTED: Final = LimitStatus((), ())

_log = structlog.get_logger("taskport.http")


def check_limit(scope: Scope, limit_status: LimitStatus | None) -> None:
    """Note how far the limits are used up by a request. Raises `TooManyRequests`."""
    record_of(scope).limit_status = limit_status or _NOT_REPORTED
    if limit_status is None:
        UNCOUNTED.inc()
    elif limit_status.is_over:
        REFUSED.inc()
        if limit_status.is_just_over:
            _log.warning("limit_reached", limit="requests", **log_context(scope))
        raise TooManyRequests(limit_status.retry_after)


async def count_anonymous(limit: RequestLimit, scope: Scope) -> None:
    """Count a request against the address that it comes from, if it is to be counted and has not
    been. Raises `TooManyRequests`."""
    record = record_of(scope)
    if limit.limits and record.limit_status is None and route_path(scope) not in PROBE_PATHS:
        check_limit(scope, await limit.count_address(record.address))


async def count_sign_in(limit: RequestLimit, scope: Scope) -> None:
    """Count a request to sign in or up. Raises `TooManyRequests`."""
    check_limit(scope, await limit.count_sign_in(record_of(scope).address))


@contextmanager
def record_rejections(limit: str, scope: Scope) -> Iterator[None]:
    """Note whether a limit on what is done within refuses it."""
    decision = "allowed"
    try:
        yield
    except TooManyRequests:
        decision = "refused"
        # What is left of the others would be no answer to this.
        record_of(scope).limit_status = _NOT_REPORTED
        _log.warning("limit_reached", limit=limit, **log_context(scope))
        raise
    finally:
        DECISIONS.labels(limit, decision).inc()
