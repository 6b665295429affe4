"""The error table: the status of each category of domain errors."""

from collections.abc import Mapping
from typing import Final

from domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Stale,
    TaskportError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)

STATUSES: Final[Mapping[type[TaskportError], int]] = {
    Invalid: 422,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Stale: 412,
    TooManyRequests: 429,
    Unavailable: 503,
}


def status_of(error: TaskportError | type[TaskportError]) -> int:
    """The status of the category that an error belongs to."""
    kind = error if isinstance(error, type) else type(error)
    return next(status for category, status in STATUSES.items() if issubclass(kind, category))
