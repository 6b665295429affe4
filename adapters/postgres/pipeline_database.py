"""The `Database` on pipelined connections: the statements of many requests share few connections.

Statements are sent as they come, without waiting for the results of those before. All statements
that one turn of the event loop adds to a connection leave in one packet, and the socket stays
registered with the loop: a statement costs a third of what it costs on a connection pool.

Results arrive in the order of the statements, so that a slow one delays those behind it
(head-of-line blocking). Four things bound the delay: reads are spread evenly over the connections
(up to `MIN_READS` stay together), writes that lock the same row follow each other on one
connection, a connection has at most `MAX_IN_FLIGHT` statements, and it is closed when its oldest
statement exceeds `STATEMENT_SECONDS`. A statement is queued for at most `QUEUE_SECONDS`. After
either timeout it raises `Unavailable`.

When a connection is lost, its reads are requeued and sent on another connection. Its writes raise
`Unavailable`, for they may have happened: a write is never sent twice.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Final

import structlog
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from adapters.postgres.connection import translate_error
from adapters.postgres.database import Row, Statement, Values
from adapters.postgres.metrics import CONNECTIONS, STATEMENTS, StatementMetrics
from adapters.postgres.pipeline_connection import PendingStatement, PipelinedConnection
from adapters.postgres.pool_database import SLOW_SECONDS, PoolDatabase, PoolTransaction
from adapters.postgres.psycopg_internals import error_from_result
from domain.errors import Unavailable

QUEUE_SECONDS: Final = 3.0
READERS: Final = 3
# PostgreSQL writes commits that are concurrent to disk together (group commit), and only those of
# different connections are concurrent.
WRITERS: Final = 12
# A packet to a connection costs as much as a read: up to so many reads share one.
MIN_READS: Final = 4
_MAX_QUEUED: Final = 10_000
_CHECK_SECONDS: Final = 0.25
_DRAIN_SECONDS: Final = 5.0

_capacity = attrgetter("capacity")
_log = structlog.get_logger("taskport.postgres")


class ConnectionGroup:
    """The connections for reads, or those for writes, with the queue that they share."""

    def __init__(self, url: str, size: int, *, is_write: bool, slow_seconds: float) -> None:
        #: The label `lane` of metrics and log events.
        self._name = "write" if is_write else "read"
        self._metrics = StatementMetrics(self._name, slow_seconds)
        # As of the last report.
        self._connected = self._reconnects = 0
        self._last_errors: list[str] = []
        self._is_write = is_write
        #: By locked row: the last write that was sent, and its connection.
        self._last_writes: dict[object, tuple[PendingStatement, PipelinedConnection]] = {}
        self._queue: deque[PendingStatement] = deque()
        self._is_scheduled = False
        self._connections = [
            PipelinedConnection(
                url,
                is_write=is_write,
                metrics=self._metrics,
                on_capacity=self._schedule,
                requeue=self._requeue,
            )
            for _ in range(size)
        ]

    def submit(self, pending: PendingStatement) -> None:
        """Queue a statement. Raises `Unavailable` if the queue is full."""
        if len(self._queue) >= _MAX_QUEUED:
            raise Unavailable
        self._queue.append(pending)
        self._schedule()

    def check_deadlines(self, now: float) -> None:
        while self._queue and self._queue[0].deadline < now:
            self._queue.popleft().fail()
        for connection in self._connections:
            connection.check_deadline(now)
        self._last_writes = {
            lock: sent for lock, sent in self._last_writes.items() if not sent[0].future.done()
        }
        self._report()

    async def close(self) -> None:
        """Drain: let pending statements end, for `_DRAIN_SECONDS` at most, then disconnect."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _DRAIN_SECONDS
        while self._is_busy and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for connection in self._connections:
            await connection.close()
        self._metrics.flush()

    def _report(self) -> None:
        """Log changes of the number of connections, and update the metrics."""
        connected = sum(c.is_connected for c in self._connections)
        reconnects = sum(c.reconnects for c in self._connections)
        state = {"lane": self._name, "connections": connected, "of": len(self._connections)}
        if reconnects > self._reconnects:
            # Even if all of them have reconnected since.
            #: Connections are lost.
            _log.warning("database_lost", lost=reconnects - self._reconnects, **state)
        if connected > self._connected or (reconnects > self._reconnects and connected):
            #: Connections are established, for the first time or again.
            _log.info("database_connected", **state)
        self._connected, self._reconnects = connected, reconnects
        last_errors = sorted({c.last_error for c in self._connections if c.last_error})
        if last_errors and last_errors != self._last_errors:
            #: No connection can be established; logged once for each reason.
            _log.warning("database_unreachable", lane=self._name, reason="; ".join(last_errors))
        self._last_errors = last_errors
        self._metrics.flush()
        CONNECTIONS.labels(self._name).set(connected)
        STATEMENTS.labels(self._name, "queued").set(len(self._queue))
        in_flight = sum(c.in_flight for c in self._connections)
        STATEMENTS.labels(self._name, "in_flight").set(in_flight)

    @property
    def _is_busy(self) -> bool:
        return bool(self._queue) or not all(c.is_idle for c in self._connections)

    def _schedule(self) -> None:
        """Dispatch at the end of this turn of the event loop, so that one packet takes it all."""
        if self._queue and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._is_scheduled = False
        while self._queue:
            connection = self._connection_of_lock(self._queue[0])
            if connection is None:
                connection = max(self._connections, key=_capacity)
            if connection.capacity == 0:
                return
            if connection.drop_if_dead_while_idle():
                continue
            batch = self._take_batch(connection)
            # The others were cancelled in the queue.
            connection.send([pending for pending in batch if not pending.future.done()])

    def _take_batch(self, connection: PipelinedConnection) -> Sequence[PendingStatement]:
        """The next statements of the queue, as far as they may be sent together."""
        # An even share for each connection, against head-of-line blocking.
        share = 1 + len(self._queue) // len(self._connections)
        if not self._is_write:
            share = max(MIN_READS, share)
        batch: list[PendingStatement] = []
        for _ in range(min(share, connection.capacity, len(self._queue))):
            pending = self._queue[0]
            if batch and self._connection_of_lock(pending) not in (None, connection):
                break
            batch.append(self._queue.popleft())
            if pending.lock is not None:
                self._last_writes[pending.lock] = pending, connection
        return batch

    def _connection_of_lock(self, pending: PendingStatement) -> PipelinedConnection | None:
        """The connection of the write before it that locks the same row, if that is under way.

        On another one it would wait for the lock, and delay those behind it.
        """
        before = self._last_writes.get(pending.lock)
        if before is None or before[0].future.done() or before[1].capacity == 0:
            return None
        return before[1]

    def _requeue(self, pending: PendingStatement) -> None:
        if not pending.future.done():
            pending.since = asyncio.get_running_loop().time()
            pending.deadline = pending.since + QUEUE_SECONDS
            self._queue.appendleft(pending)
            self._schedule()


class PipelineDatabase:
    """A `TransactionalDatabase` with pipelined connections, and a small pool for transactions.

    It can be opened while PostgreSQL is unreachable, and connects as soon as it is reachable.
    """

    def __init__(self, url: str, *, slow_seconds: float = SLOW_SECONDS) -> None:
        self._url = url
        self._slow_seconds = slow_seconds
        self._pool = PoolDatabase(url, size=4, slow_seconds=slow_seconds)
        #: By `Statement.is_write`.
        self._groups: dict[bool, ConnectionGroup] = {}
        self._transformer = Transformer()
        self._deadline_task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._groups = {
            is_write: ConnectionGroup(
                self._url, size, is_write=is_write, slow_seconds=self._slow_seconds
            )
            for is_write, size in ((False, READERS), (True, WRITERS))
        }
        self._deadline_task = asyncio.create_task(self._check_deadlines())
        await self._pool.open()

    async def close(self) -> None:
        for group in self._groups.values():
            await group.close()
        if self._deadline_task is not None:
            self._deadline_task.cancel()
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
        async with self._pool.transaction() as transaction:
            yield transaction

    async def _run(self, statement: Statement, values: Values) -> PGresult:
        loop = asyncio.get_running_loop()
        transformer = self._transformer
        try:
            parameters = transformer.dump_sequence(
                statement.bind(values), [PyFormat.AUTO] * len(statement.parameters)
            )
        except (errors.Error, UnicodeEncodeError) as error:
            raise translate_error(error) from None
        now = loop.time()
        pending = PendingStatement(
            statement=statement,
            parameters=parameters,
            types=transformer.types or (),
            formats=transformer.formats or (),
            future=loop.create_future(),
            # A server that shuts down closes all connections: one attempt on each, and one on a
            # new connection.
            attempts_left=1 if statement.is_write else READERS + 1,
            since=now,
            deadline=now + QUEUE_SECONDS,
            lock=None if statement.lock is None else values[statement.lock],
        )
        self._groups[statement.is_write].submit(pending)
        result = await pending.future
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise translate_error(error_from_result(result)) from None
        return result

    async def _check_deadlines(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            now = asyncio.get_running_loop().time()
            for group in self._groups.values():
                group.check_deadlines(now)
