"""Times of Better Auth's tables."""

from datetime import UTC, datetime
from typing import Final

# The epoch, for a row without any time.
_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


def utc(time: datetime) -> datetime:
    """A time from one of Better Auth's tables; a column without a time zone is in UTC."""
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def first_time(time: datetime | None, other: datetime | None = None) -> datetime:
    """The first time that is not null: not every table of a front end requires its times."""
    time = time or other
    return _NO_TIME if time is None else utc(time)


def utc_text(time: datetime) -> str:
    """A time for one of Better Auth's tables, as text.

    For a column without a time zone, PostgreSQL ignores the offset in a text, but converts a
    `timestamptz` to the server's time zone.
    """
    return time.astimezone(UTC).isoformat()
