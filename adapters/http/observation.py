"""One line in the log, and a few numbers, for each request."""

from functools import cache
from time import perf_counter
from typing import Final

import structlog
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.context import about, record_of
from adapters.http.metrics import DURATION, REQUESTS
from adapters.http.middleware import METHODS

_CLIENT_GONE: Final = 499
_OTHER: Final = "other"

_log = structlog.get_logger("taskport.request")


class Observe:
    """Notes what became of each request, after it has been answered.

    A request is known by its route, not by its path: each id would make a series of its own, and
    a query may be what somebody looks for.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = _CLIENT_GONE

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        finally:
            _note(scope, status)


def _note(scope: Scope, status: int) -> None:
    record, method = record_of(scope), scope["method"]
    seconds = perf_counter() - record.started
    requests, duration = _series(method, record.route, status)
    requests.inc()
    duration.observe(seconds)
    _log.info(
        "request",
        method=method,
        status=status,
        duration_ms=round(seconds * 1000, 3),
        **about(scope),
    )


@cache
def _series(method: str, route: str | None, status: int) -> tuple[Counter, Histogram]:
    """To find a series by its labels takes longer than to count."""
    if method not in METHODS:
        method = _OTHER
    labels = (method, route or _OTHER)
    return REQUESTS.labels(*labels, str(status)), DURATION.labels(*labels)
