"""Fakes that several tests of the use cases share."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.memory.counters import MemoryCounters
from application.ports.counters import Counters, WindowCount, WindowKey
from domain.errors import Unavailable


@dataclass
class FlakyCounters:
    """Fake `Counters` that a test can make unavailable."""

    counters: Counters = field(default_factory=MemoryCounters)
    is_down: bool = False
    calls: int = 0

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        self._check()
        return await self.counters.add(keys)

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        self._check()
        await self.counters.undo(keys)

    def _check(self) -> None:
        self.calls += 1
        if self.is_down:
            raise Unavailable
