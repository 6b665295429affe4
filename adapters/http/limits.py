"""How many requests one may make, and what each answer says of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.context import about, record_of
from adapters.http.metrics import DECISIONS
from adapters.http.problems import too_many
from application.limits import Allowance, RequestLimit
from domain.errors import TooManyRequests

UNCOUNTED: Final = frozenset({"/health", "/health/db", "/livez", "/readyz", "/metrics"})
_ALLOWED: Final = DECISIONS.labels("requests", "allowed")
_REFUSED: Final = DECISIONS.labels("requests", "refused")
_UNCOUNTED: Final = DECISIONS.labels("requests", "uncounted")

_log = structlog.get_logger("taskport.http")


async def count_user(limit: RequestLimit, scope: Scope, user_id: str) -> None:
    """Count a request against the user who makes it. Raises `TooManyRequests`."""
    _decide(scope, await limit.count_user(user_id))


async def count_nobody(limit: RequestLimit, scope: Scope) -> None:
    """Count a request against the address that it comes from. Raises `TooManyRequests`."""
    _decide(scope, await limit.count_address(record_of(scope).address))


@contextmanager
def deciding(limit: str, scope: Scope) -> Iterator[None]:
    """Note whether a limit on what is done within refuses it."""
    decision = "allowed"
    try:
        yield
    except TooManyRequests:
        decision = "refused"
        _log.warning("limit_reached", limit=limit, **about(scope))
        raise
    finally:
        DECISIONS.labels(limit, decision).inc()


class RateLimit:
    """Counts the requests of nobody, and says in each answer what is left, in the fields
    `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).

    The requests of users are counted as soon as it is known whose they are, and so is what is
    about to do something for nobody. All others are counted when they are answered: an error, or
    a page of the documentation, is not worth a look into the request.
    """

    def __init__(self, app: ASGIApp, limit: RequestLimit) -> None:
        self.app = app
        self._limit = limit
        said = ", ".join(f'"{ls.seconds}s";q={ls.amount};w={ls.seconds}' for ls in limit.limits)
        self._policy = (b"ratelimit-policy", said.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _path(scope) in UNCOUNTED:
            await self.app(scope, receive, send)
            return
        record = record_of(scope)
        is_refused = False

        async def send_counted(message: Message) -> None:
            nonlocal is_refused
            if is_refused:
                return
            if message["type"] == "http.response.start":
                if record.allowance is None:
                    try:
                        await count_nobody(self._limit, scope)
                    except TooManyRequests as error:
                        # What it would have been is left out from here on.
                        await too_many(scope, error.retry_after)(scope, receive, send_counted)
                        is_refused = True
                        return
                if record.allowance is not None:
                    message["headers"] = [
                        *message["headers"],
                        self._policy,
                        (b"ratelimit", _left(record.allowance)),
                    ]
            await send(message)

        await self.app(scope, receive, send_counted)


def _decide(scope: Scope, allowance: Allowance | None) -> None:
    record_of(scope).allowance = allowance
    if allowance is None:
        _UNCOUNTED.inc()
    elif not allowance.is_over:
        _ALLOWED.inc()
    else:
        _REFUSED.inc()
        if allowance.is_just_over:
            _log.warning("limit_reached", limit="requests", **about(scope))
        raise TooManyRequests(allowance.retry_after)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope["root_path"])


def _left(allowance: Allowance) -> bytes:
    left = []
    for limit, (times, seconds) in zip(allowance.limits, allowance.counted, strict=True):
        remaining = limit.amount - times if times < limit.amount else 0
        left.append(f'"{limit.seconds}s";r={remaining};t={ceil(seconds)}')
    return ", ".join(left).encode()
