"""Both implementations of `Database`: results, deadlines, lost connections, overload."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg
import pytest

from adapters.postgres import connection, pipeline_connection, pipeline_database, pool_database
from adapters.postgres.database import ConstraintViolated, Statement
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres_server.loopback import free_port
from domain.errors import Invalid, Unavailable
from tests.adapters.proxy import proxied
from tests.waiting import LIMIT_SECONDS, eventually_async

pytestmark = pytest.mark.postgres

ONE = Statement("test", "select 1")
SLEEP = Statement("test", "select pg_sleep($1), 7", ("seconds",))
SLOW_WRITE = Statement(
    "test", "insert into notes select $1 from pg_sleep(600)", ("text",), is_write=True
)
WRITE = Statement("test", "insert into notes values ($1)", ("text",), is_write=True)
COUNT = Statement("test", "select count(*) from notes")
RUNNING = Statement(
    "test",
    "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(%'"
    " and datname = current_database() and pid <> pg_backend_pid()",
)
# Waits until they have ended.
KILL = Statement(
    "test",
    "select count(pg_terminate_backend(pid, 60000)) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()",
)

AnyDatabase = PoolDatabase | PipelineDatabase
Opening = Callable[..., AbstractAsyncContextManager[AnyDatabase]]


@pytest.fixture(params=[PoolDatabase, PipelineDatabase])
def opening(request: pytest.FixtureRequest) -> Opening:
    """Opens a database of either kind."""

    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[AnyDatabase]:
        database: AnyDatabase = request.param(url)
        await database.open()
        try:
            yield database
        finally:
            await database.close()

    return opened


@pytest.fixture
def running(database_url: str) -> Iterator[Callable[[], int]]:
    """How many statements sleep in the database."""
    with psycopg.connect(database_url, autocommit=True) as conn:

        def count() -> int:
            row = conn.execute(RUNNING.sql).fetchone()
            assert row is not None
            return int(row[0])

        yield count


@pytest.fixture
async def database(opening: Opening, database_url: str) -> AsyncIterator[AnyDatabase]:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("create table notes (text text check (text <> 'no'))")
    async with opening(database_url) as database:
        yield database


@pytest.fixture
def short_deadlines(no_deadlines: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of half a second instead of several."""
    monkeypatch.setattr(connection, "STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr(pipeline_connection, "STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr(pipeline_database, "QUEUE_SECONDS", 0.5)
    monkeypatch.setattr(pool_database, "POOL_WAIT_SECONDS", 0.5)


async def test_concurrent_statements_get_their_own_results(database: AnyDatabase) -> None:
    echo = Statement("test", "select $1::int, $2::text", ("number", "text"))
    rows = await asyncio.gather(
        *(database.fetch_one(echo, {"number": n, "text": f"é{n}"}) for n in range(500))
    )
    assert rows == [(n, f"é{n}") for n in range(500)]


async def test_failed_statement_does_not_affect_concurrent_ones(database: AnyDatabase) -> None:
    texts = ["no" if n % 3 == 0 else "yes" for n in range(60)]
    results = await asyncio.gather(
        *(database.execute(WRITE, {"text": text}) for text in texts), return_exceptions=True
    )
    assert [isinstance(r, ConstraintViolated) for r in results] == [t == "no" for t in texts]
    assert await database.fetch_one(COUNT, {}) == (40,)


async def test_value_that_no_column_can_hold_is_invalid(database: AnyDatabase) -> None:
    for text in ("\0", "\ud800"):
        with pytest.raises(Invalid):
            await database.execute(WRITE, {"text": text})
    with pytest.raises(Invalid):
        await database.fetch_one(Statement("test", "select $1::smallint", ("n",)), {"n": 2**40})
    assert await database.fetch_one(ONE, {}) == (1,)


@pytest.mark.usefixtures("short_deadlines")
async def test_statement_that_exceeds_its_deadline_is_cancelled(
    database: AnyDatabase, running: Callable[[], int]
) -> None:
    """Also on the server; and the database remains usable."""
    with pytest.raises(Unavailable):
        await database.fetch_one(SLEEP, {"seconds": 600})
    await eventually_async(lambda: running() == 0)
    await eventually_async(lambda: _responds(database))


async def test_cancelled_callers_leak_no_connection(database: AnyDatabase) -> None:
    """Afterwards the full capacity is available again."""
    for _ in range(3):
        callers = [
            asyncio.create_task(database.fetch_one(SLEEP, {"seconds": 0.2})) for _ in range(30)
        ]
        await asyncio.sleep(0.05)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)

    async with asyncio.timeout(LIMIT_SECONDS):
        assert all(await asyncio.gather(*(_responds(database) for _ in range(50))))


async def _responds(database: AnyDatabase) -> bool:
    try:
        return await database.fetch_one(ONE, {}) == (1,)
    except Unavailable:
        return False


@pytest.mark.usefixtures("short_deadlines")
async def test_network_without_response(opening: Opening, database_url: str) -> None:
    async with proxied(database_url) as (proxy, url), opening(url) as database:
        await eventually_async(lambda: _responds(database))
        proxy.freeze()
        with pytest.raises(Unavailable):
            await database.fetch_one(ONE, {})
        with pytest.raises(Unavailable):
            await database.execute(Statement("test", "select 1", is_write=True), {})
        proxy.thaw()
        await eventually_async(lambda: _responds(database))


async def test_connections_that_died_while_idle_are_replaced(database: AnyDatabase) -> None:
    await asyncio.gather(*(database.fetch_one(SLEEP, {"seconds": 0.05}) for _ in range(20)))
    await database.fetch_one(KILL, {})
    assert await database.execute(WRITE, {"text": "after"}) == 1
    results = await asyncio.gather(*(database.fetch_one(ONE, {}) for _ in range(20)))
    assert results == [(1,)] * 20


async def test_write_is_never_sent_twice(database: AnyDatabase) -> None:
    """Its connection is lost while it runs."""

    async def running() -> bool:
        return await database.fetch_one(RUNNING, {}) == (1,)

    writing = asyncio.create_task(database.execute(SLOW_WRITE, {"text": "once"}))
    await eventually_async(running)
    await database.fetch_one(KILL, {})
    with pytest.raises(Unavailable):
        await writing
    # Longer than it takes to reconnect.
    await asyncio.sleep(0.5)
    assert await database.fetch_one(RUNNING, {}) == (0,)
    assert await database.fetch_one(COUNT, {}) == (0,)


async def test_read_on_a_lost_connection_is_requeued(database_url: str) -> None:
    database = PipelineDatabase(database_url)
    await database.open()
    with psycopg.connect(database_url, autocommit=True) as conn:
        reading = asyncio.create_task(database.fetch_one(SLEEP, {"seconds": 2}))
        await eventually_async(lambda: conn.execute(RUNNING.sql).fetchone() == (1,))
        conn.execute(KILL.sql)
    row = await reading
    assert row is not None
    assert row[1] == 7
    await database.close()


@pytest.mark.usefixtures("short_deadlines")
async def test_unreachable_server_is_unavailable(opening: Opening) -> None:
    port = free_port()
    async with opening(f"postgresql://a:b@127.0.0.1:{port}/c") as database:
        with pytest.raises(Unavailable):
            await database.fetch_one(ONE, {})


@pytest.mark.usefixtures("short_deadlines")
async def test_server_that_becomes_reachable_later_is_used(
    opening: Opening, database_url: str
) -> None:
    async with proxied(database_url) as (proxy, url):
        proxy.freeze()
        async with opening(url) as database:
            assert not await _responds(database)
            proxy.thaw()
            await eventually_async(lambda: _responds(database))


@pytest.mark.usefixtures("short_deadlines")
async def test_exhausted_pool_is_unavailable(database_url: str) -> None:
    """R13: until a connection is returned."""
    database = PoolDatabase(database_url, size=1)
    await database.open()
    async with database.transaction() as transaction:
        with pytest.raises(Unavailable):
            await database.fetch_one(ONE, {})
        await transaction.commit()
    await eventually_async(lambda: _responds(database))
    await database.close()


@pytest.mark.usefixtures("short_deadlines")
async def test_full_pipeline_rejects_what_it_cannot_send_in_time(database_url: str) -> None:
    """Statements in flight are not affected."""
    database = PipelineDatabase(database_url)
    await database.open()
    capacity = pipeline_database.READERS * pipeline_connection.MAX_IN_FLIGHT
    sleepers = [
        asyncio.create_task(database.fetch_one(SLEEP, {"seconds": 0.02})) for _ in range(capacity)
    ]
    results = await asyncio.gather(*sleepers, return_exceptions=True)
    assert all(isinstance(r, Unavailable) or (isinstance(r, tuple) and r[1] == 7) for r in results)
    await eventually_async(lambda: _responds(database))
    await database.close()


async def test_queue_of_the_pipeline_is_bounded(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_database, "_MAX_QUEUED", 10)
    database = PipelineDatabase(database_url)
    await database.open()
    results = await asyncio.gather(
        *(database.fetch_one(ONE, {}) for _ in range(30)), return_exceptions=True
    )
    assert [r for r in results if isinstance(r, tuple)] == [(1,)] * 10
    assert len([r for r in results if isinstance(r, Unavailable)]) == 20
    await database.close()


async def test_closing_drains_statements_in_flight(database_url: str) -> None:
    database = PipelineDatabase(database_url)
    await database.open()
    sleeper = asyncio.create_task(database.fetch_one(SLEEP, {"seconds": 0.3}))
    await asyncio.sleep(0.1)
    await database.close()
    row = await sleeper
    assert row is not None
    assert row[1] == 7


async def test_times_do_not_depend_on_the_time_zone_of_the_server(
    opening: Opening, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        name = conn.info.dbname
        conn.execute(f"alter database {name} set timezone = 'Asia/Kathmandu'")
    async with opening(database_url) as database:
        row = await database.fetch_one(
            Statement("test", "select '2026-11-20T18:00:00Z'::timestamptz"), {}
        )
    assert row is not None
    assert row[0].timestamp() == 1_795_197_600.0


async def test_errors_do_not_quote_the_row(database: AnyDatabase) -> None:
    """PostgreSQL's message quotes it, and a traceback would quote the message."""
    with pytest.raises(ConstraintViolated) as raised:
        await database.execute(WRITE, {"text": "no"})
    printed = "".join(traceback.format_exception(raised.value))
    assert "Failing row" not in printed
    assert not raised.value.is_foreign_key


async def test_missing_column_or_table_is_unavailable(database: AnyDatabase) -> None:
    """The front end has removed a plugin, or our schema is behind."""
    for sql in ("select gone from notes", "select 1 from gone"):
        with pytest.raises(Unavailable):
            await database.fetch_one(Statement("test", sql), {})
