"""Time and waiting."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""


class Retries(Protocol):
    """Retries with jitter."""

    def __call__(self) -> AsyncIterator[int]:
        """The numbers of the attempts, with a growing, random wait before each further one.

        Ends when there is no time for another attempt.
        """
