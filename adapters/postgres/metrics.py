"""Metrics of statements and connections, and the log of slow statements."""

from functools import cache
from typing import Final

import structlog
from prometheus_client import Counter, Gauge, Histogram

from adapters.postgres.database import Statement

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_WAIT: Final = Histogram(
    "taskport_database_wait_seconds",
    "Time that statements waited to be sent.",
    ("lane",),
    buckets=_BUCKETS,
)
_STATEMENT: Final = Histogram(
    "taskport_database_statement_seconds",
    "Time from sending a statement to its result.",
    ("statement",),
    buckets=_BUCKETS,
)
STATEMENTS: Final = Gauge(
    "taskport_database_statements",
    "Pending statements: queued, or in flight.",
    ("lane", "stage"),
    multiprocess_mode="livesum",
)
CONNECTIONS: Final = Gauge(
    "taskport_database_connections",
    "Open connections.",
    ("lane",),
    multiprocess_mode="livesum",
)
REFUSED_VALUES: Final = Counter(
    "taskport_database_refused_values_total",
    "Values that PostgreSQL refused. Each shows that a validation rule is missing.",
)

_log = structlog.get_logger("taskport.postgres")


class StatementMetrics:
    """Durations of statements, observed in batches by `flush`.

    Between all else that a request does, observing them one by one takes three times as long.
    """

    def __init__(self, group: str, slow_seconds: float) -> None:
        self._wait = _WAIT.labels(group)
        self._slow_seconds = slow_seconds
        self._pending: list[tuple[str, float | None, float]] = []

    def observe_wait(self, seconds: float) -> None:
        """Observe how long a caller waited for a connection of the pool."""
        self._wait.observe(seconds)

    def record(self, statement: Statement, seconds: float, *, waited: float | None = None) -> None:
        """Record how long a statement waited and ran; log it, without values, if it was slow."""
        self._pending.append((statement.name, waited, seconds))
        if seconds > self._slow_seconds:
            milliseconds = round(seconds * 1000, 1)
            #: A statement took longer than `SLOW_QUERY_MS`.
            _log.warning("slow_statement", statement=statement.name, duration_ms=milliseconds)

    def flush(self) -> None:
        pending, self._pending = self._pending, []
        debug = _log.bind().debug
        for statement, waited, seconds in pending:
            #: A statement was executed.
            debug("statement", statement=statement, duration_ms=round(seconds * 1000, 3))
            if waited is not None:
                self._wait.observe(waited)
            _statement_histogram(statement).observe(seconds)


@cache
def _statement_histogram(statement: str) -> Histogram:
    """The histogram of a statement, cached: to look a label up takes longer than to observe."""
    return _STATEMENT.labels(statement)
