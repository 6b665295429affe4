"""The `Database` on a psycopg connection pool: a connection for each statement or transaction."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from psycopg import AsyncCursor
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from adapters.postgres.connection import (
    CONNECT_OPTIONS,
    DeadlineConnection,
    conninfo,
    translating_errors,
)
from adapters.postgres.database import Row, Statement, Values
from adapters.postgres.metrics import StatementMetrics
from domain.errors import Unavailable

POOL_SIZE: Final = 10
POOL_WAIT_SECONDS: Final = 3.0
SLOW_SECONDS: Final = 0.1
_BEGIN: Final = Statement("begin", "begin")
_COMMIT: Final = Statement("commit", "commit")
_ROLLBACK: Final = Statement("rollback", "rollback")
_IN_TRANSACTION: Final = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})


@dataclass(frozen=True, slots=True)
class PoolTransaction:
    """A `Transaction` on one connection; before `begin`, each statement is its own transaction."""

    connection: DeadlineConnection
    metrics: StatementMetrics

    async def fetch_one(self, statement: Statement, values: Values) -> Row | None:
        cursor = await self._run(statement, statement.bind(values))
        return await cursor.fetchone()

    async def fetch_all(self, statement: Statement, values: Values) -> Sequence[Row]:
        cursor = await self._run(statement, statement.bind(values))
        return await cursor.fetchall()

    async def execute(self, statement: Statement, values: Values) -> int:
        cursor = await self._run(statement, statement.bind(values))
        return cursor.rowcount

    async def execute_many(self, statement: Statement, rows: Iterable[Values]) -> None:
        with translating_errors(), self._timing(statement):
            async with self.connection.cursor() as cursor:
                await cursor.executemany(statement.sql, [statement.bind(row) for row in rows])

    async def begin(self) -> None:
        await self._run(_BEGIN)

    async def commit(self) -> None:
        await self._run(_COMMIT)

    async def rollback(self) -> None:
        """Roll back, unless the transaction was committed or the connection is lost."""
        if self.connection.pgconn.transaction_status in _IN_TRANSACTION:
            await self._run(_ROLLBACK)

    async def _run(
        self, statement: Statement, parameters: Sequence[object] = ()
    ) -> AsyncCursor[Row]:
        with translating_errors(), self._timing(statement):
            return await self.connection.execute(statement.sql, parameters)

    @contextmanager
    def _timing(self, statement: Statement) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            yield
        finally:
            self.metrics.record(statement, loop.time() - started)
            self.metrics.flush()


class PoolDatabase:
    """A `TransactionalDatabase` with a connection pool.

    It can be opened while PostgreSQL is unreachable, and connects as soon as it is reachable.
    """

    def __init__(
        self, url: str, *, size: int = POOL_SIZE, slow_seconds: float = SLOW_SECONDS
    ) -> None:
        self._metrics = StatementMetrics("transaction", slow_seconds)
        self._pool = AsyncConnectionPool(
            conninfo(url),
            connection_class=DeadlineConnection,
            kwargs=CONNECT_OPTIONS,
            min_size=min(2, size),
            max_size=size,
            name="taskport",
            open=False,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    async def fetch_one(self, statement: Statement, values: Values) -> Row | None:
        async with self._autocommit() as connection:
            return await connection.fetch_one(statement, values)

    async def fetch_all(self, statement: Statement, values: Values) -> Sequence[Row]:
        async with self._autocommit() as connection:
            return await connection.fetch_all(statement, values)

    async def execute(self, statement: Statement, values: Values) -> int:
        async with self._autocommit() as connection:
            return await connection.execute(statement, values)

    async def execute_many(self, statement: Statement, rows: Iterable[Values]) -> None:
        async with self.transaction() as transaction:
            await transaction.execute_many(statement, rows)
            await transaction.commit()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PoolTransaction]:
        async with self._autocommit() as transaction:
            await transaction.begin()
            try:
                yield transaction
            finally:
                await transaction.rollback()

    @asynccontextmanager
    async def _autocommit(self) -> AsyncIterator[PoolTransaction]:
        connection = await self._get_connection()
        try:
            yield PoolTransaction(connection, self._metrics)
        finally:
            await self._pool.putconn(connection)

    async def _get_connection(self) -> DeadlineConnection:
        """Take a connection from the pool, and replace those that the server has closed.

        Raises `Unavailable` after `POOL_WAIT_SECONDS`.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + POOL_WAIT_SECONDS
        while (left := deadline - loop.time()) > 0:
            try:
                connection = await self._pool.getconn(left)
            except (PoolTimeout, PoolClosed) as error:
                raise Unavailable from error
            if not connection.is_closed_by_server():
                self._metrics.observe_wait(loop.time() - started)
                return connection
            await connection.close()
            await self._pool.putconn(connection)
        raise Unavailable
