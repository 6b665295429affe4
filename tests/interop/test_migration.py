"""Our migration and Better Auth's own on one database, in either order."""

import subprocess
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg.rows import dict_row

from adapters.postgres.better_auth_tables import TABLE_NAMES
from adapters.postgres.schema import SchemaError, check_ready, downgrade, migrate
from adapters.postgres_server.binaries import PostgresBinaries
from adapters.postgres_server.os_user import OsUser
from tests.interop.better_auth import better_auth

pytestmark = [
    pytest.mark.node,
    pytest.mark.postgres,
    pytest.mark.usefixtures("node_modules"),
]

Rows = dict[str, list[dict[str, Any]]]

NOTHING_TO_DO: Final = {"toBeCreated": [], "toBeAdded": [], "sql": ";", "problems": []}
INSERT_TASK: Final = """
    with owner as (insert into taskport.owners (id) values (%s) returning id)
    insert into taskport.tasks (user_id, title, status, version, created_at, updated_at)
    select id, 'Buy milk', 'Pending', 1, now(), now() from owner
"""
DRIZZLE_USER: Final = """
    create table "user" (
        id text primary key,
        name text not null,
        email text not null unique,
        email_verified boolean default false not null,
        image text,
        "createdAt" timestamp default now() not null,
        "updatedAt" timestamp default now() not null
    )
"""


def test_better_auths_migration_has_nothing_to_do_after_ours(database_url: str) -> None:
    """All tables, columns and indexes that Better Auth needs exist, with the right types."""
    assert better_auth(database_url) == NOTHING_TO_DO


def test_both_migrations_create_the_same_tables(database_url: str, empty_database_url: str) -> None:
    better_auth(empty_database_url, "run")

    assert public_schema(database_url) == public_schema(empty_database_url)


def test_our_migration_does_not_change_better_auths_tables(empty_database_url: str) -> None:
    """Nor their rows."""
    better_auth(empty_database_url, "run")
    user_id = sign_up(empty_database_url)
    tables, rows = public_schema(empty_database_url), better_auth_rows(empty_database_url)

    migrate(empty_database_url)

    check_ready(empty_database_url)
    assert public_schema(empty_database_url) == tables
    assert better_auth_rows(empty_database_url) == rows
    assert [len(rows[name]) for name in ("user", "account", "session")] == [1, 1, 1]
    assert better_auth(empty_database_url) == NOTHING_TO_DO
    insert_task(empty_database_url, user_id)


def test_better_auth_signs_up_users_in_tables_of_our_migration(database_url: str) -> None:
    """Their tasks are deleted with them."""
    user_id = sign_up(database_url)
    insert_task(database_url, user_id)

    with psycopg.connect(database_url) as connection:
        connection.execute('delete from "user" where id = %s', [user_id])

    assert scalar(database_url, "select count(*) from taskport.tasks") == 0


def test_downgrade_keeps_better_auths_tables(empty_database_url: str) -> None:
    """It removes the tasks and nothing else; the database can be migrated again."""
    better_auth(empty_database_url, "run")
    user_id = sign_up(empty_database_url)
    tables, rows = public_schema(empty_database_url), better_auth_rows(empty_database_url)
    migrate(empty_database_url)
    insert_task(empty_database_url, user_id)

    downgrade(empty_database_url)

    assert public_schema(empty_database_url) == tables
    assert better_auth_rows(empty_database_url) == rows
    assert not exists(empty_database_url, "taskport.tasks")
    assert better_auth(empty_database_url) == NOTHING_TO_DO
    migrate(empty_database_url)
    insert_task(empty_database_url, user_id)


def test_downgrade_keeps_better_auths_tables_that_our_migration_created(database_url: str) -> None:
    """They contain Better Auth's users."""
    insert_task(database_url, sign_up(database_url))
    tables, rows = public_schema(database_url), better_auth_rows(database_url)

    downgrade(database_url)

    assert public_schema(database_url) == tables
    assert better_auth_rows(database_url) == rows
    assert not exists(database_url, "taskport.tasks")
    assert better_auth(database_url) == NOTHING_TO_DO


def test_table_of_a_plugin_is_left_to_better_auth(empty_database_url: str) -> None:
    """A front end that adds the jwt plugin later creates the table itself."""
    better_auth(empty_database_url, "run", PLUGINS="none")
    sign_up(empty_database_url, PLUGINS="none")

    migrate(empty_database_url)

    check_ready(empty_database_url)
    assert better_auth(empty_database_url, PLUGINS="none") == NOTHING_TO_DO
    assert better_auth(empty_database_url)["toBeCreated"] == ["jwks"]


def test_users_without_other_tables_are_rejected(empty_database_url: str) -> None:
    """They may be the application's: the error names them, and the database is not changed."""
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(DRIZZLE_USER)
    tables = public_schema(empty_database_url)

    assert '"public"."user" could be' in migration_error(empty_database_url)

    assert public_schema(empty_database_url) == tables
    assert not has_our_schema(empty_database_url)


def sign_up(url: str, **settings: str) -> str:
    """Sign a user up at Better Auth: the user's id."""
    user_id = better_auth(url, "sign-up", "ada@example.com", **settings)["user"]["id"]
    assert isinstance(user_id, str)
    return user_id


def insert_task(url: str, user_id: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(INSERT_TASK, [user_id])


def better_auth_rows(url: str) -> Rows:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return {
            table: connection.execute(f'select * from public."{table}" order by id').fetchall()
            for table in TABLE_NAMES
        }


def public_schema(url: str) -> str:
    """The schema `public` as `pg_dump` writes it, without lines that differ from run to run, and
    without our trigger."""
    pg_dump = PostgresBinaries.find(Path(), OsUser(None, None)).folder / "pg_dump"
    command = [str(pg_dump), "--schema=public", "--schema-only", f"--dbname={url}"]
    dump = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    noise = ("CREATE TRIGGER taskport_", "--", "\\restrict ", "\\unrestrict ")
    return "\n".join(line for line in dump.splitlines() if line and not line.startswith(noise))


def migration_error(url: str) -> str:
    """The message, a single line, with which our migration fails."""
    with pytest.raises(SchemaError) as caught:
        migrate(url)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def exists(url: str, table: str) -> bool:
    return scalar(url, f"select to_regclass('{table}') is not null") is True


def has_our_schema(url: str) -> bool:
    return scalar(url, "select to_regnamespace('taskport') is not null") is True


def scalar(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
