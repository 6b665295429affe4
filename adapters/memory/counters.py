"""Counters of one process."""

import asyncio
from collections.abc import Sequence
from typing import Final

from application.ports.counters import WindowCount, WindowKey

_CAPACITY: Final = 100_000
_NO_WINDOW: Final = (0, 0.0)


class MemoryCounters:
    """`Counters` with at most `capacity` windows. Beyond it, the oldest window is dropped."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        # The count and the end of each window, in the order in which the windows began.
        self._windows: dict[WindowKey, tuple[int, float]] = {}

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        windows, now, counts = self._windows, asyncio.get_running_loop().time(), []
        for key in keys:
            times, end = windows.get(key, _NO_WINDOW)
            if end <= now:
                self._make_room(key)
                times, end = 0, now + key[1]
            windows[key] = (times + 1, end)
            counts.append(WindowCount(times + 1, end - now))
        return counts

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        now = asyncio.get_running_loop().time()
        for key in keys:
            count, end = self._windows.get(key, _NO_WINDOW)
            if count > 1 and end > now:
                self._windows[key] = (count - 1, end)
            else:
                # Otherwise rejected attempts would displace the windows of counted ones.
                self._windows.pop(key, None)

    def _make_room(self, key: WindowKey) -> None:
        """Make room for a new window at the end: an overwritten key would keep its position."""
        windows = self._windows
        windows.pop(key, None)
        if len(windows) >= self._capacity:
            del windows[next(iter(windows))]
