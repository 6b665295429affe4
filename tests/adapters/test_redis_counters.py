"""Counters in Redis, and outages: frozen, killed, full, read-only, locked, another server."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from adapters.postgres_server.loopback import free_port
from adapters.redis import counters as module
from adapters.redis.counters import RedisCounters
from application.ports.counters import WindowKey
from domain.errors import Unavailable
from tests.conftest import LogEvents
from tests.redis_server import RedisServer, redis
from tests.waiting import LIMIT_SECONDS, eventually, eventually_async

pytestmark = [pytest.mark.debian, pytest.mark.process]

KEY: Final[WindowKey] = ("key", 600)
# Of calls while a server is frozen. In production it is shorter, and a loaded machine exceeds it.
TIMEOUT_SECONDS: Final = 0.5
_LIFTED: Final = 3600.0
Freeze = Callable[..., None]


@pytest.fixture(autouse=True)
def no_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls never time out; the pauses between attempts to reconnect are short."""
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", _LIFTED)
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.3)


@pytest.fixture
def freeze(monkeypatch: pytest.MonkeyPatch) -> Freeze:
    """Freezes a server, and has calls time out."""

    def freeze(server: RedisServer, timeout: float = TIMEOUT_SECONDS) -> None:
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", timeout)
        server.pause()

    return freeze


@pytest.fixture
def thaw(monkeypatch: pytest.MonkeyPatch) -> Freeze:
    """Thaws a server; calls no longer time out."""

    def thaw(server: RedisServer) -> None:
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", _LIFTED)
        server.resume()

    return thaw


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    """An empty Redis, which is thawed after the test."""
    redis_server.ask("FLUSHALL")
    redis_server.ask("CONFIG", "RESETSTAT")
    yield redis_server
    redis_server.resume()


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A Redis for this test alone, which may be stopped."""
    with redis() as server:
        yield server


def counters_of(url: str, socket_seconds: float = _LIFTED) -> RedisCounters:
    """Counters whose sockets have a timeout of their own, apart from `RECONNECT_SECONDS`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RECONNECT_SECONDS", socket_seconds)
        return RedisCounters(url)


@asynccontextmanager
async def opened(url: str, socket_seconds: float = _LIFTED) -> AsyncIterator[RedisCounters]:
    before = asyncio.all_tasks()
    counters = counters_of(url, socket_seconds)
    await counters.open()
    try:
        yield counters
    finally:
        await counters.close()
    # No task is left behind.
    assert asyncio.all_tasks() <= before


async def count(counters: RedisCounters, key: WindowKey = KEY) -> int:
    [counted] = await counters.add([key])
    return counted.times


async def fails_at_once(counters: RedisCounters) -> bool:
    """Whether calls fail in the same turn of the event loop."""
    calls = [asyncio.create_task(count(counters)), asyncio.create_task(undo(counters))]
    await asyncio.sleep(0)
    is_at_once = all(call.done() for call in calls)
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    return is_at_once and {type(outcome) for outcome in outcomes} == {Unavailable}


async def undo(counters: RedisCounters) -> None:
    await counters.undo([KEY])


async def count_after_outage(counters: RedisCounters) -> int:
    """Wait until a call succeeds, and return its count."""

    async def try_to_count() -> int:
        try:
            return await count(counters)
        except Unavailable:
            return 0

    return await eventually_async(try_to_count)


def events(log_events: LogEvents, event: str) -> list[Any]:
    return [line for line in log_events if line["event"] == event]


async def stays_down(counters: RedisCounters, seconds: float = 0.5) -> None:
    """Assert that calls fail at once, during several attempts to reconnect."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        assert await fails_at_once(counters)
        await asyncio.sleep(0.005)


# While Redis responds


@pytest.mark.parametrize("amount", [1000, 2500])
async def test_concurrent_counts_are_exact(server: RedisServer, amount: int) -> None:
    """They need a few calls of Redis, not one each."""
    async with opened(server.url) as counters:
        counts = await asyncio.gather(*(count(counters) for _ in range(amount)))
        assert sorted(counts) == list(range(1, amount + 1))
    # The first batch contains the calls of one turn of the event loop.
    assert server.calls("eval") <= 2 + amount // 1000 + 1


async def test_calls_during_another_call_are_sent_in_one_batch(server: RedisServer) -> None:
    async with opened(server.url) as counters:
        before = server.calls("eval")
        first = asyncio.create_task(count(counters))
        await asyncio.sleep(0)
        others = [asyncio.create_task(count(counters)) for _ in range(100)]
        assert sorted(await asyncio.gather(first, *others)) == list(range(1, 102))
        assert server.calls("eval") - before <= 2


async def test_counts_of_two_workers_are_exact_together(server: RedisServer) -> None:
    async with opened(server.url) as one, opened(server.url) as two:
        counts = await asyncio.gather(*(count(c) for _ in range(500) for c in (one, two)))
        assert sorted(counts) == list(range(1, 1001))


async def test_each_caller_gets_its_own_counts(server: RedisServer) -> None:
    """Also beside a cancelled caller, and one with several keys."""
    async with opened(server.url) as counters:
        for _ in range(4):
            await count(counters, ("four", 600))
        await count(counters, ("one", 600))
        calls = [
            asyncio.create_task(counters.add(keys))
            for keys in (
                [("four", 600)],
                [("cancelled", 600), ("cancelled", 600)],
                [("none", 100), ("one", 600), ("four", 600)],
                [],
                [("one", 600)],
            )
        ]
        await asyncio.sleep(0)
        calls[1].cancel()
        four, cancelled, mixed, empty, one = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(cancelled, asyncio.CancelledError)
        assert isinstance(four, list) and isinstance(mixed, list) and isinstance(one, list)
        assert [c.times for c in four] == [5]
        assert [c.times for c in mixed] == [1, 2, 6]
        assert 99 < mixed[0].seconds_left <= 100
        assert empty == []
        assert [c.times for c in one] == [3]


async def test_every_key_expires_and_has_our_prefix(server: RedisServer) -> None:
    async with opened(server.url) as counters:
        await counters.add([("a", 60), ("a", 60), ("b", 60)])
        await counters.undo([("a", 60), ("c", 60)])
    keys = server.ask("KEYS", "*")
    assert {"{taskport}:a:60", "{taskport}:b:60"} <= set(keys)
    assert "{taskport}:c:60" not in keys
    assert all(key.startswith("{taskport}:") for key in keys)
    assert all(0 < server.ask("PTTL", key) <= 60_000 for key in keys)


async def test_key_without_an_expiry_gets_one(server: RedisServer) -> None:
    """Otherwise its limit would never reset."""
    async with opened(server.url) as counters:
        await count(counters)
        server.ask("PERSIST", "{taskport}:key:600")
        [counted] = await counters.add([KEY])
        assert counted == (2, 600)
    assert server.ask("PTTL", "{taskport}:key:600") > 0


async def test_response_that_arrives_while_the_loop_is_blocked_counts(
    server: RedisServer, log_events: LogEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delay is ours, not an outage of Redis."""
    async with opened(server.url) as counters:
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", TIMEOUT_SECONDS)
        for n in range(2):
            calls = server.calls("eval")
            call = asyncio.create_task(count(counters))
            # The request is sent, and then the event loop is blocked.
            for _ in range(4):
                await asyncio.sleep(0)
            time.sleep(1.5 * TIMEOUT_SECONDS)  # noqa: ASYNC251
            eventually(lambda before=calls: server.calls("eval") > before)  # type: ignore[misc]
            assert await call == n + 1
    assert not events(log_events, "redis_unavailable")


# Outages


async def test_frozen_server(
    server: RedisServer, freeze: Freeze, thaw: Freeze, log_events: LogEvents
) -> None:
    """Calls at hand wait for one timeout, later ones fail at once, and it is logged once."""
    timeout = 2.0
    # If each of 100 calls waited for a timeout of its own, this limit would be exceeded.
    async with opened(server.url) as counters, asyncio.timeout(LIMIT_SECONDS):
        assert await count(counters) == 1
        freeze(server, timeout)
        first = [asyncio.create_task(count(counters)) for _ in range(50)]
        await asyncio.sleep(timeout / 2)
        others = [asyncio.create_task(undo(counters)) for _ in range(50)]
        outcomes = await asyncio.gather(*first, *others, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        await stays_down(counters)
        assert len(events(log_events, "redis_unavailable")) == 1
        thaw(server)
        # Calls in flight when it froze may have been counted.
        assert await count_after_outage(counters) > 1
        assert len(events(log_events, "redis_connected")) == 2
        assert len(events(log_events, "redis_unavailable")) == 1


async def test_timeout_of_a_call_does_not_depend_on_the_connection(
    server: RedisServer, freeze: Freeze, thaw: Freeze
) -> None:
    """The socket's own timeout is longer."""
    async with opened(server.url) as counters:
        freeze(server)
        async with asyncio.timeout(LIMIT_SECONDS):
            outcomes = await asyncio.gather(
                *(count(counters) for _ in range(9)), return_exceptions=True
            )
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        thaw(server)
        await count_after_outage(counters)


async def test_each_outage_is_logged_once(
    server: RedisServer, freeze: Freeze, thaw: Freeze, log_events: LogEvents
) -> None:
    async with opened(server.url) as counters:
        for outages in (1, 2):
            freeze(server)
            with pytest.raises(Unavailable):
                await count(counters)
            assert await fails_at_once(counters)
            thaw(server)
            await count_after_outage(counters)
            assert len(events(log_events, "redis_unavailable")) == outages


async def test_restarted_server(own_server: RedisServer, log_events: LogEvents) -> None:
    async with opened(own_server.url) as counters:
        assert await count(counters) == 1
        own_server.stop()
        with pytest.raises(Unavailable):
            await count(counters)
        await stays_down(counters)
        assert len(events(log_events, "redis_unavailable")) == 1
        own_server.start()
        assert await count_after_outage(counters) == 1
        assert await count(counters) == 2


async def test_server_that_starts_later(own_server: RedisServer, log_events: LogEvents) -> None:
    """The service starts without Redis, and uses it as soon as it is available."""
    own_server.stop()
    async with opened(own_server.url) as counters:
        await stays_down(counters)
        assert len(events(log_events, "redis_unavailable")) == 1
        own_server.start()
        assert await count_after_outage(counters) == 1


async def test_server_that_is_frozen_at_the_start(server: RedisServer) -> None:
    server.pause()
    async with opened(server.url, socket_seconds=0.3) as counters:
        await stays_down(counters)
        server.resume()
        await count_after_outage(counters)


async def test_lost_connection_is_replaced(server: RedisServer) -> None:
    async with opened(server.url) as counters:
        await count(counters)
        server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(Unavailable):
            await count(counters)
        assert await count_after_outage(counters) == 2


def full(server: RedisServer) -> Callable[[], object]:
    server.ask("CONFIG", "SET", "maxmemory", 1)
    return lambda: server.ask("CONFIG", "SET", "maxmemory", 0)


def replica(server: RedisServer) -> Callable[[], object]:
    """As after a failover: read-only."""
    server.ask("REPLICAOF", "127.0.0.1", free_port())
    return lambda: server.ask("REPLICAOF", "NO", "ONE")


def locked(server: RedisServer) -> Callable[[], object]:
    server.ask("CONFIG", "SET", "requirepass", "secret")
    # Authenticated connections would stay authenticated.
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", password="secret")
    return lambda: server.ask("CONFIG", "SET", "requirepass", "", password="secret")


@pytest.mark.parametrize("cause_outage", [full, replica, locked])
async def test_server_that_responds_with_an_error(
    server: RedisServer,
    log_events: LogEvents,
    cause_outage: Callable[[RedisServer], Callable[[], object]],
) -> None:
    """An outage as well: logged once, and calls fail at once until it is over."""
    async with opened(server.url) as counters:
        await count(counters)
        end_outage = cause_outage(server)
        try:
            with pytest.raises(Unavailable):
                await count(counters)
            await stays_down(counters)
            assert len(events(log_events, "redis_unavailable")) == 1
            assert len(events(log_events, "redis_connected")) == 1
        finally:
            end_outage()
        assert await count_after_outage(counters) == 2


async def test_wrong_password(server: RedisServer, log_events: LogEvents) -> None:
    """It is not logged."""
    end_outage = locked(server)
    try:
        async with opened(server.url.replace("//", "//:canary-Xq7@")) as counters:
            await stays_down(counters)
            [line] = events(log_events, "redis_unavailable")
            assert "canary" not in str(log_events)
            assert line["error"] == "AuthenticationError"
        async with opened(server.url.replace("//", "//:secret@")) as counters:
            assert await count(counters) == 1
    finally:
        end_outage()


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _http_response(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()
    writer.close()


async def _no_response(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _close_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("handler", [_http_response, _no_response, _close_at_once])
async def test_server_that_is_not_redis(handler: Handler, log_events: LogEvents) -> None:
    async with await asyncio.start_server(handler, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        counters = counters_of(f"redis://127.0.0.1:{port}/0", socket_seconds=0.3)
        await counters.open()
        await stays_down(counters)
        assert len(events(log_events, "redis_unavailable")) == 1
        await counters.close()


async def test_unknown_option_in_the_url_does_not_prevent_the_start(log_events: LogEvents) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        async with opened("redis://127.0.0.1:1/0?unknown=1") as counters:
            assert await fails_at_once(counters)
    assert len(events(log_events, "redis_unavailable")) == 1


async def test_key_that_is_not_valid_unicode_is_counted(server: RedisServer) -> None:
    """An error would fail its whole batch, and disable the limits of other callers."""
    async with opened(server.url) as counters:
        counts = await asyncio.gather(
            count(counters),
            count(counters, ("\ud800", 60)),
            count(counters),
            return_exceptions=True,
        )
        assert list(counts) == [1, 1, 2]
        assert await count(counters) == 3


# Closing


async def test_close_during_calls(server: RedisServer) -> None:
    before = asyncio.all_tasks()
    counters = counters_of(server.url)
    await counters.open()
    server.pause()
    calls = [asyncio.create_task(count(counters)) for _ in range(10)]
    await asyncio.sleep(0.1)
    late = asyncio.create_task(count(counters))
    await asyncio.sleep(0)
    await counters.close()
    outcomes = await asyncio.gather(*calls, late, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert asyncio.all_tasks() <= before
    assert await fails_at_once(counters)


async def test_close_during_an_outage(own_server: RedisServer) -> None:
    async with opened(own_server.url):
        own_server.stop()
    counters = counters_of(own_server.url)
    await counters.open()
    await counters.close()
    await counters.close()
    assert await fails_at_once(counters)


async def test_counters_that_were_never_opened(server: RedisServer) -> None:
    counters = counters_of(server.url)
    assert await fails_at_once(counters)
    await counters.close()
