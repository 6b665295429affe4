"""Fixtures of the tests of adapters."""

import re
from collections.abc import Iterator

import psycopg
import pytest

from adapters.postgres.current_layout import CurrentLayout
from adapters.postgres.grants import grants
from adapters.postgres.layout import ANY_LAYOUT
from adapters.postgres.pool_database import PoolDatabase
from tests.adapters.serving import ROLE, execute
from tests.servers import PostgresServer


@pytest.fixture(scope="module")
def role(postgres_18_server: PostgresServer) -> Iterator[str]:
    with psycopg.connect(postgres_18_server.url, autocommit=True) as connection:
        connection.execute(f"create role {ROLE} login password 'x'")
        yield ROLE
        connection.execute(f"drop role {ROLE}")


@pytest.fixture
async def serving_url(role: str, database_url: str) -> str:
    """The URL of a role that has what `taskport grants` prints, and nothing else."""
    database = PoolDatabase(database_url)
    await database.open()
    layout = await CurrentLayout(database, ANY_LAYOUT)()
    await database.close()
    execute(database_url, grants(layout, role))
    return re.sub(r"//[^@]*@", f"//{role}:x@", database_url)
