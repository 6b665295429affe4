"""Pipelined connections: which of them takes a write, and their loss while statements are sent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from adapters.postgres.database import Statement
from adapters.postgres.pipeline_database import READERS, WRITERS, PipelineDatabase
from domain.errors import Unavailable
from tests.waiting import LIMIT_SECONDS, eventually_async

pytestmark = pytest.mark.postgres

ONE = Statement("test", "select 1")
WRITE = Statement("test", "insert into notes values ($1)", ("text",), is_write=True)


class LostAfter:
    """A libpq connection that fails after it has sent a number of statements."""

    def __init__(self, pgconn: Any, statements: int) -> None:
        self._pgconn = pgconn
        self._left = statements

    def send_query_params(self, *args: Any, **kwargs: Any) -> None:
        if self._left == 0:
            raise psycopg.OperationalError("the connection is lost")
        self._left -= 1
        self._pgconn.send_query_params(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pgconn, name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PipelineDatabase]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table notes (text text)")
    database = PipelineDatabase(database_url)
    await database.open()
    await asyncio.gather(*(database.fetch_one(ONE, {}) for _ in range(100)))
    await database.execute(WRITE, {"text": "first"})
    yield database
    await database.close()


def fail_after(database: PipelineDatabase, *, is_write: bool, statements: int) -> None:
    for pipelined in database._groups[is_write]._connections:
        if pipelined._connection is not None:
            failing: Any = LostAfter(pipelined._connection.pgconn, statements)
            pipelined._connection.pgconn = failing


@pytest.mark.parametrize("statements", [0, 1, 3])
async def test_reads_are_requeued_on_another_connection(
    database: PipelineDatabase, statements: int
) -> None:
    fail_after(database, is_write=False, statements=statements)
    async with asyncio.timeout(LIMIT_SECONDS):
        rows = await asyncio.gather(*(database.fetch_one(ONE, {}) for _ in range(40)))
    assert rows == [(1,)] * 40


@pytest.mark.parametrize("statements", [0, 1, 3])
async def test_writes_fail_and_are_not_sent_again(
    database: PipelineDatabase, database_url: str, statements: int
) -> None:
    """Every caller gets a result or an error, and no row is written twice."""
    fail_after(database, is_write=True, statements=statements)
    async with asyncio.timeout(LIMIT_SECONDS):
        results = await asyncio.gather(
            *(database.execute(WRITE, {"text": str(n)}) for n in range(60)), return_exceptions=True
        )
    assert {type(result) for result in results} == {int, Unavailable} or (
        set(map(type, results)) == {Unavailable}
    )
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select text from notes group by text having count(*) > 1")
        assert rows.fetchall() == []
        stored = {text for (text,) in connection.execute("select text from notes").fetchall()}
    assert {str(n) for n, result in enumerate(results) if result == 1} <= stored


LOCKING = Statement(
    "test", "update notes set text = text where text = $1", ("text",), is_write=True, lock="text"
)


async def test_writes_that_wait_for_a_lock_delay_no_others(
    database: PipelineDatabase, database_url: str
) -> None:
    await database.execute(WRITE, {"text": "second"})
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("update notes set text = text where text = 'first'")
        waiting = [
            asyncio.create_task(database.execute(LOCKING, {"text": "first"}))
            for _ in range(WRITERS)
        ]
        async with asyncio.timeout(LIMIT_SECONDS):
            for _ in range(2 * WRITERS):
                assert await database.execute(LOCKING, {"text": "second"}) == 1
        assert not any(task.done() for task in waiting)
        await holder.commit()
    async with asyncio.timeout(LIMIT_SECONDS):
        assert await asyncio.gather(*waiting) == [1] * WRITERS


async def test_more_writes_than_a_connection_takes_use_another(
    database: PipelineDatabase, database_url: str
) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        done = await asyncio.gather(
            *(database.execute(LOCKING, {"text": "first"}) for _ in range(100))
        )
    assert done == [1] * 100


async def test_ended_writes_are_forgotten(database: PipelineDatabase) -> None:
    group = database._groups[True]
    await asyncio.gather(*(database.execute(LOCKING, {"text": str(n)}) for n in range(50)))
    await eventually_async(lambda: not group._last_writes)


async def test_attempts_to_connect_end_when_the_database_is_closed() -> None:
    """A server whose client neither goes on nor leaves keeps a process for it."""
    clients: list[asyncio.StreamWriter] = []
    ended = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal ended
        clients.append(writer)
        await reader.read()
        ended += 1

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = PipelineDatabase(f"postgresql://ann:pw@127.0.0.1:{port}/app")
    await database.open()
    await eventually_async(lambda: len(clients) >= READERS + WRITERS)
    await database.close()
    # Those of the pool are psycopg's.
    await eventually_async(lambda: ended >= READERS + WRITERS)
    # Not before: to free it would close the sockets.
    del database
    for client in clients:
        client.close()
    await eventually_async(lambda: ended == len(clients))
    server.close()
