"""The rate limit of requests: everything that counts a request is here.

A request with a user counts for the user, right after authentication. A sign-in or sign-up counts
for the client's network before the password is hashed. Any other request counts for the network
when its response starts: an error, or a page of the documentation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.asgi.metrics import DECISIONS, REJECTED, UNCOUNTED
from adapters.asgi.problems import too_many_requests
from adapters.asgi.request_record import PROBE_PATHS, log_context, record_of, route_path
from application.limits import LimitStatus, RequestLimit
from domain.errors import TooManyRequests

# For a request that is not counted again, and whose response reports no limit.
_NOT_REPORTED: Final = LimitStatus((), ())

_log = structlog.get_logger("taskport.http")


@dataclass(frozen=True, slots=True)
class RateLimiter:
    """Counts requests, keeps the result in the request's record, and rejects what is too much."""

    limit: RequestLimit

    async def count_user(self, scope: Scope, user_id: str) -> None:
        """Raises `TooManyRequests`."""
        _check_limit(scope, await self.limit.count_user(user_id))

    async def count_sign_in(self, scope: Scope) -> None:
        """Raises `TooManyRequests`."""
        _check_limit(scope, await self.limit.count_sign_in(record_of(scope).address))

    async def count_anonymous(self, scope: Scope) -> None:
        """Raises `TooManyRequests`."""
        _check_limit(scope, await self.limit.count_address(record_of(scope).address))

    def exempt(self, scope: Scope) -> None:
        """Do not count this request at all."""
        record_of(scope).limit_status = _NOT_REPORTED


class AnonymousRateLimit:
    """ASGI middleware that counts the requests which nothing has counted by their response.

    Probes are exempt. So is 503: the client did not cause it, and is asked to try again.
    """

    def __init__(self, app: ASGIApp, limiter: RateLimiter) -> None:
        self.app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._limiter.limit.limits:
            await self.app(scope, receive, send)
            return
        record, is_rejected = record_of(scope), False

        async def send_counted(message: Message) -> None:
            nonlocal is_rejected
            if (
                record.limit_status is None
                and message["type"] == "http.response.start"
                and message["status"] != 503
                and route_path(scope) not in PROBE_PATHS
            ):
                try:
                    await self._limiter.count_anonymous(scope)
                except TooManyRequests as error:
                    is_rejected = True
                    await too_many_requests(scope, error.retry_after)(scope, receive, send)
            if not is_rejected:
                await send(message)

        await self.app(scope, receive, send_counted)


@contextmanager
def record_decision(limit: str, scope: Scope) -> Iterator[None]:
    """Log and count whether a use case that has a limit of its own rejects the request."""
    decision = "allowed"
    try:
        yield
    except TooManyRequests:
        decision = "refused"
        # The status of the request limit would not explain this response.
        record_of(scope).limit_status = _NOT_REPORTED
        #: A rate limit (`requests`, `log_ins` or `sign_ups`) rejects a request; of `requests`, only
        #: the first rejection in each window is logged.
        _log.warning("limit_reached", limit=limit, **log_context(scope))
        raise
    finally:
        DECISIONS.labels(limit, decision).inc()


def _check_limit(scope: Scope, status: LimitStatus | None) -> None:
    """`status` is None if the storage of the counters is unavailable."""
    record_of(scope).limit_status = status or _NOT_REPORTED
    if status is None:
        UNCOUNTED.inc()
    elif status.is_over:
        REJECTED.inc()
        if status.is_just_over:
            _log.warning("limit_reached", limit="requests", **log_context(scope))
        raise TooManyRequests(status.retry_after)
