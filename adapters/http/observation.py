"""One line in the log, and a few numbers, for each request."""

from functools import cache
from time import perf_counter
from typing import Final

import structlog
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.context import RequestRecord, record_of
from adapters.http.metrics import DURATION, REQUESTS
from adapters.http.middleware import METHODS

_OTHER: Final = "other"


class Observe:
    """Notes what became of each request, after it has been answered.

    A request is known by its route, not by its path: each id would make a series of its own, and
    a query may be what somebody looks for.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        # Bound once: a logger that is not looks itself up each time.
        self._log = structlog.get_logger("taskport.request").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self._note(scope["method"], record_of(scope))

    def _note(self, method: str, record: RequestRecord) -> None:
        seconds = perf_counter() - record.started
        requests, duration = _series(method, record.route, record.status)
        requests.inc()
        duration.observe(seconds)
        self._log.info(
            "request",
            method=method,
            route=record.route,
            status=record.status,
            duration_ms=round(seconds * 1000, 3),
            request_id=record.request_id.decode("ascii"),
            user_id=record.user_id,
            address=record.address,
        )


@cache
def _series(method: str, route: str | None, status: int) -> tuple[Counter, Histogram]:
    """To find a series by its labels takes longer than to count."""
    if method not in METHODS:
        method = _OTHER
    labels = (method, route or _OTHER)
    return REQUESTS.labels(*labels, str(status)), DURATION.labels(*labels)
