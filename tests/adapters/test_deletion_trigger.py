"""The triggers on the table of users: any names and types, installed once, mended if changed."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import text

from adapters.postgres.catalog import CatalogTable
from adapters.postgres.deletion_trigger import TriggerNotInstalled, find_missing, install
from adapters.postgres.layout import DeletionTarget
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.schema import connect, migrate
from tests.servers import PostgresServer

pytestmark = pytest.mark.postgres

CREATED: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IDS: Final[dict[str, list[str]]] = {
    "text": ["Zoë O'Neil", "$1 %s\\", "x"],
    "varchar(36)": ["a", "B", "c"],
    "uuid": [f"0000000{n}-0000-7000-8000-00000000abcd" for n in range(3)],
    "integer": ["1", "-2", "30"],
    "bigint": ["1", "9007199254740993", "9223372036854775807"],
}
TIMES: Final = {
    "timestamptz": True,
    "timestamptz(3)": True,
    "timestamp": False,
    "timestamp(3)": False,
}
PLAIN: Final = ("auth", "users", "id", "created_at")
QUOTED: Final = ('My "Schema"', "Us'er s%", "I'd\\ %I", 'crea"ted\nAt $1')
DELETIONS: Final = ["delete from {}", "truncate {}"]


def quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


class Users:
    """A table of users, and the triggers on it."""

    def __init__(
        self,
        url: str,
        names: tuple[str, str, str, str] = PLAIN,
        id_type: str = "text",
        created_type: str = "timestamptz",
    ) -> None:
        schema, table, id_column, created_column = names
        self.url = url
        self.schema, self.table = quoted(schema), quoted(schema, table)
        self.id, self.created = quoted(id_column), quoted(created_column)
        self.types = id_type, created_type
        self.arguments: dict[str, Any] = {
            "table": CatalogTable(
                oid=0,
                schema=schema,
                name=table,
                is_view=False,
                columns=(),
                unique=frozenset(),
                foreign_keys=(),
            ),
            "id_column": id_column,
            "created_column": created_column,
            "created_has_zone": TIMES.get(created_type, False),
        }
        self.run(
            f"create schema {self.schema}",
            f"create table {self.table} ({self.id} {id_type} primary key,"
            f" {self.created} {created_type}, name text)",
        )

    def run(self, *statements: str) -> list[Any]:
        """Run statements in one transaction, and return the rows of the last."""
        with psycopg.connect(self.url, cursor_factory=psycopg.RawCursor) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def add(self, *ids: str, created: str | None = CREATED.isoformat()) -> None:
        """Each with a task. A time without a zone is in UTC."""
        id_type, created_type = self.types
        with psycopg.connect(self.url, cursor_factory=psycopg.RawCursor) as connection:
            for id in ids:
                connection.execute(
                    f"insert into {self.table} ({self.id}, {self.created})"
                    f" values ($1::text::{id_type}, $2::text::{created_type})".encode(),
                    (id, created),
                )
                connection.execute("insert into taskport.owners (id) values ($1)", (id,))
                connection.execute(
                    "insert into taskport.tasks"
                    " (user_id, title, status, version, created_at, updated_at)"
                    " values ($1, 'x', 'Pending', 1, now(), now())",
                    (id,),
                )

    def install(self, **arguments: Any) -> None:
        with connect(self.url) as connection:
            install(connection, DeletionTarget(**{**self.arguments, **arguments}))

    def is_installed(self, **arguments: Any) -> bool:
        return asyncio.run(self._is_installed(DeletionTarget(**{**self.arguments, **arguments})))

    async def _is_installed(self, target: DeletionTarget) -> bool:
        database = PoolDatabase(self.url, size=1)
        await database.open()
        missing = await find_missing(database, target)
        await database.close()
        return not missing

    def deleted(self) -> dict[str, datetime | None]:
        """The time of creation of each deleted user. None of them has a task."""
        marked = "deleted_at = last_deleted_at and deleted_at > now() - interval '1 hour'"
        found = self.run(f"select id, created_at from taskport.owners where {marked}")
        left = self.run("select distinct user_id from taskport.tasks")
        assert not {id for id, _ in found} & {id for (id,) in left}
        return dict(found)


@pytest.fixture
def users(database_url: str) -> Users:
    return Users(database_url)


@pytest.mark.parametrize("created_type", TIMES)
@pytest.mark.parametrize("id_type", IDS)
@pytest.mark.parametrize("names", [PLAIN, QUOTED], ids=["plain", "quoted"])
def test_any_names_and_types(
    database_url: str, names: tuple[str, str, str, str], id_type: str, created_type: str
) -> None:
    """A row is recorded with its `id::text`, in whatever session it is deleted."""
    users = Users(database_url, names, id_type, created_type)
    assert not users.is_installed()
    users.install()
    assert users.is_installed()
    first, *others = IDS[id_type]
    users.add(first, *others)
    texts = users.run(f"select {users.id}::text from {users.table}")
    assert {id for (id,) in texts} == {first, *others}
    session = "set timezone = 'America/New_York'", "set datestyle = 'German'"
    literal = first.replace("'", "''")
    users.run(*session, f"delete from {users.table} where {users.id}::text = '{literal}'")
    assert users.deleted() == {first: CREATED}
    users.run(*session, f"truncate {users.table}")
    assert users.deleted() == dict.fromkeys((first, *others), CREATED)


@pytest.mark.parametrize("deletion", DELETIONS)
@pytest.mark.parametrize(
    ("created_type", "created", "recorded"),
    [
        ("timestamptz", None, None),
        ("timestamp", None, None),
        ("text", "yesterday, or so", None),
        ("bigint", "1767323045", None),
    ],
)
def test_time_of_creation_that_cannot_be_read(
    database_url: str, created_type: str, created: str | None, recorded: None, deletion: str
) -> None:
    users = Users(database_url, created_type=created_type)
    users.install()
    users.add("ann", created=created)
    users.run(deletion.format(users.table))
    assert users.deleted() == {"ann": recorded}


@pytest.mark.parametrize("deletion", DELETIONS)
def test_table_without_a_time_of_creation(users: Users, deletion: str) -> None:
    users.install(created_column=None, created_has_zone=False)
    assert users.is_installed(created_column=None, created_has_zone=False)
    users.add("ann")
    users.run(deletion.format(users.table))
    assert users.deleted() == {"ann": None}


@pytest.mark.parametrize("deletion", DELETIONS)
def test_renamed_columns_break_no_deletion(users: Users, deletion: str) -> None:
    """Without its id, a row cannot be recorded until the triggers know the new name."""
    users.install()
    users.add("ann", "bob")
    users.run(f"alter table {users.table} rename created_at to born")
    users.run("""delete from auth.users where id = 'ann'""")
    assert users.deleted() == {"ann": None}
    users.run(f"alter table {users.table} rename id to key", deletion.format(users.table))
    assert users.deleted() == {"ann": None}
    assert not users.is_installed(id_column="key", created_column="born")
    users.install(id_column="key", created_column="born")
    assert users.is_installed(id_column="key", created_column="born")
    users.run("insert into auth.users (key, born) values ('eve', '2026-01-02 03:04:05+00')")
    users.run(deletion.format(users.table))
    assert users.deleted() == {"ann": None, "eve": CREATED}


@pytest.mark.parametrize("deletion", DELETIONS)
def test_renamed_table_and_schema(users: Users, deletion: str) -> None:
    users.install()
    users.add("ann")
    users.run("alter table auth.users rename to people", "alter schema auth rename to identity")
    users.run(deletion.format("identity.people"))
    assert users.deleted() == {"ann": CREATED}


@pytest.mark.parametrize(
    "change",
    [
        "drop trigger taskport_delete_owner on auth.users",
        "drop trigger taskport_delete_all_owners on auth.users",
        "alter table auth.users disable trigger taskport_delete_owner",
        "alter table auth.users disable trigger all",
        "alter table auth.users enable replica trigger taskport_delete_all_owners",
        "create or replace trigger taskport_delete_owner after delete on auth.users"
        " for each row when (old.name = 'x')"
        " execute function taskport.delete_owner('id', 'created_at', 'with zone')",
        "create or replace trigger taskport_delete_owner after insert on auth.users"
        " for each row execute function taskport.delete_owner('id', 'created_at', 'with zone')",
        "create or replace trigger taskport_delete_owner after delete on auth.users"
        " for each row execute function taskport.delete_owner('name')",
        "drop table auth.users; create table auth.users"
        " (id text primary key, created_at timestamptz, name text)",
    ],
)
def test_changed_triggers_are_mended(users: Users, change: str) -> None:
    users.install()
    users.run(*change.split(";"))
    assert not users.is_installed()
    users.install()
    assert users.is_installed()
    for deletion in DELETIONS:
        users.run("truncate taskport.owners, taskport.tasks")
        users.add("ann")
        users.run(deletion.format(users.table))
        assert users.deleted() == {"ann": CREATED}


def test_installed_triggers_are_left_alone(users: Users) -> None:
    """Without a lock on the table, and without privileges."""
    users.install()
    marks = "select oid, xmin::text from pg_trigger where tgrelid = 'auth.users'::regclass"
    before = users.run(marks)
    with psycopg.connect(users.url) as connection:
        connection.execute("lock table auth.users in row exclusive mode")
        with connect(users.url) as installing:
            installing.execute(text("set local lock_timeout = '1ms'"))
            install(installing, DeletionTarget(**users.arguments))
    assert users.run(marks) == before


def test_missing_table_has_no_triggers(users: Users) -> None:
    users.run("drop schema auth cascade")
    assert not users.is_installed()


@pytest.fixture
def role(postgres_18_server: PostgresServer) -> Iterator[str]:
    """A role that may do nothing on the tables of others."""
    with psycopg.connect(postgres_18_server.url, autocommit=True) as connection:
        connection.execute("create role \"mig'rator\" login password 'x'")
        yield "mig'rator"
        connection.execute('drop role "mig\'rator"')


def test_role_that_may_not_create_triggers(role: str, empty_database_url: str) -> None:
    """The message contains the statement that permits it, for the owner of the table."""
    url = re.sub(r"//[^@]*@", "//mig'rator:x@", empty_database_url)
    database = url.rpartition("/")[2]
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(
            f"grant create on database {database} to {quoted(role)};"
            f" grant create on schema public to {quoted(role)}".encode()
        )
    migrate(url)
    users = Users(empty_database_url)
    users.run(
        f"grant usage on schema auth to {quoted(role)}",
        f"grant select on auth.users to {quoted(role)}",
    )
    with pytest.raises(TriggerNotInstalled) as raised, connect(url) as connection:
        install(connection, DeletionTarget(**users.arguments))
    [cure] = re.findall("`(.*)`", str(raised.value))
    users.run(cure)
    with connect(url) as connection:
        install(connection, DeletionTarget(**users.arguments))
    users.add("ann", "bob")
    users.run("delete from auth.users where id = 'ann'", "truncate auth.users")
    assert users.deleted() == dict.fromkeys(("ann", "bob"), CREATED)
