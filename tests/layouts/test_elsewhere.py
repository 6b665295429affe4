"""Databases of a service whose sessions Better Auth keeps elsewhere, `BETTER_AUTH_SESSIONS`."""

import asyncio
import re
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest
from alembic import command

from adapters.postgres import schema
from adapters.postgres.current_layout import BetterAuthDatabase, CurrentLayout
from adapters.postgres.layout import LayoutOptions
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.schema import (
    PostgresHealth,
    SchemaError,
    check_ready,
    downgrade,
    migrate,
)
from tests.interop.taskport import NO_KEYS
from tests.layouts import commands
from tests.layouts.dump import KYSELY, WITHOUT_SESSIONS
from tests.servers import PostgresServer

pytestmark = pytest.mark.postgres

ELSEWHERE: Final = LayoutOptions(has_sessions=False)
#: Nothing listens there. On the port of `BETTER_AUTH_URL`, other tests have a server.
SETTINGS: Final = {
    "BETTER_AUTH_SESSIONS": NO_KEYS.removesuffix("/jwks"),
    "BETTER_AUTH_JWKS_URL": NO_KEYS,
}
TABLES: Final = {"user", "session", "account", "verification"}
USER: Final = (
    'insert into {}."user" (id, name, email, "emailVerified")'
    " values ('ann', '', 'a@b.co', true)"
)
SESSIONS: Final = (
    'create table session (id text primary key, "expiresAt" timestamptz not null,'
    ' token text not null unique, "createdAt" timestamptz not null,'
    ' "updatedAt" timestamptz not null, "ipAddress" text, "userAgent" text,'
    ' "userId" text not null references "user" on delete cascade)'
)
TASK: Final = (
    "insert into taskport.owners (id, created_at)"
    ' select id, "createdAt" from taskport."user";'
    " insert into taskport.tasks (user_id, title, status, version, created_at, updated_at)"
    " values ('ann', 'Buy milk', 'Pending', 1, now(), now())"
)


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def tables(url: str) -> dict[str, set[str]]:
    """The names of the tables, by schema."""
    found: dict[str, set[str]] = {}
    for name, table in rows(
        url, "select schemaname, tablename from pg_tables where schemaname !~ '^(pg_|info)'"
    ):
        found.setdefault(str(name), set()).add(str(table))
    return found


def run(url: str, *arguments: str, **settings: str) -> commands.Outcome:
    return commands.taskport(url, *arguments, **SETTINGS, **settings)


def check(url: str, **settings: str) -> commands.Outcome:
    """`taskport check`, whose one problem is that no Better Auth is there."""
    checked = run(url, "check", **settings)
    assert checked.refusal.endswith("until it does, sessions are 503")
    return checked


async def is_ready(url: str) -> bool:
    database = PoolDatabase(url)
    await database.open()
    try:
        layout = CurrentLayout(database, ELSEWHERE)
        return await PostgresHealth(database, BetterAuthDatabase(database, layout)).is_ready()
    finally:
        await database.close()


@pytest.fixture
def role(postgres_18_server: PostgresServer) -> Iterator[str]:
    with psycopg.connect(postgres_18_server.url, autocommit=True) as connection:
        connection.execute("create role elsewhere login password 'x'")
        yield "elsewhere"
        connection.execute("drop role elsewhere")


def test_empty_database(postgres_18_server: PostgresServer, role: str) -> None:
    """Tables of our own hold the users, and `check` finds nothing for a role with its grants."""
    with postgres_18_server.database(template="template0") as url:
        with pytest.raises(SchemaError, match="taskport migrate"):
            check_ready(url, ELSEWHERE)
        assert run(url, "migrate").code == 0
        made = tables(url)
        assert set(made) == {"taskport"}
        assert made["taskport"] > TABLES
        dump = rows(url, "select oid, xmin from pg_class order by oid")
        assert run(url, "migrate").code == 0
        assert rows(url, "select oid, xmin from pg_class order by oid") == dump
        granted = run(url, "grants", role)
        assert granted.code == 0
        execute(url, granted.out)
        serving_url = re.sub(r"//[^@]*@", f"//{role}:x@", url)
        checked = check(serving_url)
        for word in ("trigger", "privilege", "created Better Auth's tables", "forget"):
            assert word not in checked.out
        assert asyncio.run(is_ready(serving_url))


def test_downgrade_and_upgrade(empty_database_url: str) -> None:
    """Better Auth's tables in our schema stay, and are no difference from the models."""
    url = empty_database_url
    migrate(url, options=ELSEWHERE)
    with schema.connect(url) as connection:
        command.check(schema._config(connection))
    execute(url, USER.format("taskport"))
    before = tables(url)
    downgrade(url, "0003")
    with pytest.raises(SchemaError, match="which the older version needs"):
        downgrade(url)
    migrate(url, options=ELSEWHERE)
    assert tables(url) == before
    check_ready(url, ELSEWHERE)
    assert rows(url, 'select id from taskport."user"') == [("ann",)]


def test_from_remote_to_database(empty_database_url: str) -> None:
    """Refused, until Better Auth's own tables are there."""
    url = empty_database_url
    migrate(url, options=ELSEWHERE)
    before = commands.catalog(url)
    for name in ("migrate", "check"):
        assert "BETTER_AUTH_SESSIONS" in commands.taskport(url, name).refusal
    assert commands.catalog(url) == before
    KYSELY.load(url)
    assert commands.taskport(url, "migrate").code == 0
    assert check_ready(url).user.catalog.schema == "public"
    # Which users are meant by the former mode cannot be told.
    refusal = run(url, "check").refusal
    assert "BETTER_AUTH_SCHEMA" in refusal
    for name in ("public", "taskport"):
        options = LayoutOptions(schema=name, has_sessions=False)
        assert check_ready(url, options).user.catalog.schema == name


def test_better_auths_migration_after_ours(empty_database_url: str) -> None:
    """Its users are not overlooked, whose deletions can be seen."""
    url = empty_database_url
    migrate(url, options=ELSEWHERE)
    WITHOUT_SESSIONS.load(url)
    assert "BETTER_AUTH_SCHEMA to public" in run(url, "check").refusal
    check(url, BETTER_AUTH_SCHEMA="taskport")
    assert run(url, "migrate", BETTER_AUTH_SCHEMA="public").code == 0
    options = LayoutOptions(schema="public", has_sessions=False)
    assert check_ready(url, options).session is None


def test_from_database_to_remote(database_url: str) -> None:
    """The users stay where they are."""
    migrate(database_url, options=ELSEWHERE)
    assert check_ready(database_url, ELSEWHERE).user.catalog.schema == "public"
    assert not tables(database_url)["taskport"] & TABLES


@pytest.mark.parametrize("columns", ["id int primary key", "id int, email text, image text"])
def test_users_of_an_application(empty_database_url: str, columns: str) -> None:
    """Refused as long as they might be Better Auth's; the sentence says how to go on."""
    url = empty_database_url
    execute(url, f"create table users ({columns})")
    assert "BETTER_AUTH_SCHEMA" in (refusal := run(url, "migrate").refusal)
    assert "taskport" in refusal
    assert run(url, "migrate", BETTER_AUTH_SCHEMA="taskport").code == 0
    # Found without the setting then, and with other tables of the application.
    execute(
        url, "create table sessions (id text, token text, expires_at timestamptz, user_id text)"
    )
    for settings in ({}, {"BETTER_AUTH_SCHEMA": "taskport"}):
        check(url, **settings)
    assert tables(url)["public"] == {"users", "sessions"}


def test_better_auths_tables_without_sessions(empty_database_url: str) -> None:
    url = empty_database_url
    WITHOUT_SESSIONS.load(url)
    before = commands.their_schema(url)
    # Tables of an application, which are no sessions of Better Auth's.
    execute(url, "create schema app")
    execute(
        url, "create table app.sessions (id text, token text, expires_at timestamptz, user_id text)"
    )
    assert run(url, "migrate").code == 0
    layout = check_ready(url, ELSEWHERE)
    assert (layout.session, layout.user.catalog.schema) == (None, "public")
    execute(url, "drop schema app cascade")
    assert commands.their_schema(url) == before
    check(url)


def test_sessions_that_are_stored_as_well_later(empty_database_url: str) -> None:
    """Better Auth then finds a session that has ended in Redis alone."""
    url = empty_database_url
    WITHOUT_SESSIONS.load(url)
    migrate(url, options=ELSEWHERE)

    async def sessions_before_and_after() -> list[bool]:
        database = PoolDatabase(url)
        await database.open()
        try:
            layout = CurrentLayout(database, ELSEWHERE)
            before = await layout()
            execute(url, SESSIONS)
            after = await layout.read()
            return [known.session is not None for known in (before, after)]
        finally:
            await database.close()

    assert asyncio.run(sessions_before_and_after()) == [False, True]


def test_forget(empty_database_url: str) -> None:
    """The user with all that it owns, who cannot be deleted in another way."""
    url = empty_database_url
    migrate(url, options=ELSEWHERE)
    execute(url, USER.format("taskport"), TASK)
    assert "no former account" in run(url, "forget", "bob").refusal
    assert run(url, "forget", "ann").code == 0
    assert rows(url, 'select id from taskport."user"') == []
    assert rows(url, "select id from taskport.tasks") == []
    [(deleted,)] = rows(url, "select last_deleted_at from taskport.owners where id = 'ann'")
    assert deleted is not None
