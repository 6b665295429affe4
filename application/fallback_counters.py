"""Counters that stay available."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.ports.counters import Counters, WindowCount, WindowKey
from domain.errors import Unavailable


@dataclass(frozen=True)
class FallbackCounters:
    """`Counters` that use others while theirs are unavailable."""

    counters: Counters
    fallback: Counters

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        try:
            return await self.counters.add(keys)
        except Unavailable:
            return await self.fallback.add(keys)

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        try:
            await self.counters.undo(keys)
        except Unavailable:
            await self.fallback.undo(keys)
