"""Counters of rate limits."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class WindowCount(NamedTuple):
    """How often something was counted in the window at hand, and when that ends."""

    times: int
    seconds_left: float


WindowKey = tuple[str, int]
"""What is counted, and how many seconds a window of it lasts; the same in two windows is two."""


class Counters(Protocol):
    """Counts in windows, each of which begins with the first of its kind.

    Every method may raise `Unavailable`; then nobody knows whether it has counted.
    """

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        """Count each of them once more."""

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        """Count each of them once less; never below nothing."""
