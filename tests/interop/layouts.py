"""Layouts of Better Auth's tables, as its adapters for Drizzle and Kysely make them."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal, get_args

import psycopg
from psycopg import sql

from adapters.postgres.schema import migrate
from tests.interop.better_auth import better_auth, server
from tests.interop.nodejs import FOLDER, node
from tests.interop.sides import SharedSides
from tests.interop.taskport import NO_KEYS, SECRET, taskport
from tests.servers import PostgresServer

#: The version of Better Auth whose layouts these are.
VERSION: Final = "1.7.25"
#: The names of `node/layouts.mjs`, and of the dumps in `tests/layouts`.
Layout = Literal[
    "drizzle_default",
    "drizzle_plural",
    "kysely_custom",
    "kysely_default",
    "kysely_serial",
    "kysely_uuid",
]
LAYOUTS: Final[tuple[Layout, ...]] = get_args(Layout)
# Both are far from UTC, which Drizzle writes into its columns without a time zone.
_ZONE_OF_BETTER_AUTH: Final = "Asia/Tokyo"
_ZONE_OF_POSTGRES: Final = "America/New_York"
_NO_CHANGES: Final = "[i] No changes detected"
_CHANGED: Final = "[✓] Changes applied"


@asynccontextmanager
async def sides_of_layout(
    postgres: PostgresServer, layout: Layout, version: str = VERSION
) -> AsyncIterator[SharedSides]:
    """Better Auth with tables of its own tool, and Taskport, which finds them."""
    with postgres.database(template="template0") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            name = sql.Identifier(connection.info.dbname)
            connection.execute(
                sql.SQL("alter database {} set timezone = {}").format(name, _ZONE_OF_POSTGRES)
            )
        create_tables(url, layout, version)
        migrate(url)
        with server(
            url, secret=SECRET, version=version, layout=layout, tz=_ZONE_OF_BETTER_AUTH
        ) as better_auth:
            async with taskport(url, better_auth.origin, better_auth_jwks_url=NO_KEYS) as shared:
                yield SharedSides(better_auth, shared, url)


def create_tables(url: str, layout: Layout, version: str = VERSION) -> None:
    """Create Better Auth's tables with the front end's own tool. Raises `RuntimeError`."""
    if not _is_of_drizzle(layout):
        better_auth(url, "run", LAYOUT=layout, VERSION=version)
        return
    output = _drizzle_kit_push(url, layout)
    if _CHANGED not in output:
        raise RuntimeError(output)


def proposed_changes(url: str, layout: Layout) -> str:
    """The changes that the front end's own tool would make in the database, or an empty text."""
    if not _is_of_drizzle(layout):
        sql: str = better_auth(url, LAYOUT=layout, VERSION=VERSION)["sql"]
        return sql.rstrip(";")
    # With `--strict` it asks before each change, and without a terminal it fails then.
    output = _drizzle_kit_push(url, layout, "--strict", "--verbose")
    return "" if _NO_CHANGES in output else output


def _is_of_drizzle(layout: Layout) -> bool:
    return layout.startswith("drizzle_")


def _drizzle_kit_push(url: str, layout: Layout, *options: str) -> str:
    """The output of `drizzle-kit push`, which succeeds even if it changed nothing because it
    needs a terminal."""
    schema = f"./drizzle/{layout.removeprefix('drizzle_')}.mjs"
    finished = subprocess.run(
        [
            node(),
            "node_modules/drizzle-kit/bin.cjs",
            "push",
            "--dialect=postgresql",
            f"--schema={schema}",
            f"--url={url}",
            *options,
        ],
        cwd=FOLDER,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=60,
    )
    return finished.stdout
