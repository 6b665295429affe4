"""What is counted of statements, and told of those that take long."""

from functools import cache
from typing import Final

import structlog
from prometheus_client import Gauge, Histogram

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

_log = structlog.get_logger("taskport.postgres")


def lane_of(is_write: bool) -> str:
    return "write" if is_write else "read"


@cache
def wait_of(lane: str) -> Histogram:
    """To find a series by its labels takes longer than to count."""
    return _WAIT.labels(lane)


@cache
def _time_of(statement: str) -> Histogram:
    return _STATEMENT.labels(statement)


def note(statement: Statement, seconds: float, slow_seconds: float) -> None:
    """A statement has been answered. Its values are nobody's business here."""
    _time_of(statement.name).observe(seconds)
    if seconds > slow_seconds:
        _log.warning(
            "slow_statement", statement=statement.name, duration_ms=round(seconds * 1000, 1)
        )
