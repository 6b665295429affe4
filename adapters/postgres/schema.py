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

from adapters.postgres.better_auth_tables import UnsupportedTables, check_tables, create_missing
from adapters.postgres.connection import conninfo
from adapters.postgres.database import Database, Statement
from adapters.postgres.deletion_trigger import TriggerNotInstalled, install
from adapters.postgres.tables import BETTER_AUTH_SCHEMA, SCHEMA

_SCRIPTS: Final = Path(__file__).parents[2] / "alembic"
# The number of the advisory lock that a migration holds: arbitrary, but the same in all versions.
_LOCK: Final = 8_295_742_001
_LOCK_SECONDS: Final = 60

_PING = Statement("health.ping", "select 1")
_HAS_REVISION = Statement(
    "health.has_revision", f"select to_regclass('{SCHEMA}.alembic_version') is not null"
)
_REVISION = Statement("health.revision", f"select version_num from {SCHEMA}.alembic_version")  # noqa: S608

_log = structlog.get_logger("taskport.postgres")


class SchemaError(Exception):
    """The database cannot be used. The message is one sentence for the operator."""


class DatabaseUnreachable(SchemaError):
    """The database cannot be connected to. Another attempt may succeed."""


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade the schema to a revision, in one transaction, one process at a time.

    Raises `SchemaError`.
    """
    with connect(url) as conn:
        conn.execute(text(f"set local lock_timeout = '{_LOCK_SECONDS}s'"))
        conn.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _check_better_auth_tables(conn)
        # `if not exists` would need the privilege to create a schema even if it exists.
        if conn.scalar(text(f"select to_regnamespace('{SCHEMA}') is null")):
            conn.execute(text(f"create schema {SCHEMA}"))
        _check_search_path(conn)
        before = _revision(conn)
        if _is_behind(before):
            create_missing(conn)
            command.upgrade(_config(conn), revision)
            #: The schema was migrated from one revision to another.
            _log.info("database_migrated", before=before, after=_revision(conn))
        if not _is_behind(_revision(conn)):
            _install_triggers(conn)


def downgrade(url: str, revision: str = "base") -> None:
    """Downgrade our tables to an older revision; Better Auth's stay as they are.

    Raises `SchemaError`.
    """
    with connect(url) as conn:
        conn.execute(text(f"set local lock_timeout = '{_LOCK_SECONDS}s'"))
        conn.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.downgrade(_config(conn), revision)


def check_ready(url: str) -> None:
    """Raises `SchemaError` if the database is not ready for this version."""
    with connect(url) as conn:
        _check_better_auth_tables(conn)
        _check_search_path(conn)
        if _is_behind(_revision(conn)):
            raise SchemaError(
                "the database is not migrated to this version: run `taskport migrate`"
            )
        if conn.scalar(text("select lower('Ä') <> 'ä'")):
            raise SchemaError(
                "the database was created without a Unicode locale, so that searching ignores case"
                " for ASCII letters only: create one with `locale 'C.UTF-8'`"
            )


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

    async def ping(self) -> None:
        await self.database.fetch_one(_PING, {})

    async def is_behind(self) -> bool:
        exists = await self.database.fetch_one(_HAS_REVISION, {})
        if exists is None or not exists[0]:
            return True
        row = await self.database.fetch_one(_REVISION, {})
        return _is_behind(None if row is None else row[0])


def _check_better_auth_tables(conn: Connection) -> None:
    try:
        check_tables(conn)
    except UnsupportedTables as unsupported:
        raise SchemaError(str(unsupported)) from unsupported


def _install_triggers(conn: Connection) -> None:
    """Create the triggers on the table of users, if that exists. Raises `SchemaError`."""
    created_type = conn.scalar(
        text(
            "select data_type from information_schema.columns where table_schema = :schema"
            " and table_name = 'user' and column_name = 'createdAt'"
        ),
        {"schema": BETTER_AUTH_SCHEMA},
    )
    if created_type is None:
        return
    try:
        install(
            conn,
            schema=BETTER_AUTH_SCHEMA,
            table="user",
            id_column="id",
            created_column="createdAt",
            created_has_zone=created_type == "timestamp with time zone",
        )
    except TriggerNotInstalled as missing:
        raise SchemaError(str(missing)) from missing


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
    if first != BETTER_AUTH_SCHEMA:
        raise SchemaError(
            f'the search path of the role "{role}" begins with the schema "{first}", so that Better'
            f' Auth would not find its tables in "{BETTER_AUTH_SCHEMA}": run `alter role "{role}"'
            f' in database "{database}" set search_path = {BETTER_AUTH_SCHEMA}`'
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
