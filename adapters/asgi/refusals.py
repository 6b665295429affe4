"""Records why a request is refused: in its log line, in a metric, and as a warning."""

from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Final

import structlog
from cachetools import TTLCache
from starlette.types import Scope

from adapters.asgi.metrics import REFUSALS
from adapters.asgi.request_record import log_context, record_of
from domain.refusals import Reason, Refusal

WARNING_SECONDS: Final = 60.0

_log = structlog.get_logger("taskport.http")


class _Warnings:
    """Warns of each reason once in `WARNING_SECONDS`: a flood of requests does not fill the log."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._recent: TTLCache[Reason, None] = TTLCache(len(Reason), WARNING_SECONDS, timer)
        self._left_out: Counter[Reason] = Counter()

    def warn(self, scope: Scope, error_code: str, refusal: Refusal) -> None:
        reason = refusal.reason
        if reason in self._recent:
            self._left_out[reason] += 1
            return
        self._recent[reason] = None
        #: A request is refused with 401 or 403: what was expected and what was seen, as names.
        #: At most once a minute for each reason; `left_out` counts those since the last warning.
        _log.warning(
            "request_refused",
            error_code=error_code,
            reason=reason.value,
            expected=refusal.expected,
            seen=refusal.seen,
            left_out=self._left_out.pop(reason, 0),
            **log_context(scope),
        )

    def clear(self) -> None:
        self._recent.clear()
        self._left_out.clear()


def _now() -> float:
    return monotonic()


_warnings: Final = _Warnings(_now)
forget_warnings: Final = _warnings.clear
"""Warn of each reason again, as in a new process."""


def record_refusal(scope: Scope, error_code: str, refusal: Refusal) -> None:
    """Record why the request is refused; `error_code` is that of the response."""
    record_of(scope).reason = refusal.reason.value
    REFUSALS.labels(error_code, refusal.reason.value).inc()
    _warnings.warn(scope, error_code, refusal)
