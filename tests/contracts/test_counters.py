"""The contract of `Counters`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.memory.counters import MemoryCounters
from adapters.redis import counters as redis_counters
from adapters.redis.counters import RedisCounters
from application.ports.counters import Counters, WindowKey
from tests.redis_server import RedisServer

A: WindowKey = ("a", 60)
B: WindowKey = ("b", 60)
LONG: WindowKey = ("long", 2_592_000)
SHORT: WindowKey = ("short", 1)
NAMES = (
    "",
    " ",
    "a b",
    "a\r\nINCR b",
    "{a}",
    "*",
    "ä",
    "👩",
    "x" * 5000,
    "a\x00b",
    "2001:db8::/64",
)

# Shortens the time to live of each key by a number of milliseconds.
PASS = """
for _, key in ipairs(redis.call('keys', '*')) do
  local left = redis.call('pttl', key)
  if left >= 0 then redis.call('pexpire', key, left - ARGV[1]) end
end
"""


@dataclass
class Tally:
    """Counters, and a function that advances their time."""

    counters: Counters
    skip: Callable[[float], None]

    async def times(self, *keys: WindowKey) -> list[int]:
        """Increment the counters and return the counts."""
        return [counted.times for counted in await self.counters.add(keys)]


@pytest.fixture(
    params=[
        "memory",
        pytest.param("redis", marks=[pytest.mark.debian, pytest.mark.process]),
    ]
)
async def tally(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Tally]:
    if request.param == "memory":
        loop, now = asyncio.get_running_loop(), 0.0

        def skip(seconds: float) -> None:
            nonlocal now
            now += seconds

        monkeypatch.setattr(loop, "time", lambda: now)
        yield Tally(MemoryCounters(), skip)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    server.ask("FLUSHALL")
    # A busy machine must not look like an outage.
    monkeypatch.setattr(redis_counters, "TIMEOUT_SECONDS", 10.0)
    counters = RedisCounters(server.url)
    await counters.open()
    yield Tally(counters, lambda seconds: server.ask("EVAL", PASS, 0, int(seconds * 1000)))
    await counters.close()


async def test_keys_are_counted_separately(tally: Tally) -> None:
    assert await tally.times(A) == [1]
    assert await tally.times(B, A) == [1, 2]
    assert await tally.times(A, LONG, B) == [3, 1, 2]
    assert await tally.times() == []


async def test_repeated_key_is_counted_twice(tally: Tally) -> None:
    assert await tally.times(A, B, A) == [1, 1, 2]


async def test_same_name_in_two_windows_is_counted_separately(tally: Tally) -> None:
    assert await tally.times(("a", 60), ("a", 10), ("a", 60)) == [1, 1, 2]
    tally.skip(10)
    assert await tally.times(("a", 60), ("a", 10)) == [3, 1]


async def test_window_begins_with_the_first_count_and_is_fixed(tally: Tally) -> None:
    [first] = await tally.counters.add([A])
    tally.skip(20)
    [second] = await tally.counters.add([A])
    tally.skip(39)
    [third] = await tally.counters.add([A])
    assert [c.times for c in (first, second, third)] == [1, 2, 3]
    assert 59 < first.seconds_left <= 60
    assert 39 < second.seconds_left <= 40
    assert 0 < third.seconds_left <= 1
    tally.skip(1)
    [fourth] = await tally.counters.add([A])
    assert fourth.times == 1
    assert 59 < fourth.seconds_left <= 60


async def test_windows_of_different_lengths(tally: Tally) -> None:
    both = await tally.counters.add([SHORT, LONG])
    assert 0 < both[0].seconds_left <= 1
    assert 2_591_999 < both[1].seconds_left <= 2_592_000
    tally.skip(1)
    assert await tally.times(SHORT, LONG) == [1, 2]
    tally.skip(2_592_000 - 1)
    assert await tally.times(LONG) == [1]


async def test_undone_count_is_gone(tally: Tally) -> None:
    await tally.counters.add([A, B])
    await tally.counters.add([A, B])
    await tally.counters.undo([A])
    assert await tally.times(A, B) == [2, 3]
    await tally.counters.undo([A, B, B])
    assert await tally.times(A, B) == [2, 2]


async def test_undo_does_not_go_below_zero(tally: Tally) -> None:
    await tally.counters.undo([A, B])
    assert await tally.times(A) == [1]
    for _ in range(5):
        await tally.counters.undo([A, A, B])
    assert await tally.times(A, B) == [1, 1]
    await tally.counters.undo([])


async def test_undo_begins_and_extends_no_window(tally: Tally) -> None:
    await tally.counters.add([A])
    await tally.counters.add([A])
    await tally.counters.undo([A])
    tally.skip(59)
    [again] = await tally.counters.add([A])
    assert again.times == 2
    assert again.seconds_left <= 1
    tally.skip(1)
    await tally.counters.undo([A])
    [last] = await tally.counters.add([A])
    assert last.times == 1
    assert 59 < last.seconds_left <= 60


async def test_undoing_every_count_removes_the_window(tally: Tally) -> None:
    """So rejected attempts use no memory."""
    await tally.counters.add([A])
    await tally.counters.undo([A])
    tally.skip(30)
    [again] = await tally.counters.add([A])
    assert again.times == 1
    assert again.seconds_left > 59


async def test_concurrent_adds_are_all_counted(tally: Tally) -> None:
    counts = await asyncio.gather(*(tally.times(A, B) for _ in range(300)))
    assert sorted(counts) == [[n, n] for n in range(1, 301)]
    await asyncio.gather(*(tally.counters.undo([A]) for _ in range(299)))
    assert await tally.times(A, B) == [2, 301]


async def test_names_are_compared_exactly(tally: Tally) -> None:
    keys: list[Any] = [(name, 60) for name in NAMES]
    assert await tally.times(*keys) == [1] * len(keys)
    await tally.counters.undo([(NAMES[2], 60)])
    assert await tally.times(*keys) == [1 if name == NAMES[2] else 2 for name in NAMES]


async def test_memory_is_bounded() -> None:
    """Beyond the capacity, the oldest window is dropped."""
    counters = MemoryCounters(capacity=3)
    for name in "abcd":
        await counters.add([(name, 60)])
    # `a` was the oldest, then `b`: counting a key again does not make its window newer.
    assert [c.times for c in await counters.add([("d", 60), ("c", 60), ("b", 60)])] == [2, 2, 2]
    assert [c.times for c in await counters.add([("a", 60), ("b", 60)])] == [1, 1]
    many = MemoryCounters(capacity=1000)
    for n in range(5000):
        await many.add([(f"key {n}", 60)])
    counted = await many.add([(f"key {n}", 60) for n in range(4000, 5000)])
    assert {c.times for c in counted} == {2}


async def test_new_window_of_a_key_counts_as_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    counters = MemoryCounters(capacity=2)
    await counters.add([("b", 60), ("a", 10)])
    now = 10.0
    # It replaces its own window and drops no other.
    await counters.add([("a", 10)])
    assert [c.times for c in await counters.add([("b", 60), ("a", 10)])] == [2, 2]
    await counters.add([("c", 10)])
    assert [c.times for c in await counters.add([("a", 10)])] == [3]
