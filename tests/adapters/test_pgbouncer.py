"""Statements, transactions and migrations through PgBouncer in transaction mode."""

import asyncio
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres.database import Statement
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.schema import check_ready, migrate
from adapters.postgres_server.loopback import free_port
from adapters.postgres_server.os_user import OsUser
from tests.requirements import program
from tests.servers import passable_folder, wait_for

pytestmark = [pytest.mark.postgres, pytest.mark.debian]

ECHO = Statement("test", "select $1::int + 0", ("number",))
WRITE = Statement("test", "insert into numbers values ($1)", ("number",), is_write=True)


@pytest.fixture
def pooled_url(database_url: str) -> Iterator[str]:
    """A PgBouncer with four server connections, in transaction mode."""
    server = conninfo_to_dict(database_url)
    port = free_port()
    pgbouncer = program("pgbouncer", "pgbouncer", "/usr/sbin")
    with passable_folder() as folder:
        config, users = folder / "pgbouncer.ini", folder / "users.txt"
        users.write_text(f'"{server["user"]}" "{server["password"]}"\n')
        config.write_text(
            f"""[databases]
{server["dbname"]} = host=127.0.0.1 port={server["port"]}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = 4
"""
        )
        process = subprocess.Popen(
            [pgbouncer, "-q", str(config)], stderr=subprocess.DEVNULL, **OsUser.choose().options
        )
        url = database_url.replace(f":{server['port']}/", f":{port}/")
        try:
            wait_for(url, process)
            yield url
        finally:
            process.kill()
            process.wait(10)


@pytest.mark.parametrize("kind", [PoolDatabase, PipelineDatabase])
async def test_r1_r2_load_through_a_pooler_causes_no_error(
    kind: type[PoolDatabase | PipelineDatabase], pooled_url: str
) -> None:
    """No prepared statements, startup options or session settings are used."""
    with psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None) as conn:
        conn.execute("create table numbers (number int)")
    database = kind(pooled_url)
    await database.open()

    async def client(number: int) -> None:
        for turn in range(60):
            row = await database.fetch_one(ECHO, {"number": number * 100 + turn})
            assert row == (number * 100 + turn,)
            await database.execute(WRITE, {"number": turn})
            async with database.transaction() as transaction:
                await transaction.execute(WRITE, {"number": turn})
                if turn % 2:
                    await transaction.commit()

    await asyncio.gather(*(client(number) for number in range(8)))
    row = await database.fetch_one(Statement("test", "select count(*) from numbers"), {})
    assert row == (8 * 60 + 8 * 30,)
    await database.close()


async def test_r1_prepared_statements_fail_through_a_pooler(pooled_url: str) -> None:
    """Proves that the test above can fail."""
    failed = 0

    async def client() -> None:
        nonlocal failed
        for _ in range(20):
            try:
                async with await psycopg.AsyncConnection.connect(
                    pooled_url, autocommit=True, prepare_threshold=0
                ) as conn:
                    for _ in range(3):
                        await conn.execute("select 1")
            except psycopg.Error:
                failed += 1

    await asyncio.gather(*(client() for _ in range(8)))
    assert failed > 0


def test_migrations_through_a_pooler(pooled_url: str) -> None:
    """Not recommended, but the advisory lock of a transaction works there, too."""
    migrate(pooled_url)
    check_ready(pooled_url)
