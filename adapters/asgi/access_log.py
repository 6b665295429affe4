"""The access log: one event and a few metrics for each request."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from time import perf_counter, time
from typing import Final

import structlog
from prometheus_client import Histogram
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.asgi.client_address import ForwardedFor
from adapters.asgi.cors import METHODS
from adapters.asgi.metrics import ALLOWED, DURATION, REQUESTS
from adapters.asgi.request_record import RequestRecord, open_record

_log = structlog.get_logger("taskport.request")
FLUSH_SECONDS = 0.1
_OTHER: Final = "other"
_NO_ERROR: Final[dict[str, str | None]] = {}


class AccessLog:
    """Creates the record of each request, and logs and counts the request after its response.

    Metrics and log name the route, not the path: each id in a path would create a series, and a
    query may hold private text.
    """

    def __init__(self, app: ASGIApp, addresses: ForwardedFor) -> None:
        self.app = app
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = open_record(scope, self._addresses)
        try:
            await self.app(scope, receive, send)
        finally:
            _pending_records.add((scope["method"], record, perf_counter() - record.started, time()))


_Finished = tuple[str, RequestRecord, float, float]


class _PendingRecords:
    """Finished requests that are not logged yet.

    Logging them in batches takes a fifth of the CPU that logging them one by one takes.
    """

    def __init__(self) -> None:
        self._pending: list[_Finished] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, request: _Finished) -> None:
        loop = asyncio.get_running_loop()
        if not self._pending or self._loop is not loop:
            self._loop = loop
            loop.call_later(FLUSH_SECONDS, self.flush)
        self._pending.append(request)

    def flush(self) -> None:
        pending, self._pending = self._pending, []
        log, allowed = _log.bind().info, 0
        times: Counter[tuple[str, str, int]] = Counter()
        for method, record, seconds, ended in pending:
            known = method if method in METHODS else _OTHER
            series = known, record.route or _OTHER, record.status
            times[series] += 1
            _duration(*series[:2]).observe(seconds)
            limit_status = record.limit_status
            allowed += limit_status is not None and limit_status.is_within
            error = _NO_ERROR
            if record.error_code is not None:
                error = {"error_code": record.error_code, "reason": record.reason}
            #: A request has ended. `status` is 499 if the client disconnected before the response.
            #: `route` is the template, never the path. Only errors have an `error_code`, and a
            #: `reason`: why a 401 or 403 was refused, else null.
            log(
                "request",
                timestamp=datetime.fromtimestamp(ended, UTC),
                method=method,
                route=record.route,
                status=record.status,
                duration_ms=round(seconds * 1000, 3),
                request_id=record.request_id.decode("ascii"),
                user_id=record.user_id,
                address=record.address,
                **error,
            )
        for (method, route, status), number in times.items():
            REQUESTS.labels(method, route, str(status)).inc(number)
        ALLOWED.inc(allowed)


_pending_records = _PendingRecords()
flush: Final = _pending_records.flush
"""Log and count the finished requests now, not at the end of `FLUSH_SECONDS`."""


@cache
def _duration(method: str, route: str) -> Histogram:
    """The series of these labels; looking it up by labels costs more than observing.

    Labels never come from the client: the cache is unbounded.
    """
    return DURATION.labels(method, route)
