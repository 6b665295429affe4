"""The seam on a psycopg pool: one connection for one statement, or for one transaction."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from psycopg import AsyncCursor
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from adapters.postgres.connection import CONNECT_OPTIONS, Connection, conninfo, translating
from adapters.postgres.database import Row, Statement, Values
from adapters.postgres.metrics import Times
from domain.errors import Unavailable

POOL_SIZE: Final = 10
POOL_WAIT_SECONDS: Final = 3.0
SLOW_SECONDS: Final = 0.1
_BEGIN: Final = Statement("begin", "begin")
_COMMIT: Final = Statement("commit", "commit")
_ROLL_BACK: Final = Statement("rollback", "rollback")
_OPEN: Final = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})


@dataclass(frozen=True, slots=True)
class PoolTransaction:
    """A `Transaction` on one connection; outside `begin` each statement is its own."""

    connection: Connection
    times: Times

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
        with translating(), self._timing(statement):
            async with self.connection.cursor() as cursor:
                await cursor.executemany(statement.sql, [statement.bind(row) for row in rows])

    async def begin(self) -> None:
        await self._run(_BEGIN)

    async def commit(self) -> None:
        await self._run(_COMMIT)

    async def roll_back(self) -> None:
        """Undo what was not committed; nothing to do on a connection that is lost."""
        if self.connection.pgconn.transaction_status in _OPEN:
            await self._run(_ROLL_BACK)

    async def _run(
        self, statement: Statement, parameters: Sequence[object] = ()
    ) -> AsyncCursor[Row]:
        with translating(), self._timing(statement):
            return await self.connection.execute(statement.sql, parameters)

    @contextmanager
    def _timing(self, statement: Statement) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            yield
        finally:
            self.times.note(statement, loop.time() - started)
            self.times.flush()


class PoolDatabase:
    """A `TransactionalDatabase`. It opens without Postgres, and finds it when it comes."""

    def __init__(
        self, url: str, *, size: int = POOL_SIZE, slow_seconds: float = SLOW_SECONDS
    ) -> None:
        self._times = Times("transaction", slow_seconds)
        self._pool = AsyncConnectionPool(
            conninfo(url),
            connection_class=Connection,
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
        async with self._session() as session:
            return await session.fetch_one(statement, values)

    async def fetch_all(self, statement: Statement, values: Values) -> Sequence[Row]:
        async with self._session() as session:
            return await session.fetch_all(statement, values)

    async def execute(self, statement: Statement, values: Values) -> int:
        async with self._session() as session:
            return await session.execute(statement, values)

    async def execute_many(self, statement: Statement, rows: Iterable[Values]) -> None:
        async with self.transaction() as transaction:
            await transaction.execute_many(statement, rows)
            await transaction.commit()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PoolTransaction]:
        async with self._session() as session:
            await session.begin()
            try:
                yield session
            finally:
                await session.roll_back()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[PoolTransaction]:
        connection = await self._living_connection()
        try:
            yield PoolTransaction(connection, self._times)
        finally:
            await self._pool.putconn(connection)

    async def _living_connection(self) -> Connection:
        """A connection that the server has not closed while it lay in the pool."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        give_up = started + POOL_WAIT_SECONDS
        while (left := give_up - loop.time()) > 0:
            try:
                connection = await self._pool.getconn(left)
            except (PoolTimeout, PoolClosed) as error:
                raise Unavailable from error
            if not connection.is_lost():
                self._times.waited(loop.time() - started)
                return connection
            await connection.close()
            await self._pool.putconn(connection)
        raise Unavailable
