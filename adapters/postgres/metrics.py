"""What is counted of statements, and told of those that take long."""

from functools import cache
from typing import Final

import structlog
from prometheus_client import Counter, Gauge, Histogram

from adapters.postgres.database import Statement

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_WAIT: Final = Histogram(
    "taskport_database_wait_seconds",
    "How long statements waited before they were sent.",
    ("lane",),
    buckets=_BUCKETS,
)
_STATEMENT: Final = Histogram(
    "taskport_database_statement_seconds",
    "From sending a statement to its result.",
    ("statement",),
    buckets=_BUCKETS,
)
STATEMENTS: Final = Gauge(
    "taskport_database_statements",
    "Statements on their way: queued, or in flight.",
    ("lane", "stage"),
    multiprocess_mode="livesum",
)
CONNECTIONS: Final = Gauge(
    "taskport_database_connections",
    "Connections that stand.",
    ("lane",),
    multiprocess_mode="livesum",
)
REFUSED_VALUES: Final = Counter(
    "taskport_database_refused_values_total",
    "Values that Postgres could not hold. Each is a rule that is missing before it.",
)

_log = structlog.get_logger("taskport.postgres")


def lane_of(is_write: bool) -> str:
    return "write" if is_write else "read"


class Times:
    """How long statements took, kept until `flush`: to count them one by one, between all else that
    a request does, takes three times as long as to count many at once."""

    def __init__(self, lane: str, slow_seconds: float) -> None:
        self._wait = _WAIT.labels(lane)
        self._slow_seconds = slow_seconds
        self._pending: list[tuple[str, float | None, float]] = []

    def waited(self, seconds: float) -> None:
        """Several statements waited so long for their connection."""
        self._wait.observe(seconds)

    def note(self, statement: Statement, seconds: float, *, waited: float | None = None) -> None:
        """A statement was sent after so long, and answered so long after that. Its values are
        nobody's business here."""
        self._pending.append((statement.name, waited, seconds))
        if seconds > self._slow_seconds:
            milliseconds = round(seconds * 1000, 1)
            _log.warning("slow_statement", statement=statement.name, duration_ms=milliseconds)

    def flush(self) -> None:
        pending, self._pending = self._pending, []
        say = _log.bind().debug
        for statement, waited, seconds in pending:
            say("statement", statement=statement, duration_ms=round(seconds * 1000, 3))
            if waited is not None:
                self._wait.observe(waited)
            _seconds_of(statement).observe(seconds)


@cache
def _seconds_of(statement: str) -> Histogram:
    """To find a series by its label takes longer than to count."""
    return _STATEMENT.labels(statement)
