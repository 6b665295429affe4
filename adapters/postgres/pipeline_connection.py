"""One connection in libpq's pipeline mode."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import structlog
from psycopg import errors
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from adapters.postgres.connection import (
    CONNECT_OPTIONS,
    STATEMENT_SECONDS,
    DeadlineConnection,
    connect_failure,
    conninfo,
)
from adapters.postgres.database import Statement
from adapters.postgres.metrics import StatementMetrics
from domain.errors import Unavailable

MAX_IN_FLIGHT: Final = 16
#: The first and the longest wait between two attempts to connect.
_BACKOFF_SECONDS: Final = (0.05, 2.0)

_log = structlog.get_logger("taskport.postgres")


@dataclass(slots=True)
class PendingStatement:
    """A statement that is queued or in flight."""

    statement: Statement
    parameters: Sequence[Any]
    types: Sequence[int]
    formats: Sequence[Any]
    #: Completed with the result, an error result included.
    future: asyncio.Future[PGresult]
    #: How often it may still be sent.
    attempts_left: int
    #: When it was queued; once in flight, when it was sent.
    since: float
    #: By when it must be sent; once in flight, by when its result must arrive.
    deadline: float
    #: The row that it locks before any other, if many statements lock the same one.
    lock: object = None
    #: How long it was queued.
    waited: float = 0.0
    result: PGresult | None = None

    def complete(self) -> None:
        if self.result is not None and not self.future.done():
            self.future.set_result(self.result)

    def fail(self) -> None:
        if not self.future.done():
            self.future.set_exception(Unavailable())


class PipelinedConnection:
    """A connection in pipeline mode that reconnects, with backoff, until it is closed.

    Each write is a transaction of its own. Reads that are sent together share a transaction: if
    one fails, the server skips the rest of it, and they are requeued. That costs nothing, while
    each end of a transaction costs a system call of libpq's.
    """

    def __init__(
        self,
        url: str,
        *,
        is_write: bool,
        metrics: StatementMetrics,
        on_capacity: Callable[[], None],
        requeue: Callable[[PendingStatement], None],
    ) -> None:
        self._url = url
        self._is_write = is_write
        self._metrics = metrics
        self._on_capacity = on_capacity
        self._requeue = requeue
        self._connection: DeadlineConnection | None = None
        #: How often the connection was lost.
        self.reconnects = 0
        #: Why the last attempt to connect failed; None while connected.
        self.last_error: str | None = None
        #: Statements without a result, in the order in which they were sent.
        self._in_flight: deque[PendingStatement] = deque()
        #: Statements with a result whose transaction has not ended.
        self._awaiting_sync: list[PendingStatement] = []
        #: Transactions that have not ended.
        self._pending_syncs = 0
        #: Kept, because libpq forgets its socket when it finds the connection lost.
        self._socket = -1
        self._disconnected = asyncio.Event()
        self._task = asyncio.create_task(self._stay_connected())

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def capacity(self) -> int:
        """How many more statements it can take now."""
        return 0 if self._connection is None else MAX_IN_FLIGHT - len(self._in_flight)

    @property
    def is_idle(self) -> bool:
        return not self._in_flight and not self._pending_syncs

    def drop_if_dead_while_idle(self) -> bool:
        """Disconnect if the server closed the connection while it was idle; whether it had."""
        if self._connection is None or not self.is_idle:
            return False
        if not self._connection.is_closed_by_server():
            return False
        self._disconnect()
        return True

    def send(self, batch: Sequence[PendingStatement]) -> None:
        assert self._connection is not None
        pgconn = self._connection.pgconn
        now = asyncio.get_running_loop().time()
        for pending in batch:
            pending.waited = now - pending.since
            pending.since, pending.deadline = now, now + STATEMENT_SECONDS
        # Before the first is sent: if sending fails, `_disconnect` must find all of them.
        self._in_flight.extend(batch)
        try:
            for pending in batch:
                # As an unnamed statement: a pooler would not find a prepared one again.
                pgconn.send_query_params(
                    pending.statement.encoded,
                    pending.parameters,
                    pending.types,
                    pending.formats,
                    result_format=1,
                )
                if self._is_write:
                    self._sync(pgconn)
            if not self._is_write:
                self._sync(pgconn)
            self._flush()
        except errors.OperationalError:
            self._disconnect()

    def check_deadline(self, now: float) -> None:
        """Disconnect if the oldest statement has timed out."""
        oldest = next(chain(self._awaiting_sync, self._in_flight), None)
        if oldest is not None and oldest.deadline < now:
            self._metrics.record(oldest.statement, now - oldest.since, waited=oldest.waited)
            #: A statement exceeded its deadline; its connection is closed.
            _log.warning(
                "statement_timed_out", statement=oldest.statement.name, seconds=STATEMENT_SECONDS
            )
            self._disconnect()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        # Its exception keeps the socket of an attempt to connect open.
        del self._task
        self._disconnect()

    async def _stay_connected(self) -> None:
        wait, longest = _BACKOFF_SECONDS
        while True:
            try:
                connection = await DeadlineConnection.connect(
                    conninfo(self._url), **CONNECT_OPTIONS
                )
            except errors.Error as error:
                self.last_error = connect_failure(error)
                # Jitter keeps workers from reconnecting all at once.
                await asyncio.sleep(random.uniform(wait / 2, wait))  # noqa: S311
                wait = min(wait * 2, longest)
                continue
            wait, self.last_error = _BACKOFF_SECONDS[0], None
            self._disconnected.clear()
            connection.pgconn.enter_pipeline_mode()
            self._socket = connection.fileno()
            asyncio.get_running_loop().add_reader(self._socket, self._on_readable)
            self._connection = connection
            self._on_capacity()
            await self._disconnected.wait()

    def _on_readable(self) -> None:
        assert self._connection is not None
        pgconn = self._connection.pgconn
        try:
            pgconn.consume_input()
            while (self._in_flight or self._pending_syncs) and not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    self._end_statement()
                elif result.status == ExecStatus.PIPELINE_SYNC:
                    self._end_transaction()
                elif self._in_flight:
                    self._in_flight[0].result = result
                else:
                    raise errors.OperationalError("a result that belongs to no statement")
        except errors.OperationalError:
            self._disconnect()
        self._on_capacity()

    def _sync(self, pgconn: PGconn) -> None:
        """End a transaction."""
        self._pending_syncs += 1
        pgconn.pipeline_sync()

    def _end_statement(self) -> None:
        ended = self._in_flight.popleft()
        seconds = asyncio.get_running_loop().time() - ended.since
        self._metrics.record(ended.statement, seconds, waited=ended.waited)
        if ended.result is None:
            self._awaiting_sync.append(ended)
            raise errors.OperationalError("a statement has ended without a result")
        # Rows that were read are final. A write can still fail at the end of its transaction, and
        # an error can come from a server that shuts down.
        if not self._is_write and ended.result.status == ExecStatus.TUPLES_OK:
            ended.complete()
        else:
            self._awaiting_sync.append(ended)

    def _end_transaction(self) -> None:
        self._pending_syncs -= 1
        awaiting, self._awaiting_sync = self._awaiting_sync, []
        for ended in awaiting:
            if ended.result is not None and ended.result.status == ExecStatus.PIPELINE_ABORTED:
                self._requeue(ended)
            else:
                ended.complete()

    def _flush(self) -> None:
        """Send what libpq has buffered; the rest when the socket is writable again."""
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
            self._disconnect()

    def _disconnect(self) -> None:
        """Close the connection; requeue its reads, and fail its writes, which may have happened."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self.reconnects += 1
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        connection.abort()
        self._disconnected.set()
        interrupted = [*self._awaiting_sync, *self._in_flight]
        self._in_flight.clear()
        self._awaiting_sync, self._pending_syncs = [], 0
        now = loop.time()
        for pending in interrupted:
            pending.attempts_left -= 1
            if pending.attempts_left > 0 and pending.deadline >= now:
                self._requeue(pending)
            else:
                pending.fail()
