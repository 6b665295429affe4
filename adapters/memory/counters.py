"""Counters of this process alone."""

import asyncio
from collections.abc import Sequence
from typing import Final

from application.ports import Counted, Key

_CAPACITY: Final = 100_000


class MemoryCounters:
    """`Counters`, of which at most `capacity` are kept: past that, the oldest is forgotten."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        # How often, and when the window ends. In the order in which the windows began.
        self._windows: dict[Key, tuple[int, float]] = {}

    async def add(self, keys: Sequence[Key]) -> Sequence[Counted]:
        now = asyncio.get_running_loop().time()
        return [self._add(key, now) for key in keys]

    async def take_back(self, keys: Sequence[Key]) -> None:
        now = asyncio.get_running_loop().time()
        for key in keys:
            count, end = self._windows.get(key, (0, 0.0))
            if count > 0 and end > now:
                self._windows[key] = (count - 1, end)

    def _add(self, key: Key, now: float) -> Counted:
        windows = self._windows
        count, end = windows.get(key, (0, 0.0))
        if end <= now:
            # To the end of the line, which a key that is written again would not go to.
            windows.pop(key, None)
            if len(windows) >= self._capacity:
                del windows[next(iter(windows))]
            count, end = 0, now + key[1]
        windows[key] = (count + 1, end)
        return Counted(count + 1, end - now)
