"""The seam on pipelined connections: many requests share few connections.

Statements are sent as they come, one behind the other, without waiting for the answer to the one
before; each write is a transaction of its own. All that one turn of the event loop has to say to a
connection leaves in one packet, and the socket stays registered with the loop, so that a
statement costs a third of what it costs on a pool.

What it promises is what the pool promises: an answer in time or `Unavailable`. A statement waits
`QUEUE_SECONDS` at most to be sent, and `STATEMENT_SECONDS` to be answered; past that its
connection is given up, and with it whatever waits behind. When a connection dies, what it was
asked to read is asked of another, and what it was asked to write never is.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from adapters.postgres.connection import translating
from adapters.postgres.database import Row, Statement, Values
from adapters.postgres.metrics import CONNECTIONS, STATEMENTS, Times, lane_of
from adapters.postgres.pipeline_connection import PendingStatement, PipelinedConnection
from adapters.postgres.pool_database import SLOW_SECONDS, PoolDatabase, PoolTransaction
from adapters.postgres.psycopg_internals import error_from_result
from domain.errors import Unavailable

QUEUE_SECONDS: Final = 3.0
READERS: Final = 3
# Commits that wait for the disk together share the wait.
WRITERS: Final = 12
_QUEUED: Final = 10_000
_WATCH_SECONDS: Final = 0.25
_DRAIN_SECONDS: Final = 5.0

_log = structlog.get_logger("taskport.postgres")


class ConnectionGroup:
    """Some connections that share a queue."""

    def __init__(self, url: str, size: int, *, is_write: bool, slow_seconds: float) -> None:
        self._name = lane_of(is_write)
        self._times = Times(self._name, slow_seconds)
        self._connected = self._reconnects = 0
        self._last_errors: list[str] = []
        self._queue: deque[PendingStatement] = deque()
        self._is_scheduled = False
        self._connections = [
            PipelinedConnection(
                url,
                is_write=is_write,
                times=self._times,
                on_room=self._schedule,
                undo=self._requeue,
            )
            for _ in range(size)
        ]

    def submit(self, unit: PendingStatement) -> None:
        if len(self._queue) >= _QUEUED:
            raise Unavailable
        self._queue.append(unit)
        self._schedule()

    def watch(self, now: float) -> None:
        while self._queue and self._queue[0].deadline < now:
            unit = self._queue.popleft()
            if not unit.answer.done():
                unit.answer.set_exception(Unavailable())
        for connection in self._connections:
            connection.watch(now)
        self._report()

    async def close(self) -> None:
        give_up = asyncio.get_running_loop().time() + _DRAIN_SECONDS
        while self._is_busy and asyncio.get_running_loop().time() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for connection in self._connections:
            await connection.close()
        self._times.flush()

    def _report(self) -> None:
        """Say how many connections stand, where that has changed, and how much is on its way."""
        connected = sum(c.is_connected for c in self._connections)
        reconnects = sum(c.reconnects for c in self._connections)
        stand = {"lane": self._name, "connections": connected, "of": len(self._connections)}
        if reconnects > self._reconnects:
            # Also where all of them stand again by now.
            _log.warning("database_lost", lost=reconnects - self._reconnects, **stand)
        if connected > self._connected or (reconnects > self._reconnects and connected):
            _log.info("database_connected", **stand)
        self._connected, self._reconnects = connected, reconnects
        last_errors = sorted({c.last_error for c in self._connections if c.last_error})
        if last_errors and last_errors != self._last_errors:
            _log.warning("database_unreachable", lane=self._name, reason="; ".join(last_errors))
        self._last_errors = last_errors
        self._times.flush()
        CONNECTIONS.labels(self._name).set(connected)
        STATEMENTS.labels(self._name, "queued").set(len(self._queue))
        in_flight = sum(c.in_flight for c in self._connections)
        STATEMENTS.labels(self._name, "in_flight").set(in_flight)

    @property
    def _is_busy(self) -> bool:
        return bool(self._queue) or not all(c.is_idle for c in self._connections)

    def _schedule(self) -> None:
        """Send at the end of this turn of the loop, along with whatever else comes up in it."""
        if self._queue and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._is_scheduled = False
        while self._queue:
            connection = max(self._connections, key=lambda c: c.room)
            # An even share for each, so that none waits behind a long line.
            share = min(connection.room, 1 + len(self._queue) // len(self._connections))
            if share <= 0:
                return
            if connection.is_dead_while_idle():
                continue
            units = (self._queue.popleft() for _ in range(min(share, len(self._queue))))
            connection.send([unit for unit in units if not unit.answer.done()])

    def _requeue(self, unit: PendingStatement) -> None:
        if not unit.answer.done():
            unit.since = asyncio.get_running_loop().time()
            unit.deadline = unit.since + QUEUE_SECONDS
            self._queue.appendleft(unit)
            self._schedule()


class PipelineDatabase:
    """A `TransactionalDatabase`. Transactions of several statements have a small pool beside it."""

    def __init__(self, url: str, *, slow_seconds: float = SLOW_SECONDS) -> None:
        self._url = url
        self._slow_seconds = slow_seconds
        self._pool = PoolDatabase(url, size=4, slow_seconds=slow_seconds)
        self._lanes: dict[bool, ConnectionGroup] = {}
        self._transformer = Transformer()
        self._watcher: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._lanes = {
            is_write: ConnectionGroup(
                self._url, size, is_write=is_write, slow_seconds=self._slow_seconds
            )
            for is_write, size in ((False, READERS), (True, WRITERS))
        }
        self._watcher = asyncio.create_task(self._watch())
        await self._pool.open()

    async def close(self) -> None:
        for lane in self._lanes.values():
            await lane.close()
        if self._watcher is not None:
            self._watcher.cancel()
        await self._pool.close()

    async def fetch_one(self, statement: Statement, values: Values) -> Row | None:
        result = await self._run(statement, values)
        if result.ntuples == 0:
            return None
        self._transformer.set_pgresult(result)
        return self._transformer.load_row(0, tuple)

    async def fetch_all(self, statement: Statement, values: Values) -> Sequence[Row]:
        result = await self._run(statement, values)
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    async def execute(self, statement: Statement, values: Values) -> int:
        return (await self._run(statement, values)).command_tuples or 0

    async def execute_many(self, statement: Statement, rows: Iterable[Values]) -> None:
        await self._pool.execute_many(statement, rows)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PoolTransaction]:
        async with self._pool.transaction() as session:
            yield session

    async def _run(self, statement: Statement, values: Values) -> PGresult:
        loop = asyncio.get_running_loop()
        transformer = self._transformer
        with translating():
            parameters = transformer.dump_sequence(
                statement.bind(values), [PyFormat.AUTO] * len(statement.parameters)
            )
        now = loop.time()
        unit = PendingStatement(
            statement=statement,
            parameters=parameters,
            types=transformer.types or (),
            formats=transformer.formats or (),
            answer=loop.create_future(),
            # When the server goes, it takes all connections along: one try for each, and one more.
            tries=1 if statement.is_write else READERS + 1,
            since=now,
            deadline=now + QUEUE_SECONDS,
        )
        self._lanes[statement.is_write].submit(unit)
        result = await unit.answer
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            with translating():
                raise error_from_result(result)
        return result

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            now = asyncio.get_running_loop().time()
            for lane in self._lanes.values():
                lane.watch(now)
