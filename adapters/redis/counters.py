"""Counters in Redis, exact across all workers that share it.

All that the requests of one turn of the event loop have to count goes there in one script, on one
connection. An outage costs each request at hand `ANSWER_SECONDS` at most, twice where it had to
wait for others; from then on everybody is refused at once, until a connection in the background
has shown that Redis counts again.
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

# A busy machine may keep Redis itself waiting for a while: that is no outage yet.
ANSWER_SECONDS: Final = 0.03
RECONNECT_SECONDS: Final = 1.0
_BATCH: Final = 1000
# The braces keep all keys in one place where there are several (a cluster).
_PREFIX: Final = "{taskport}:"
_PROBE: Final = (b"{taskport}:probe",)
# Where a window is 0, one is taken back.
_SCRIPT: Final = """
local said = {}
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
  said[2 * i - 1], said[2 * i] = count, left
end
return said
"""

_log = structlog.get_logger("taskport.redis")


@dataclass(slots=True)
class _Question:
    names: list[bytes]
    windows: list[int]
    answer: asyncio.Future[list[int]]


class RedisCounters:
    """`Counters`. Redis counts the time of the windows as well."""

    def __init__(self, url: str) -> None:
        self._pool = ConnectionPool.from_url(
            url,
            socket_connect_timeout=RECONNECT_SECONDS,
            socket_timeout=RECONNECT_SECONDS,
            # By default it would try for seconds before it says that nobody answers.
            retry=Retry(NoBackoff(), 0),
        )
        self._questions: list[_Question] = []
        self._asked = asyncio.Event()
        self._is_up = False
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and stay connected. Where nobody answers, it goes on trying by itself."""
        first_try = asyncio.Event()
        self._task = asyncio.create_task(self._stay_connected(first_try))
        await first_try.wait()

    @property
    def is_up(self) -> bool:
        """Whether Redis counted when it was last asked to."""
        return self._is_up

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        said = await self._ask(keys, [seconds * 1000 for _, seconds in keys])
        return [WindowCount(said[i], said[i + 1] / 1000) for i in range(0, len(said), 2)]

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        await self._ask(keys, [0] * len(keys))

    async def _ask(self, keys: Sequence[WindowKey], windows: list[int]) -> list[int]:
        if not self._is_up:
            raise Unavailable
        # A name that could not be encoded would take all that are sent along with it down.
        names = [f"{_PREFIX}{name}:{s}".encode("utf-8", "surrogatepass") for name, s in keys]
        answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._questions.append(_Question(names, windows, answer))
        self._asked.set()
        return await answer

    async def _stay_connected(self, first_try: asyncio.Event) -> None:
        is_known_down = False
        wait = RECONNECT_SECONDS / 20
        while True:
            connection: AbstractConnection | None = None
            try:
                connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
                await connection.connect()
                # A replica, or one without memory, answers as well, but does not count.
                await _run(connection, _PROBE, (1000,))
                _log.info("redis_connected")
                self._is_up, is_known_down = True, False
                wait = RECONNECT_SECONDS / 20
                first_try.set()
                await self._converse(connection)
            except Exception as error:
                # Whatever it is: without this task nothing would ever be counted again.
                if not is_known_down:
                    _log.warning("redis_unavailable", error=type(error).__name__)
                is_known_down = True
            finally:
                self._is_up = False
                self._turn_away()
                first_try.set()
                if connection is not None:
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(wait)
            wait = min(2 * wait, RECONNECT_SECONDS)

    async def _converse(self, connection: AbstractConnection) -> None:
        """Ask what there is to ask, in batches. Returns never; raises as soon as one fails."""
        while True:
            await self._asked.wait()
            batch, self._questions = self._questions[:_BATCH], self._questions[_BATCH:]
            if not self._questions:
                self._asked.clear()
            names = [name for question in batch for name in question.names]
            windows = [window for question in batch for window in question.windows]
            try:
                said = await _run(connection, names, windows)
            except BaseException:
                self._questions += batch
                raise
            start = 0
            for question in batch:
                end = start + 2 * len(question.names)
                if not question.answer.done():
                    question.answer.set_result(said[start:end])
                start = end

    def _turn_away(self) -> None:
        for question in self._questions:
            if not question.answer.done():
                question.answer.set_exception(Unavailable())
        self._questions.clear()
        self._asked.clear()


async def _run(
    connection: AbstractConnection, names: Sequence[bytes], windows: Sequence[int]
) -> list[int]:
    await connection.send_command("EVAL", _SCRIPT, len(names), *names, *windows)
    reading = asyncio.create_task(connection.read_response())
    try:
        # Unlike a timeout around it, this sees an answer that came while the loop was busy
        # elsewhere.
        await asyncio.wait({reading}, timeout=ANSWER_SECONDS)
    finally:
        is_late = not reading.done()
        if is_late:
            reading.cancel()
            await asyncio.wait({reading})
    if is_late:
        raise TimeoutError
    said: list[int] = reading.result()
    return said
