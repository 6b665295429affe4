"""One connection in pipeline mode."""

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
    Connection,
    conninfo,
    reason_of,
)
from adapters.postgres.database import Statement
from adapters.postgres.metrics import Times
from domain.errors import Unavailable

IN_FLIGHT: Final = 16
_BACK_OFF_SECONDS: Final = (0.05, 2.0)

_log = structlog.get_logger("taskport.postgres")


@dataclass(slots=True)
class PendingStatement:
    """A statement on its way: since when it waits, or has been sent, and the moment by which it
    must be at the next stop."""

    statement: Statement
    parameters: Sequence[Any]
    types: Sequence[int]
    formats: Sequence[Any]
    answer: asyncio.Future[PGresult]
    tries: int
    since: float
    deadline: float
    waited: float = 0.0
    result: PGresult | None = None

    def settle(self) -> None:
        if self.result is not None and not self.answer.done():
            self.answer.set_result(self.result)


class PipelinedConnection:
    """One connection in pipeline mode, which reconnects for as long as it is open.

    Each write is a transaction of its own. Reads (`is_write` false) that are sent together share
    one: nothing is lost when a neighbour's failure ends it, they are asked once more; and libpq
    makes a system call of each end of a transaction.
    """

    def __init__(
        self,
        url: str,
        *,
        is_write: bool,
        times: Times,
        on_room: Callable[[], None],
        undo: Callable[[PendingStatement], None],
    ) -> None:
        self._url = url
        self._is_write = is_write
        self._times = times
        self._on_room = on_room
        self._requeue = undo
        self._connection: Connection | None = None
        # How often it was lost; and why it cannot be had again, if so.
        self.reconnects = 0
        self.last_error: str | None = None
        self._in_flight: deque[PendingStatement] = deque()
        # Statements that are done, and the ends of transactions that are not.
        self._ended: list[PendingStatement] = []
        self._syncs = 0
        # Remembered, because libpq forgets it together with a connection that it finds lost.
        self._socket = -1
        self._lost = asyncio.Event()
        self._task = asyncio.create_task(self._stay_connected())

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def room(self) -> int:
        """How many more statements it would take now."""
        return 0 if self._connection is None else IN_FLIGHT - len(self._in_flight)

    @property
    def is_idle(self) -> bool:
        return not self._in_flight and not self._syncs

    def is_dead_while_idle(self) -> bool:
        """Whether the server has hung up while there was nothing to say; then we do, too."""
        if self._connection is None or not self.is_idle:
            return False
        if not self._connection.is_lost():
            return False
        self._disconnect()
        return True

    def send(self, units: Sequence[PendingStatement]) -> None:
        assert self._connection is not None
        pgconn = self._connection.pgconn
        now = asyncio.get_running_loop().time()
        for unit in units:
            unit.waited = now - unit.since
            unit.since, unit.deadline = now, now + STATEMENT_SECONDS
        # All of them, before the first may fail: what is in flight is never forgotten.
        self._in_flight.extend(units)
        try:
            for unit in units:
                pgconn.send_query_params(
                    unit.statement.encoded,
                    unit.parameters,
                    unit.types,
                    unit.formats,
                    result_format=1,
                )
                if self._is_write:
                    self._sync(pgconn)
            if not self._is_write:
                self._sync(pgconn)
            self._flush()
        except errors.OperationalError:
            self._disconnect()

    def watch(self, now: float) -> None:
        """Give the connection up where its oldest statement is overdue."""
        oldest = next(chain(self._ended, self._in_flight), None)
        if oldest is not None and oldest.deadline < now:
            self._times.note(oldest.statement, now - oldest.since, waited=oldest.waited)
            _log.warning(
                "statement_given_up", statement=oldest.statement.name, seconds=STATEMENT_SECONDS
            )
            self._disconnect()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        self._disconnect()

    async def _stay_connected(self) -> None:
        wait, longest = _BACK_OFF_SECONDS
        while True:
            try:
                connection = await Connection.connect(conninfo(self._url), **CONNECT_OPTIONS)
            except errors.Error as error:
                self.last_error = reason_of(error)
                # Not a secret: it only keeps workers from trying all at once.
                await asyncio.sleep(random.uniform(wait / 2, wait))  # noqa: S311
                wait = min(wait * 2, longest)
                continue
            wait, self.last_error = _BACK_OFF_SECONDS[0], None
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
            while (self._in_flight or self._syncs) and not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    self._end_statement()
                elif result.status == ExecStatus.PIPELINE_SYNC:
                    self._end_transaction()
                elif self._in_flight:
                    self._in_flight[0].result = result
                else:
                    raise errors.OperationalError("the server has said more than it was asked")
        except errors.OperationalError:
            self._disconnect()
        self._on_room()

    def _sync(self, pgconn: PGconn) -> None:
        self._syncs += 1
        pgconn.pipeline_sync()

    def _end_statement(self) -> None:
        unit = self._in_flight.popleft()
        seconds = asyncio.get_running_loop().time() - unit.since
        self._times.note(unit.statement, seconds, waited=unit.waited)
        if unit.result is None:
            self._ended.append(unit)
            raise errors.OperationalError("a statement has ended without a result")
        # What was read was read; but a write may yet fail as its transaction ends, and an error
        # may be the last word of a server that goes.
        if not self._is_write and unit.result.status == ExecStatus.TUPLES_OK:
            unit.settle()
        else:
            self._ended.append(unit)

    def _end_transaction(self) -> None:
        self._syncs -= 1
        ended, self._ended = self._ended, []
        for unit in ended:
            if unit.result is not None and unit.result.status == ExecStatus.PIPELINE_ABORTED:
                self._requeue(unit)
            else:
                unit.settle()

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
            self._disconnect()

    def _disconnect(self) -> None:
        """Hang up; hand back what was to be read, and fail what was to be written."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self.reconnects += 1
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        connection.hang_up()
        self._lost.set()
        fallen = [*self._ended, *self._in_flight]
        self._in_flight.clear()
        self._ended, self._syncs = [], 0
        now = loop.time()
        for unit in fallen:
            unit.tries -= 1
            if unit.tries > 0 and unit.deadline >= now:
                self._requeue(unit)
            elif not unit.answer.done():
                unit.answer.set_exception(Unavailable())
