"""Migrations: bring the schema to head, and check whether it is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import psycopg
import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from adapters.postgres import better_auth_tables
from adapters.postgres.blocking import fetch_all
from adapters.postgres.catalog import ALL_TABLES, to_tables
from adapters.postgres.connection import conninfo
from adapters.postgres.current_layout import BetterAuthDatabase
from adapters.postgres.database import Database, Statement
from adapters.postgres.deletion_trigger import TriggerNotInstalled, install
from adapters.postgres.discovery import discover
from adapters.postgres.drift import CREATED_HERE
from adapters.postgres.layout import (
    ANY_LAYOUT,
    DEFAULT_SCHEMA,
    Layout,
    LayoutOptions,
    UnsupportedLayout,
)
from adapters.postgres.sessions import PostgresSessions
from adapters.postgres.tables import SCHEMA
from adapters.postgres.users import PostgresUsers

_SCRIPTS: Final = Path(__file__).parents[2] / "alembic"
# The number of the advisory lock that a migration holds: arbitrary, but the same in all versions.
_LOCK: Final = 8_295_742_001
_LOCK_SECONDS: Final = 60

_PING = Statement("health.ping", "select 1")
_HAS_REVISION = Statement(
    "health.has_revision", f"select to_regclass('{SCHEMA}.alembic_version') is not null"
)
_REVISION = Statement("health.revision", f"select version_num from {SCHEMA}.alembic_version")  # noqa: S608
_READ_TASKS = Statement(
    "health.read_tasks",
    f"select from {SCHEMA}.tasks where user_id = '' and id = 0",
)

_log = structlog.get_logger("taskport.postgres")


class SchemaError(Exception):
    """The database cannot be used. The message is one sentence for the operator."""


class TriggerMissing(SchemaError):
    """The role may not create the triggers that record deleted users."""


class DatabaseUnreachable(SchemaError):
    """The database cannot be connected to. Another attempt may succeed."""


def migrate(
    url: str,
    revision: str = "head",
    options: LayoutOptions = ANY_LAYOUT,
) -> None:
    """Upgrade the schema to a revision, in one transaction, one process at a time.

    Creates Better Auth's tables if nothing in the database could be them, and whatever of ours was
    lost. Raises `SchemaError`, `TriggerMissing`.
    """
    with connect(url) as conn:
        conn.execute(text(f"set local lock_timeout = '{_LOCK_SECONDS}s'"))
        conn.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        layout = _find_layout(conn, options)
        # `if not exists` would need the privilege to create a schema even if it exists.
        if conn.scalar(text(f"select to_regnamespace('{SCHEMA}') is null")):
            conn.execute(text(f"create schema {SCHEMA}"))
        if layout is None:
            layout = _create_better_auth_tables(conn, options)
            conn.execute(text(f"comment on schema {SCHEMA} is '{CREATED_HERE}'"))
        before = _revision(conn)
        if _is_behind(before):
            command.upgrade(_config(conn), revision)
            #: The schema was migrated from one revision to another.
            _log.info("database_migrated", before=before, after=_revision(conn))
        if not _is_behind(_revision(conn)) and layout.deletion_target is not None:
            try:
                install(conn, layout.deletion_target)
            except TriggerNotInstalled as missing:
                raise TriggerMissing(str(missing)) from missing


def downgrade(url: str, revision: str = "base") -> None:
    """Downgrade our tables to an older revision; Better Auth's stay as they are.

    Raises `SchemaError`.
    """
    with connect(url) as conn:
        conn.execute(text(f"set local lock_timeout = '{_LOCK_SECONDS}s'"))
        conn.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.downgrade(_config(conn), revision)


def check_ready(
    url: str,
    options: LayoutOptions = ANY_LAYOUT,
) -> Layout:
    """The layout of Better Auth's tables. Raises `SchemaError` if the database is not ready for
    this version.
    """
    with connect(url) as conn:
        layout = _find_layout(conn, options)
        if layout is None:
            _check_may_create(conn, options)
        if layout is None or _is_behind(_revision(conn)):
            raise SchemaError(
                "the database is not migrated to this version: run `taskport migrate`"
            )
        if conn.scalar(text("select lower('Ä') <> 'ä'")):
            raise SchemaError(
                "the database was created without a Unicode locale, so that searching ignores case"
                " for ASCII letters only: create one with `locale 'C.UTF-8'`"
            )
        return layout


def check_layout(url: str, options: LayoutOptions = ANY_LAYOUT) -> None:
    """Raises `SchemaError` if Better Auth's tables cannot be used."""
    with connect(url) as conn:
        _find_layout(conn, options)


def check_reachable(url: str) -> None:
    """Raises `SchemaError` if the database cannot be connected to."""
    with connect(url):
        pass


@contextmanager
def connect(url: str) -> Iterator[Connection]:
    """One transaction on a connection of its own. Raises `SchemaError`."""
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo(url)), poolclass=NullPool
    )
    try:
        try:
            connected = engine.connect()
        except DBAPIError as error:
            reason = _first_line(error.orig or error)
            raise DatabaseUnreachable(f"the database does not respond: {reason}") from error
        with connected as conn, conn.begin():
            # A migration may take longer than the role or a pooler allows by default.
            conn.execute(text("set local statement_timeout = 0"))
            yield conn
    except DBAPIError as error:
        raise SchemaError(
            f"the database reports an error: {_first_line(error.orig or error)}"
        ) from error
    finally:
        engine.dispose()


@dataclass(frozen=True, slots=True)
class PostgresHealth:
    """A `StorageHealth`."""

    database: Database
    better_auth: BetterAuthDatabase

    async def ping(self) -> None:
        await self.database.fetch_one(_PING, {})

    async def is_ready(self) -> bool:
        exists = await self.database.fetch_one(_HAS_REVISION, {})
        if exists is None or not exists[0]:
            return False
        row = await self.database.fetch_one(_REVISION, {})
        if _is_behind(None if row is None else row[0]):
            return False
        # Each request reads these tables: they must be there, and the role must be able to.
        await self.better_auth.layout.read()
        if (await self.better_auth.layout()).session is None:
            await PostgresUsers(self.better_auth).find_by_email("")
        else:
            await PostgresSessions(self.better_auth).find_by_token("")
        await self.database.fetch_one(_READ_TASKS, {})
        return True


def _find_layout(conn: Connection, options: LayoutOptions) -> Layout | None:
    try:
        return discover(to_tables(fetch_all(conn, ALL_TABLES)), options)
    except UnsupportedLayout as unsupported:
        raise SchemaError(str(unsupported)) from unsupported


def _check_may_create(conn: Connection, options: LayoutOptions) -> None:
    """Raises `SchemaError` if this service must not create Better Auth's tables."""
    schema = options.new_schema
    comment = conn.scalar(
        text("select obj_description(to_regnamespace(:name), 'pg_namespace')"), {"name": SCHEMA}
    )
    if not _is_behind(_revision(conn)) and comment != CREATED_HERE:
        raise SchemaError(
            "Better Auth's tables are gone, and Taskport did not create them: restore them, or run"
            " Better Auth's own migration"
        )
    if options.models:
        raise SchemaError(
            "BETTER_AUTH_MODELS names tables, but there is none that could be Better Auth's: run"
            " Better Auth's own migration first"
        )
    is_missing = text("select to_regnamespace(quote_ident(:name)) is null")
    if schema != SCHEMA and conn.scalar(is_missing, {"name": schema}):
        raise SchemaError(
            f'there is no schema "{schema}" for Better Auth\'s tables: create it, or correct'
            " BETTER_AUTH_SCHEMA"
        )


def _create_better_auth_tables(conn: Connection, options: LayoutOptions) -> Layout:
    """Create the tables of Better Auth's own migration. Raises `SchemaError`."""
    _check_may_create(conn, options)
    schema = options.new_schema
    if not options.schema and schema == DEFAULT_SCHEMA:
        _check_search_path(conn)
    better_auth_tables.create(conn, schema)
    #: The database had no table that could be Better Auth's.
    _log.info(
        "better_auth_tables_created",
        schema=schema,
        hint="Better Auth has its own elsewhere"
        if schema == SCHEMA
        else "with Drizzle or Prisma, let its own migration go first: on a database without them",
    )
    layout = _find_layout(conn, options)
    assert layout is not None
    return layout


def _revision(conn: Connection) -> str | None:
    context = MigrationContext.configure(conn, opts={"version_table_schema": SCHEMA})
    return context.get_current_revision()


def _check_search_path(conn: Connection) -> None:
    """Check that `public`, where we expect Better Auth's tables, comes first in the search path.

    By default, PostgreSQL puts a schema with the name of the role before it: for a role called
    `taskport`, that is ours.
    """
    role, database, first = conn.execute(
        text("select current_user, current_database(), current_schema()")
    ).one()
    if first != DEFAULT_SCHEMA:
        raise SchemaError(
            f'the search path of the role "{role}" begins with the schema "{first}", so that Better'
            f' Auth would not find its tables in "{DEFAULT_SCHEMA}": run `alter role "{role}"'
            f' in database "{database}" set search_path = {DEFAULT_SCHEMA}`'
        )


def _is_behind(revision: str | None) -> bool:
    """Whether a revision is behind. One that is unknown here is ahead: a newer version migrated."""
    return revision is None or revision in _older_revisions()


@cache
def _older_revisions() -> frozenset[str]:
    scripts = ScriptDirectory(str(_SCRIPTS))
    return frozenset(
        script.revision
        for script in scripts.walk_revisions()
        if script.revision != scripts.get_current_head()
    )


def _config(conn: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = conn
    return config


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
