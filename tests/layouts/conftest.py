"""One migrated and served database for each layout, shared by the tests of this folder."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

import psycopg
import pytest

from tests.interop.taskport import NO_KEYS, Taskport, taskport
from tests.layouts import commands
from tests.layouts.better_auth import BetterAuth
from tests.layouts.dump import BY_NAME, DUMPS, Dump
from tests.servers import PostgresServer

ORIGIN: Final = "http://localhost:3000"
#: The layouts whose ids, times or names differ most, on Debian's PostgreSQL, too.
_ON_15: Final = ("drizzle_uuid", "kysely_serial")


@dataclass(frozen=True)
class Layout:
    """A layout in a database that `taskport migrate` has seen."""

    dump: Dump
    url: str
    #: `pg_dump` of Better Auth's schema before.
    schema: str
    migrated: commands.Outcome
    rows: BetterAuth


@dataclass(frozen=True)
class Served(Layout):
    """A layout, and the application that serves it."""

    taskport: Taskport


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param(("18", dump.name), id=dump.name) for dump in DUMPS),
        *(
            pytest.param(("15", name), id=f"{name} on 15", marks=pytest.mark.debian)
            for name in _ON_15
        ),
    ],
)
def layout(request: pytest.FixtureRequest) -> Iterator[Layout]:
    """Each layout that is supported, after the migration."""
    version, name = request.param
    server: PostgresServer = request.getfixturevalue(f"postgres_{version}_server")
    dump = BY_NAME[name]
    with server.database(template="template0") as url:
        # Times without a zone are in UTC whatever the zone of the sessions is.
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                f"alter database {connection.info.dbname} set timezone = 'Asia/Tokyo'".encode()
            )
        dump.load(url)
        schema = commands.their_schema(url)
        migrated = commands.taskport(url, "migrate")
        yield Layout(dump, url, schema, migrated, BetterAuth(url, dump))


@pytest.fixture(scope="module")
async def served(layout: Layout) -> AsyncIterator[Served]:
    """Each layout that is supported, served."""
    assert layout.migrated.code == 0, layout.migrated
    async with taskport(layout.url, ORIGIN, better_auth_jwks_url=NO_KEYS) as app:
        yield Served(**vars(layout), taskport=app)
