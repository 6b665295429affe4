"""Counters of rate limits."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class WindowCount(NamedTuple):
    """The state of one counter."""

    #: How often it was counted in the current window.
    times: int
    #: The time until the window ends.
    seconds_left: float


#: The name of a counter and the length of its window in seconds.
WindowKey = tuple[str, int]


class Counters(Protocol):
    """Counters of fixed windows. A window begins with the first count after the previous one.

    Every method may raise `Unavailable`; the counts may have changed nevertheless.
    """

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        """Increment each counter and return its state."""

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        """Decrement each counter, but not below zero."""
