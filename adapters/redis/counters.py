"""Counters in Redis, exact across all workers that share it.

Requests of one iteration of the event loop are counted by one script, in one round trip. During an
outage each request that is being counted waits `TIMEOUT_SECONDS` at most, or twice that if it was
queued behind others. From then on all are rejected at once, until the background task has
reconnected and Redis counts again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from application.ports.counters import WindowCount, WindowKey
from domain.errors import Unavailable

#: Seconds for a response of Redis. Long enough for the pauses of a busy machine.
TIMEOUT_SECONDS: Final = 0.03
#: Seconds for a connection, and the longest wait between two attempts.
RECONNECT_SECONDS: Final = 1.0
#: Commands per script call.
_BATCH: Final = 1000
# A hash tag: in a cluster, all keys are in one slot.
_PREFIX: Final = "{taskport}:"
_PROBE: Final = (b"{taskport}:probe",)
# For each key and window in milliseconds: its count, and the milliseconds left. A window of 0 means
# to undo one count.
_SCRIPT: Final = """
local counts = {}
for i, key in ipairs(KEYS) do
  local window, count, left = tonumber(ARGV[i]), 0, 0
  if window > 0 then
    count, left = redis.call('incr', key), redis.call('pttl', key)
    if left < 0 then
      redis.call('pexpire', key, window)
      left = window
    end
  elseif tonumber(redis.call('get', key) or 0) > 1 then
    redis.call('decr', key)
  else
    redis.call('del', key)
  end
  counts[2 * i - 1], counts[2 * i] = count, left
end
return counts
"""

_log = structlog.get_logger("taskport.redis")


@dataclass(slots=True)
class _Command:
    """Keys to count, and the future of their counts."""

    names: list[bytes]
    windows: list[int]
    #: Count and milliseconds left, by turns, for each name.
    counts: asyncio.Future[list[int]]


class RedisCounters:
    """`Counters`. The windows, too, are timed by Redis."""

    def __init__(self, url: str) -> None:
        self._pool = ConnectionPool.from_url(
            url,
            socket_connect_timeout=RECONNECT_SECONDS,
            socket_timeout=RECONNECT_SECONDS,
            # By default the client retries for seconds before it raises.
            retry=Retry(NoBackoff(), 0),
        )
        self._queue: list[_Command] = []
        self._is_queued = asyncio.Event()
        self._is_up = False
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and stay connected. Returns after the first attempt, successful or not."""
        first_attempt = asyncio.Event()
        self._task = asyncio.create_task(self._stay_connected(first_attempt))
        await first_attempt.wait()

    @property
    def is_up(self) -> bool:
        """Whether Redis counted the last time."""
        return self._is_up

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        counts = await self._run(keys, [seconds * 1000 for _, seconds in keys])
        return [WindowCount(counts[i], counts[i + 1] / 1000) for i in range(0, len(counts), 2)]

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        await self._run(keys, [0] * len(keys))

    async def _run(self, keys: Sequence[WindowKey], windows: list[int]) -> list[int]:
        if not self._is_up:
            raise Unavailable
        # A name that cannot be encoded would make the whole batch fail.
        names = [f"{_PREFIX}{name}:{s}".encode("utf-8", "surrogatepass") for name, s in keys]
        counts: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Command(names, windows, counts))
        self._is_queued.set()
        return await counts

    async def _stay_connected(self, first_attempt: asyncio.Event) -> None:
        is_known_down = False
        delay = RECONNECT_SECONDS / 20
        while True:
            connection: AbstractConnection | None = None
            try:
                connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
                await connection.connect()
                # A read-only replica, or a server out of memory, responds but does not count.
                await _execute(connection, _PROBE, (1000,))
                #: Redis counts requests.
                _log.info("redis_connected")
                self._is_up, is_known_down = True, False
                delay = RECONNECT_SECONDS / 20
                first_attempt.set()
                await self._run_queue(connection)
            except Exception as error:
                # Any error: if this task ended, nothing would ever be counted again.
                if not is_known_down:
                    #: Redis does not count requests; logged for the first of consecutive failures.
                    #: `error` is the type of the exception.
                    _log.warning("redis_unavailable", error=type(error).__name__)
                is_known_down = True
            finally:
                self._is_up = False
                self._reject_queue()
                first_attempt.set()
                if connection is not None:
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(delay)
            delay = min(2 * delay, RECONNECT_SECONDS)

    async def _run_queue(self, connection: AbstractConnection) -> None:
        """Run queued commands, in batches. Never returns; raises as soon as a batch fails."""
        while True:
            await self._is_queued.wait()
            batch, self._queue = self._queue[:_BATCH], self._queue[_BATCH:]
            if not self._queue:
                self._is_queued.clear()
            names = [name for command in batch for name in command.names]
            windows = [window for command in batch for window in command.windows]
            try:
                counts = await _execute(connection, names, windows)
            except BaseException:
                self._queue += batch
                raise
            start = 0
            for command in batch:
                end = start + 2 * len(command.names)
                if not command.counts.done():
                    command.counts.set_result(counts[start:end])
                start = end

    def _reject_queue(self) -> None:
        for command in self._queue:
            if not command.counts.done():
                command.counts.set_exception(Unavailable())
        self._queue.clear()
        self._is_queued.clear()


async def _execute(
    connection: AbstractConnection, names: Sequence[bytes], windows: Sequence[int]
) -> list[int]:
    await connection.send_command("EVAL", _SCRIPT, len(names), *names, *windows)
    reading = asyncio.create_task(connection.read_response())
    try:
        # Unlike `asyncio.timeout`, this accepts a response that arrived while the loop was busy.
        await asyncio.wait({reading}, timeout=TIMEOUT_SECONDS)
    finally:
        is_late = not reading.done()
        if is_late:
            reading.cancel()
            await asyncio.wait({reading})
    if is_late:
        raise TimeoutError
    counts: list[int] = reading.result()
    return counts
