"""Both implementations of the seam to Postgres, on good days and on bad ones."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg
import pytest

from adapters.postgres import connection, pipeline_connection, pipeline_database, pool_database
from adapters.postgres.database import ConstraintViolated, Statement
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres_server.server import free_port
from domain.errors import Invalid, Unavailable
from tests.adapters.proxy import proxied

pytestmark = pytest.mark.postgres

ONE = Statement("test", "select 1")
SLEEP = Statement("test", "select pg_sleep($1), 7", ("seconds",))
SLOW_WRITE = Statement(
    "test", "insert into notes select $1 from pg_sleep(1)", ("text",), is_write=True
)
WRITE = Statement("test", "insert into notes values ($1)", ("text",), is_write=True)
COUNT = Statement("test", "select count(*) from notes")
RUNNING = Statement(
    "test",
    "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(%'"
    " and pid <> pg_backend_pid()",
)
KILL = Statement(
    "test",
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
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
async def database(opening: Opening, database_url: str) -> AsyncIterator[AnyDatabase]:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("create table notes (text text check (text <> 'no'))")
    async with opening(database_url) as database:
        yield database


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of half a second where they are several, so that tests need not."""
    monkeypatch.setattr(connection, "STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr(pipeline_connection, "STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr(pipeline_database, "QUEUE_SECONDS", 0.5)
    monkeypatch.setattr(pool_database, "POOL_WAIT_SECONDS", 0.5)


async def eventually(question: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            answer = question()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            await asyncio.sleep(0.05)


async def test_many_at_once_each_get_their_own_answer(database: AnyDatabase) -> None:
    echo = Statement("test", "select $1::int, $2::text", ("number", "text"))
    rows = await asyncio.gather(
        *(database.fetch_one(echo, {"number": n, "text": f"é{n}"}) for n in range(500))
    )
    assert rows == [(n, f"é{n}") for n in range(500)]


async def test_a_statement_that_fails_does_not_touch_its_neighbours(database: AnyDatabase) -> None:
    texts = ["no" if n % 3 == 0 else "yes" for n in range(60)]
    results = await asyncio.gather(
        *(database.execute(WRITE, {"text": text}) for text in texts), return_exceptions=True
    )
    assert [isinstance(r, ConstraintViolated) for r in results] == [t == "no" for t in texts]
    assert await database.fetch_one(COUNT, {}) == (40,)


async def test_a_value_that_postgres_cannot_hold_is_invalid(database: AnyDatabase) -> None:
    for text in ("\0", "\ud800"):
        with pytest.raises(Invalid):
            await database.execute(WRITE, {"text": text})
    with pytest.raises(Invalid):
        await database.fetch_one(Statement("test", "select $1::smallint", ("n",)), {"n": 2**40})
    assert await database.fetch_one(ONE, {}) == (1,)


@pytest.mark.usefixtures("impatient")
async def test_a_statement_that_takes_too_long(database: AnyDatabase) -> None:
    """503 for who waited, the end of the statement on the server, and business as usual."""
    with pytest.raises(Unavailable):
        async with asyncio.timeout(1.5):
            await database.fetch_one(SLEEP, {"seconds": 30})

    async def ended() -> bool:
        return await database.fetch_one(RUNNING, {}) == (0,)

    await eventually(ended)


@pytest.mark.usefixtures("impatient")
async def test_a_request_that_gives_up_leaves_nothing_behind(database: AnyDatabase) -> None:
    """A storm of cancelled callers: afterwards everything answers, and no slot is lost."""
    for _ in range(3):
        callers = [
            asyncio.create_task(database.fetch_one(SLEEP, {"seconds": 0.2})) for _ in range(30)
        ]
        await asyncio.sleep(0.05)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
    await eventually(lambda: _answers(database))
    async with asyncio.timeout(5):
        await asyncio.gather(*(_answers(database) for _ in range(50)))


async def _answers(database: AnyDatabase) -> bool:
    try:
        return await database.fetch_one(ONE, {}) == (1,)
    except Unavailable:
        return False


@pytest.mark.usefixtures("impatient")
async def test_a_network_that_swallows_everything(opening: Opening, database_url: str) -> None:
    async with proxied(database_url) as (proxy, url), opening(url) as database:
        assert await _answers(database)
        proxy.freeze()
        async with asyncio.timeout(2.5):
            with pytest.raises(Unavailable):
                await database.fetch_one(ONE, {})
            with pytest.raises(Unavailable):
                await database.execute(Statement("test", "select 1", is_write=True), {})
        proxy.thaw()
        await eventually(lambda: _answers(database))


async def test_connections_that_died_in_their_sleep_are_not_noticed(database: AnyDatabase) -> None:
    await asyncio.gather(*(database.fetch_one(SLEEP, {"seconds": 0.05}) for _ in range(20)))
    await database.fetch_one(KILL, {})
    await asyncio.sleep(0.2)
    assert await database.execute(WRITE, {"text": "after"}) == 1
    results = await asyncio.gather(*(database.fetch_one(ONE, {}) for _ in range(20)))
    assert results == [(1,)] * 20


async def test_a_write_is_never_sent_twice(database: AnyDatabase) -> None:
    """The connection dies in the middle of it: 503, and at most one row."""
    writing = asyncio.create_task(database.execute(SLOW_WRITE, {"text": "once"}))
    await asyncio.sleep(0.3)
    await database.fetch_one(KILL, {})
    with pytest.raises(Unavailable):
        await writing
    await asyncio.sleep(1.2)
    assert await database.fetch_one(COUNT, {}) == (0,)


async def test_a_read_on_a_dying_connection_is_read_again(database_url: str) -> None:
    database = PipelineDatabase(database_url)
    await database.open()
    reading = asyncio.create_task(database.fetch_one(SLEEP, {"seconds": 0.6}))
    await asyncio.sleep(0.3)
    with psycopg.connect(database_url) as conn:
        conn.execute(KILL.sql)
    row = await reading
    assert row is not None
    assert row[1] == 7
    await database.close()


@pytest.mark.usefixtures("impatient")
async def test_without_a_server_it_says_so_and_goes_on_looking(opening: Opening) -> None:
    port = free_port()
    async with opening(f"postgresql://a:b@127.0.0.1:{port}/c") as database:
        async with asyncio.timeout(2):
            with pytest.raises(Unavailable):
                await database.fetch_one(ONE, {})


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_comes_later_is_found(opening: Opening, database_url: str) -> None:
    async with proxied(database_url) as (proxy, url):
        proxy.freeze()
        async with opening(url) as database:
            assert not await _answers(database)
            proxy.thaw()
            await eventually(lambda: _answers(database), 10)


@pytest.mark.usefixtures("impatient")
async def test_a_full_pool(database_url: str) -> None:
    """R13: who does not get a connection in time gets `Unavailable`, and then it is over."""
    database = PoolDatabase(database_url, size=1)
    await database.open()
    async with database.transaction() as transaction:
        async with asyncio.timeout(1):
            with pytest.raises(Unavailable):
                await database.fetch_one(ONE, {})
        await transaction.commit()
    assert await _answers(database)
    await database.close()


@pytest.mark.usefixtures("impatient")
async def test_a_full_pipeline(database_url: str) -> None:
    """What cannot be sent in time is `Unavailable`; what is under way is not disturbed."""
    database = PipelineDatabase(database_url)
    await database.open()
    room = pipeline_database.READERS * pipeline_connection.MAX_IN_FLIGHT
    sleepers = [
        asyncio.create_task(database.fetch_one(SLEEP, {"seconds": 0.02})) for _ in range(room)
    ]
    async with asyncio.timeout(2):
        results = await asyncio.gather(*sleepers, return_exceptions=True)
    assert all(isinstance(r, Unavailable) or (isinstance(r, tuple) and r[1] == 7) for r in results)
    await eventually(lambda: _answers(database))
    await database.close()


async def test_the_queue_of_a_pipeline_is_bounded(
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


async def test_closing_lets_what_is_under_way_finish(database_url: str) -> None:
    database = PipelineDatabase(database_url)
    await database.open()
    sleeper = asyncio.create_task(database.fetch_one(SLEEP, {"seconds": 0.3}))
    await asyncio.sleep(0.1)
    await database.close()
    row = await sleeper
    assert row is not None
    assert row[1] == 7


async def test_times_are_utc_wherever_the_server_lives(opening: Opening, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        name = conn.info.dbname
        conn.execute(f"alter database {name} set timezone = 'Asia/Kathmandu'")
    async with opening(database_url) as database:
        row = await database.fetch_one(
            Statement("test", "select '2026-11-20T18:00:00Z'::timestamptz"), {}
        )
    assert row is not None
    assert row[0].timestamp() == 1_795_197_600.0


async def test_what_a_row_holds_is_in_no_error(database: AnyDatabase) -> None:
    """Postgres quotes the row that it refuses, and a traceback would quote Postgres."""
    with pytest.raises(ConstraintViolated) as refused:
        await database.execute(WRITE, {"text": "no"})
    printed = "".join(traceback.format_exception(refused.value))
    assert "Failing row" not in printed
    assert not refused.value.is_foreign_key


async def test_a_column_that_has_gone_is_no_crash(database: AnyDatabase) -> None:
    """A plugin of the front end's was taken away, or our schema is behind."""
    for sql in ("select gone from notes", "select 1 from gone"):
        with pytest.raises(Unavailable):
            await database.fetch_one(Statement("test", sql), {})
