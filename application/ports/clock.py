"""Time and waiting."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""


class Retries(Protocol):
    def __call__(self) -> AsyncIterator[int]:
        """Attempts at a change that may lose a race, with a growing, random wait in between.

        Ends when trying on is hopeless.
        """
