"""Counters in a Redis that is frozen, killed, full, locked, or something else altogether."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from adapters.postgres_server.server import free_port
from adapters.redis import counters as module
from adapters.redis.counters import RedisCounters
from application.ports.counters import WindowKey
from domain.errors import Unavailable
from tests.conftest import LogEvents
from tests.redis_server import RedisServer, redis

pytestmark = [pytest.mark.debian, pytest.mark.process]

KEY: Final[WindowKey] = ("key", 600)
# In earnest it is shorter, so that a busy machine would be taken for an outage.
TIMEOUT_SECONDS: Final = 0.5
# Longer than one wait for an answer, and much shorter than what many would take.
_SOON: Final = 4.0
_PATIENCE_SECONDS: Final = 15.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is down is looked for more often than in earnest."""
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", TIMEOUT_SECONDS)
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.3)


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    """An empty Redis, which a test may leave frozen."""
    redis_server.ask("FLUSHALL")
    redis_server.ask("CONFIG", "RESETSTAT")
    yield redis_server
    redis_server.resume()


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    """One of the test's own, to kill."""
    with redis() as server:
        yield server


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisCounters]:
    before = asyncio.all_tasks()
    counters = RedisCounters(url)
    await counters.open()
    try:
        yield counters
    finally:
        await counters.close()
    # Nothing is left behind that would still wait for an answer.
    assert asyncio.all_tasks() <= before


async def times(counters: RedisCounters, key: WindowKey = KEY) -> int:
    [counted] = await counters.add([key])
    return counted.times


async def refused_at_once(counters: RedisCounters) -> bool:
    """Whether a question is turned away before anything else gets a turn."""
    asking = [asyncio.create_task(times(counters)), asyncio.create_task(taken_back(counters))]
    await asyncio.sleep(0)
    is_at_once = all(task.done() for task in asking)
    ends = await asyncio.gather(*asking, return_exceptions=True)
    return is_at_once and {type(end) for end in ends} == {Unavailable}


async def taken_back(counters: RedisCounters) -> None:
    await counters.undo([KEY])


async def counts_again(counters: RedisCounters) -> int:
    """Wait until somebody counts: how often by then."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            try:
                return await times(counters)
            except Unavailable:
                await asyncio.sleep(0.01)


def said(log_events: LogEvents, event: str) -> list[Any]:
    return [line for line in log_events if line["event"] == event]


async def stays_down(counters: RedisCounters, seconds: float = 0.5) -> None:
    """For as long as several attempts to connect take, nobody waits for anything."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        assert await refused_at_once(counters)
        await asyncio.sleep(0.005)


# As long as it answers


@pytest.mark.parametrize("amount", [1000, 2500])
async def test_many_at_once_are_exact(server: RedisServer, amount: int) -> None:
    """And cost a few questions to Redis, not one each."""
    async with opened(server.url) as counters:
        counts = await asyncio.gather(*(times(counters) for _ in range(amount)))
        assert sorted(counts) == list(range(1, amount + 1))
    # The first goes alone, or with whoever came in the same turn of the loop.
    assert server.calls("eval") <= 2 + amount // 1000 + 1


async def test_those_who_come_while_another_waits_go_together(server: RedisServer) -> None:
    async with opened(server.url) as counters:
        before = server.calls("eval")
        first = asyncio.create_task(times(counters))
        await asyncio.sleep(0)
        others = [asyncio.create_task(times(counters)) for _ in range(100)]
        assert sorted(await asyncio.gather(first, *others)) == list(range(1, 102))
        assert server.calls("eval") - before <= 2


async def test_two_who_share_it_are_exact_together(server: RedisServer) -> None:
    async with opened(server.url) as one, opened(server.url) as two:
        counts = await asyncio.gather(*(times(c) for _ in range(500) for c in (one, two)))
        assert sorted(counts) == list(range(1, 1001))


async def test_each_gets_the_answer_to_their_own_question(server: RedisServer) -> None:
    """Also beside one who has stopped listening, or has asked for more."""
    async with opened(server.url) as counters:
        for _ in range(4):
            await times(counters, ("four", 600))
        await times(counters, ("one", 600))
        asking = [
            asyncio.create_task(counters.add(keys))
            for keys in (
                [("four", 600)],
                [("gone", 600), ("gone", 600)],
                [("none", 100), ("one", 600), ("four", 600)],
                [],
                [("one", 600)],
            )
        ]
        await asyncio.sleep(0)
        asking[1].cancel()
        four, gone, mixed, nothing, one = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(gone, asyncio.CancelledError)
        assert isinstance(four, list) and isinstance(mixed, list) and isinstance(one, list)
        assert [c.times for c in four] == [5]
        assert [c.times for c in mixed] == [1, 2, 6]
        assert 99 < mixed[0].seconds_left <= 100
        assert nothing == []
        assert [c.times for c in one] == [3]


async def test_every_key_ends_by_itself_and_has_our_name(server: RedisServer) -> None:
    async with opened(server.url) as counters:
        await counters.add([("a", 60), ("a", 60), ("b", 60)])
        await counters.undo([("a", 60), ("c", 60)])
    keys = server.ask("KEYS", "*")
    assert {"{taskport}:a:60", "{taskport}:b:60"} <= set(keys)
    assert "{taskport}:c:60" not in keys
    assert all(key.startswith("{taskport}:") for key in keys)
    assert all(0 < server.ask("PTTL", key) <= 60_000 for key in keys)


async def test_a_key_that_has_lost_its_end_gets_another(server: RedisServer) -> None:
    """Or somebody would be turned away for ever."""
    async with opened(server.url) as counters:
        await times(counters)
        server.ask("PERSIST", "{taskport}:key:600")
        [counted] = await counters.add([KEY])
        assert counted == (2, 600)
    assert server.ask("PTTL", "{taskport}:key:600") > 0


async def test_an_answer_that_came_while_the_loop_was_busy_counts(
    server: RedisServer, log_events: LogEvents
) -> None:
    """That was us, not Redis."""
    async with opened(server.url) as counters:
        for n in range(2):
            asking = asyncio.create_task(times(counters))
            # The question goes out, and then nobody looks for the answer.
            for _ in range(4):
                await asyncio.sleep(0)
            time.sleep(1.5 * TIMEOUT_SECONDS)  # noqa: ASYNC251
            assert await asking == n + 1
    assert not said(log_events, "redis_unavailable")


# When it does not


async def test_frozen(server: RedisServer, log_events: LogEvents) -> None:
    """Those at hand wait once, all together, and from then on nobody does; it is said once."""
    async with opened(server.url) as counters:
        assert await times(counters) == 1
        server.pause()
        began = time.monotonic()
        first = [asyncio.create_task(times(counters)) for _ in range(50)]
        await asyncio.sleep(TIMEOUT_SECONDS / 2)
        others = [asyncio.create_task(taken_back(counters)) for _ in range(50)]
        ends = await asyncio.gather(*first, *others, return_exceptions=True)
        assert time.monotonic() - began < _SOON
        assert {type(end) for end in ends} == {Unavailable}
        await stays_down(counters)
        assert len(said(log_events, "redis_unavailable")) == 1
        server.resume()
        # What was under way when it froze may be counted in the end.
        assert await counts_again(counters) > 1
        assert len(said(log_events, "redis_connected")) == 2
        assert len(said(log_events, "redis_unavailable")) == 1


async def test_who_asks_waits_no_longer_than_for_an_answer(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However patient the connection itself is."""
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 60.0)
    async with opened(server.url) as counters:
        # For what comes after; the connection keeps the patience that it has.
        monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.3)
        server.pause()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            ends = await asyncio.gather(
                *(times(counters) for _ in range(9)), return_exceptions=True
            )
        assert {type(end) for end in ends} == {Unavailable}
        server.resume()
        await counts_again(counters)


async def test_frozen_twice_is_said_twice(server: RedisServer, log_events: LogEvents) -> None:
    async with opened(server.url) as counters:
        for outages in (1, 2):
            server.pause()
            with pytest.raises(Unavailable):
                await times(counters)
            assert await refused_at_once(counters)
            server.resume()
            await counts_again(counters)
            assert len(said(log_events, "redis_unavailable")) == outages


async def test_killed_and_started_again(mortal: RedisServer, log_events: LogEvents) -> None:
    async with opened(mortal.url) as counters:
        assert await times(counters) == 1
        mortal.stop()
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await times(counters)
        assert time.monotonic() - began < _SOON
        await stays_down(counters)
        assert len(said(log_events, "redis_unavailable")) == 1
        mortal.start()
        assert await counts_again(counters) == 1
        assert await times(counters) == 2


async def test_not_there_from_the_start(mortal: RedisServer, log_events: LogEvents) -> None:
    """The service starts without it, and uses it as soon as it is there."""
    mortal.stop()
    began = time.monotonic()
    async with opened(mortal.url) as counters:
        assert time.monotonic() - began < 5 * _SOON
        await stays_down(counters)
        assert len(said(log_events, "redis_unavailable")) == 1
        mortal.start()
        assert await counts_again(counters) == 1


async def test_frozen_from_the_start(server: RedisServer) -> None:
    server.pause()
    began = time.monotonic()
    async with opened(server.url) as counters:
        assert time.monotonic() - began < 5 * _SOON
        await stays_down(counters)
        server.resume()
        await counts_again(counters)


async def test_a_connection_that_was_cut_is_made_anew(server: RedisServer) -> None:
    async with opened(server.url) as counters:
        await times(counters)
        server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(Unavailable):
            await times(counters)
        assert await counts_again(counters) == 2


def full(server: RedisServer) -> Callable[[], object]:
    server.ask("CONFIG", "SET", "maxmemory", 1)
    return lambda: server.ask("CONFIG", "SET", "maxmemory", 0)


def replica(server: RedisServer) -> Callable[[], object]:
    """As after a failover: it may be read, and that is all."""
    server.ask("REPLICAOF", "127.0.0.1", free_port())
    return lambda: server.ask("REPLICAOF", "NO", "ONE")


def locked(server: RedisServer) -> Callable[[], object]:
    server.ask("CONFIG", "SET", "requirepass", "secret")
    # Who is in already stays in.
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", password="secret")
    return lambda: server.ask("CONFIG", "SET", "requirepass", "", password="secret")


@pytest.mark.parametrize("spoil", [full, replica, locked])
async def test_it_answers_but_does_not_count(
    server: RedisServer, log_events: LogEvents, spoil: Callable[[RedisServer], Callable[[], object]]
) -> None:
    """That is an outage as well: said once, and nobody asks until it counts again."""
    async with opened(server.url) as counters:
        await times(counters)
        mend = spoil(server)
        try:
            with pytest.raises(Unavailable):
                await times(counters)
            await stays_down(counters)
            assert len(said(log_events, "redis_unavailable")) == 1
            assert len(said(log_events, "redis_connected")) == 1
        finally:
            mend()
        assert await counts_again(counters) == 2


async def test_a_wrong_password(server: RedisServer, log_events: LogEvents) -> None:
    """It is in no line of the log."""
    mend = locked(server)
    try:
        async with opened(server.url.replace("//", "//:canary-Xq7@")) as counters:
            await stays_down(counters)
            [line] = said(log_events, "redis_unavailable")
            assert "canary" not in str(log_events)
            assert line["error"] == "AuthenticationError"
        async with opened(server.url.replace("//", "//:secret@")) as counters:
            assert await times(counters) == 1
    finally:
        mend()


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _another_protocol(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()
    writer.close()


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _hanging_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("answer", [_another_protocol, _silence, _hanging_up])
async def test_something_else_listens_there(answer: Answer, log_events: LogEvents) -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        counters = RedisCounters(f"redis://127.0.0.1:{port}/0")
        await counters.open()
        await stays_down(counters)
        assert len(said(log_events, "redis_unavailable")) == 1
        await counters.close()


async def test_an_option_that_nobody_knows_stops_no_start(log_events: LogEvents) -> None:
    async with asyncio.timeout(10):
        async with opened("redis://127.0.0.1:1/0?unknown=1") as counters:
            assert await refused_at_once(counters)
    assert len(said(log_events, "redis_unavailable")) == 1


async def test_a_name_that_cannot_be_sent_is_the_trouble_of_who_sends_it(
    server: RedisServer,
) -> None:
    """Or one request could switch the limits of all off."""
    async with opened(server.url) as counters:
        ends = await asyncio.gather(
            times(counters),
            times(counters, ("\ud800", 60)),
            times(counters),
            return_exceptions=True,
        )
        assert list(ends) == [1, 1, 2]
        assert await times(counters) == 3


# The end


async def test_closed_while_somebody_asks(server: RedisServer) -> None:
    before = asyncio.all_tasks()
    counters = RedisCounters(server.url)
    await counters.open()
    server.pause()
    asking = [asyncio.create_task(times(counters)) for _ in range(10)]
    await asyncio.sleep(TIMEOUT_SECONDS / 5)
    late = asyncio.create_task(times(counters))
    await asyncio.sleep(0)
    await counters.close()
    ends = await asyncio.gather(*asking, late, return_exceptions=True)
    assert {type(end) for end in ends} == {Unavailable}
    assert asyncio.all_tasks() <= before
    assert await refused_at_once(counters)


async def test_closed_while_it_is_down(mortal: RedisServer) -> None:
    async with opened(mortal.url):
        mortal.stop()
    counters = RedisCounters(mortal.url)
    await counters.open()
    await counters.close()
    await counters.close()
    assert await refused_at_once(counters)


async def test_never_opened(server: RedisServer) -> None:
    counters = RedisCounters(server.url)
    assert await refused_at_once(counters)
    await counters.close()
