"""The seam on pipelined connections: many requests share few connections.

Statements are sent as they come, one behind the other, without waiting for the answer to the one
before; each is a transaction of its own. All that one turn of the event loop has to say to a
connection leaves in one packet, and the socket stays registered with the loop, so that a
statement costs a third of what it costs on a pool.

What it promises is what the pool promises: an answer in time or `Unavailable`. A statement waits
`QUEUE_SECONDS` at most to be sent, and `STATEMENT_SECONDS` to be answered; past that its
connection is given up, and with it whatever waits behind. When a connection dies, what it was
asked to read is asked of another, and what it was asked to write never is.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from adapters.postgres.connection import (
    CONNECT_OPTIONS,
    STATEMENT_SECONDS,
    Connection,
    conninfo,
    translating,
)
from adapters.postgres.database import Row, Statement, Values
from adapters.postgres.pool import PoolDatabase, Session
from domain.errors import Unavailable

QUEUE_SECONDS: Final = 3.0
READERS: Final = 3
# Commits that wait for the disk together share the wait.
WRITERS: Final = 12
_IN_FLIGHT: Final = 16
_QUEUED: Final = 10_000
_WATCH_SECONDS: Final = 0.25
_DRAIN_SECONDS: Final = 5.0
_BACK_OFF_SECONDS: Final = (0.05, 2.0)

_log = logging.getLogger("taskport.postgres")


@dataclass(slots=True)
class _Unit:
    """A statement on its way, with the moment by which it must be at the next stop."""

    sql: bytes
    parameters: Sequence[Any]
    types: Sequence[int]
    formats: Sequence[Any]
    answer: asyncio.Future[PGresult]
    tries: int
    deadline: float
    result: PGresult | None = None


class PipelinedConnection:
    """One connection in pipeline mode, which reconnects for as long as it is open."""

    def __init__(self, url: str, on_room: Callable[[], None], take_back: Callable[[_Unit], None]):
        self._url = url
        self._on_room = on_room
        self._take_back = take_back
        self._connection: Connection | None = None
        self._in_flight: deque[_Unit] = deque()
        # Remembered, because libpq forgets it together with a connection that it finds lost.
        self._socket = -1
        self._lost = asyncio.Event()
        self._task = asyncio.create_task(self._stay_connected())

    @property
    def room(self) -> int:
        """How many more statements it would take now."""
        return 0 if self._connection is None else _IN_FLIGHT - len(self._in_flight)

    @property
    def is_idle(self) -> bool:
        return not self._in_flight

    def has_died_in_its_sleep(self) -> bool:
        """Whether the server has hung up while there was nothing to say; then we do, too."""
        if self._connection is None or self._in_flight or not self._connection.is_lost():
            return False
        self._fall()
        return True

    def send(self, units: Iterable[_Unit]) -> None:
        assert self._connection is not None
        pgconn = self._connection.pgconn
        deadline = asyncio.get_running_loop().time() + STATEMENT_SECONDS
        try:
            for unit in units:
                unit.deadline = deadline
                self._in_flight.append(unit)
                pgconn.send_query_params(
                    unit.sql, unit.parameters, unit.types, unit.formats, result_format=1
                )
                pgconn.pipeline_sync()
            self._flush()
        except errors.OperationalError:
            self._fall()

    def watch(self, now: float) -> None:
        """Give the connection up where its oldest statement is overdue."""
        if self._in_flight and self._in_flight[0].deadline < now:
            _log.warning("a statement took longer than %d s", STATEMENT_SECONDS)
            self._fall()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        self._fall()

    async def _stay_connected(self) -> None:
        wait, longest = _BACK_OFF_SECONDS
        while True:
            try:
                connection = await Connection.connect(conninfo(self._url), **CONNECT_OPTIONS)
            except errors.Error as error:
                _log.warning("cannot connect to Postgres: %s", type(error).__name__)
                # Not a secret: it only keeps workers from trying all at once.
                await asyncio.sleep(random.uniform(wait / 2, wait))  # noqa: S311
                wait = min(wait * 2, longest)
                continue
            wait = _BACK_OFF_SECONDS[0]
            self._lost.clear()
            connection.pgconn.enter_pipeline_mode()
            self._socket = connection.fileno()
            asyncio.get_running_loop().add_reader(self._socket, self._on_readable)
            self._connection = connection
            self._on_room()
            await self._lost.wait()

    def _on_readable(self) -> None:
        assert self._connection is not None
        pgconn = self._connection.pgconn
        try:
            pgconn.consume_input()
            while self._in_flight and not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    continue
                if result.status != ExecStatus.PIPELINE_SYNC:
                    self._in_flight[0].result = result
                    continue
                unit = self._in_flight.popleft()
                if unit.result is not None and not unit.answer.done():
                    unit.answer.set_result(unit.result)
        except errors.OperationalError:
            self._fall()
        self._on_room()

    def _flush(self) -> None:
        """Send what libpq has buffered; the rest goes when the socket takes it."""
        connection = self._connection
        assert connection is not None
        loop = asyncio.get_running_loop()
        if connection.pgconn.flush():
            loop.add_writer(self._socket, self._on_writable)

    def _on_writable(self) -> None:
        assert self._connection is not None
        asyncio.get_running_loop().remove_writer(self._socket)
        try:
            self._flush()
        except errors.OperationalError:
            self._fall()

    def _fall(self) -> None:
        """Hang up; hand back what was to be read, and fail what was to be written."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        connection.hang_up()
        self._lost.set()
        fallen, self._in_flight = self._in_flight, deque()
        now = loop.time()
        for unit in fallen:
            unit.tries -= 1
            if unit.tries > 0 and unit.deadline >= now:
                self._take_back(unit)
            elif not unit.answer.done():
                unit.answer.set_exception(Unavailable())


class Lane:
    """Some connections that share a queue."""

    def __init__(self, url: str, size: int) -> None:
        self._queue: deque[_Unit] = deque()
        self._is_scheduled = False
        self._connections = [
            PipelinedConnection(url, self._schedule, self._take_back) for _ in range(size)
        ]

    def submit(self, unit: _Unit) -> None:
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

    async def close(self) -> None:
        give_up = asyncio.get_running_loop().time() + _DRAIN_SECONDS
        while self._is_busy and asyncio.get_running_loop().time() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for connection in self._connections:
            await connection.close()

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
            if connection.has_died_in_its_sleep():
                continue
            units = (self._queue.popleft() for _ in range(min(share, len(self._queue))))
            connection.send([unit for unit in units if not unit.answer.done()])

    def _take_back(self, unit: _Unit) -> None:
        if not unit.answer.done():
            unit.deadline = asyncio.get_running_loop().time() + QUEUE_SECONDS
            self._queue.appendleft(unit)
            self._schedule()


class PipelineDatabase:
    """A `TransactionalDatabase`. Transactions of several statements have a small pool beside it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = PoolDatabase(url, size=4)
        self._lanes: dict[bool, Lane] = {}
        self._transformer = Transformer()
        self._watcher: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._lanes = {False: Lane(self._url, READERS), True: Lane(self._url, WRITERS)}
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
    async def transaction(self) -> AsyncIterator[Session]:
        async with self._pool.transaction() as session:
            yield session

    async def _run(self, statement: Statement, values: Values) -> PGresult:
        loop = asyncio.get_running_loop()
        transformer = self._transformer
        with translating():
            parameters = transformer.dump_sequence(
                statement.bind(values), [PyFormat.AUTO] * len(statement.parameters)
            )
        unit = _Unit(
            sql=statement.encoded,
            parameters=parameters,
            types=transformer.types or (),
            formats=transformer.formats or (),
            answer=loop.create_future(),
            # When the server goes, it takes all connections along: one try for each, and one more.
            tries=1 if statement.is_write else READERS + 1,
            deadline=loop.time() + QUEUE_SECONDS,
        )
        self._lanes[statement.is_write].submit(unit)
        result = await unit.answer
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            with translating():
                raise errors.error_from_result(result)
        return result

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            now = asyncio.get_running_loop().time()
            for lane in self._lanes.values():
                lane.watch(now)
