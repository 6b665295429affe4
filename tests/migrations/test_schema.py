"""The schema: migrations, their agreement with the models, and the plans of statements."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from sqlalchemy import text

from adapters.postgres import schema
from adapters.postgres.better_auth_tables import TABLE_NAMES
from adapters.postgres.schema import SchemaError, check_ready, connect, downgrade, migrate
from adapters.postgres.tables import METADATA, SCHEMA
from adapters.postgres.tasks import list_statement, list_values
from domain.tasks import TaskQuery, TaskSort, TaskStatus
from tests.servers import PostgresServer, postgres_programs

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]


def dump(url: str, name: str) -> str:
    """The definition of a schema by `pg_dump`, without comments and random marks."""
    completed = subprocess.run(
        [postgres_programs() / "pg_dump", "--schema-only", f"--schema={name}", "--no-owner", url],
        capture_output=True,
        text=True,
        check=True,
    )
    # The comment on our schema tells whether we created Better Auth's tables.
    noise = re.compile(r"--|\\(un)?restrict|COMMENT ON SCHEMA")
    return "\n".join(
        line for line in completed.stdout.splitlines() if line and not noise.match(line)
    )


def rows(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchall()


def test_models_and_migrations_do_not_drift(database_url: str, empty_database_url: str) -> None:
    """Alembic finds no difference; `pg_dump` none in what Alembic ignores (checks, storage)."""
    with connect(database_url) as conn:
        command.check(schema._config(conn))
    with connect(empty_database_url) as conn:
        conn.execute(text(f"create schema {SCHEMA}"))
        METADATA.create_all(conn)
    ours = re.sub(
        r"CREATE FUNCTION .*?\n *\$_?\$;\n", "", dump(database_url, SCHEMA), flags=re.DOTALL
    )
    migrated = [
        part
        for part in ours.rstrip(";").split(";\n")
        if "alembic_version" not in part and not part.startswith("REVOKE ALL ON FUNCTION")
    ]
    assert migrated == dump(empty_database_url, SCHEMA).rstrip(";").split(";\n")


def test_names_of_better_auths_constraints(database_url: str) -> None:
    names = rows(
        database_url,
        "select conname from pg_constraint where connamespace = 'public'::regnamespace"
        " and contype <> 'n'",
    )
    assert {name for (name,) in names} == {
        *(f"{table}_pkey" for table in (*TABLE_NAMES, "jwks")),
        "user_email_key",
        "session_token_key",
        "session_userId_fkey",
        "account_userId_fkey",
    }


def test_storage_parameters_of_tasks(database_url: str) -> None:
    [(options,)] = rows(
        database_url, "select reloptions from pg_class where oid = 'taskport.tasks'::regclass"
    )
    assert {"fillfactor=90", "autovacuum_vacuum_scale_factor=0.02"} <= set(options)


def test_every_time_has_a_time_zone(database_url: str) -> None:
    kinds = rows(
        database_url,
        "select distinct data_type from information_schema.columns"
        " where data_type like 'timestamp%' and table_schema in ('public', 'taskport')",
    )
    assert kinds == [("timestamp with time zone",)]


@pytest.fixture(scope="module")
def large_url(postgres_18_server: PostgresServer) -> Any:
    """100,000 tasks of 100 users."""
    with postgres_18_server.database() as url:
        with psycopg.connect(url) as conn:
            conn.execute(
                'insert into "user" (id, name, email, "emailVerified")'
                " select 'user ' || n, '', n || '@example.com', false"
                " from generate_series(0, 99) n"
            )
            conn.execute(
                "insert into taskport.owners (id) select 'user ' || n from generate_series(0, 99) n"
            )
            conn.execute(
                "insert into taskport.tasks"
                " (user_id, title, status, version, created_at, updated_at)"
                " select 'user ' || n % 100, 'task ' || n, 'Pending', 1,"
                " now() - n * interval '1 second', now() from generate_series(1, 100000) n"
            )
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("vacuum analyze taskport.tasks")
        yield url


def plan(url: str, query: TaskQuery) -> str:
    statement = list_statement(query.status is not None, query.q is not None, query.sort)
    values = list_values("user 7", query)
    with psycopg.connect(url, cursor_factory=psycopg.RawCursor) as conn:
        lines = conn.execute(f"explain {statement.sql}", statement.bind(values)).fetchall()
    return "\n".join(line for (line,) in lines)


@pytest.mark.parametrize(
    "sort", [TaskSort.CREATED_AT, TaskSort.CREATED_AT_DESCENDING], ids=["oldest", "newest"]
)
def test_default_order_is_read_from_the_index(large_url: str, sort: TaskSort) -> None:
    """Nothing is sorted below the limit."""
    found = plan(large_url, TaskQuery(limit=20, sort=sort))
    below_limit = found[found.index("Limit") :]
    assert re.search(
        r"Index Scan( Backward)? using tasks_user_id_created_at_id_idx", below_limit
    ), found
    assert "Sort" not in below_limit
    assert re.search(r"Index Only Scan using tasks_(pkey|user_id_created_at_id_idx)", found)
    assert "Seq Scan" not in found


@pytest.mark.parametrize("sort", TaskSort)
@pytest.mark.parametrize("status", [None, TaskStatus.PENDING])
@pytest.mark.parametrize("q", [None, "9"])
def test_lists_read_only_the_tasks_of_their_user(
    large_url: str, sort: TaskSort, status: TaskStatus | None, q: str | None
) -> None:
    found = plan(large_url, TaskQuery(sort=sort, status=status, q=q))
    assert re.search("tasks_(pkey|user_id_created_at_id_idx)", found)
    assert "Seq Scan" not in found, found


def test_concurrent_migrations(empty_database_url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(migrate, [empty_database_url] * 6))
    check_ready(empty_database_url)


def test_migration_waits_for_another(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process holds the advisory lock, nothing is migrated."""
    monkeypatch.setattr(schema, "_LOCK_SECONDS", 1)
    with psycopg.connect(empty_database_url) as conn:
        conn.execute("select pg_advisory_xact_lock(%s)", (schema._LOCK,))
        with pytest.raises(SchemaError, match="lock timeout"):
            migrate(empty_database_url)
    migrate(empty_database_url)


def test_unmigrated_database_is_not_ready(empty_database_url: str) -> None:
    with pytest.raises(SchemaError, match="taskport migrate"):
        check_ready(empty_database_url)


def test_newer_schema_is_accepted(database_url: str) -> None:
    """During an upgrade, the old version runs on the schema of the new one."""
    with psycopg.connect(database_url) as conn:
        conn.execute("update taskport.alembic_version set version_num = 'from the future'")
    migrate(database_url)
    check_ready(database_url)


def test_failed_migration_changes_nothing(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as conn:
        conn.execute("create schema taskport")
        conn.execute("create table taskport.tasks (id int)")
    before = dump(empty_database_url, "public")
    with pytest.raises(SchemaError, match="already exists"):
        migrate(empty_database_url)
    assert dump(empty_database_url, "public") == before


def test_downgrade_and_upgrade(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute(
            'insert into "user" (id, name, email, "emailVerified") values (%s, %s, %s, %s)',
            ("u", "", "u@example.com", False),
        )
    before = dump(database_url, "public")
    downgrade(database_url)
    assert rows(database_url, "select to_regclass('taskport.tasks')") == [(None,)]
    left = dump(database_url, "public").splitlines()
    gone = [line for line in before.splitlines() if line not in left]
    assert left == [line for line in before.splitlines() if line not in gone]
    # The only objects of ours on a table of Better Auth's.
    assert [line.split()[:3] for line in gone] == [
        ["CREATE", "TRIGGER", "taskport_delete_all_owners"],
        ["CREATE", "TRIGGER", "taskport_delete_owner"],
    ]
    assert rows(database_url, 'select id from "user"') == [("u",)]
    migrate(database_url)
    check_ready(database_url)


def test_alembic_commands(database_url: str) -> None:
    """They find the migrations, and use the database of the settings."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": database_url,
        "BETTER_AUTH_SECRET": "0123456789abcdef" * 2,
    }
    for arguments in (("check",), ("current",)):
        completed = subprocess.run(
            [sys.executable, "-m", "alembic.config", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert completed.returncode == 0, completed.stderr
    assert "(head)" in completed.stdout


def test_role_with_another_search_path_is_rejected(
    empty_database_url: str, postgres_18_server: PostgresServer
) -> None:
    """Of a role with the name of our schema, the search path begins with that schema."""
    with psycopg.connect(postgres_18_server.url, autocommit=True) as conn:
        conn.execute("drop role if exists taskport")
        conn.execute("create role taskport superuser login password 'x'")
    url = re.sub(r"//[^@]*@", "//taskport:x@", empty_database_url)
    with pytest.raises(SchemaError, match="set search_path = public") as raised:
        migrate(url)
    statement = re.search(r"`(.*)`", str(raised.value))
    assert statement is not None
    with psycopg.connect(url) as conn:
        conn.execute(statement[1].encode())
    migrate(url)
    check_ready(url)


def test_role_without_the_privilege_to_create_is_rejected(
    empty_database_url: str, postgres_18_server: PostgresServer
) -> None:
    with psycopg.connect(postgres_18_server.url, autocommit=True) as conn:
        conn.execute("drop role if exists guest")
        conn.execute("create role guest login password 'x'")
    url = re.sub(r"//[^@]*@", "//guest:x@", empty_database_url)
    with pytest.raises(SchemaError, match="permission denied for database"):
        migrate(url)


def test_role_without_privileges_can_migrate_if_there_is_nothing_to_do(
    database_url: str, postgres_18_server: PostgresServer
) -> None:
    """`serve` needs no `--no-migrate` if another role has migrated."""
    with psycopg.connect(postgres_18_server.url, autocommit=True) as conn:
        conn.execute("drop role if exists worker")
        conn.execute("create role worker login password 'x'")
    with psycopg.connect(database_url) as conn:
        conn.execute("grant usage on schema taskport, public to worker")
        conn.execute("grant select on all tables in schema taskport, public to worker")
    migrate(re.sub(r"//[^@]*@", "//worker:x@", database_url))


def test_unreachable_database() -> None:
    with pytest.raises(schema.DatabaseUnreachable) as raised:
        migrate("postgresql://ann:canary@127.0.0.1:1/db")
    assert "canary" not in str(raised.value)
    assert "\n" not in str(raised.value)
