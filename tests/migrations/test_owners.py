"""Owners: the triggers that record deleted users, and the locks of the writers."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors

from adapters.postgres.better_auth_tables import TABLE_NAMES, statements
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.schema import SchemaError, check_ready, downgrade, migrate
from adapters.postgres.sessions import PostgresSessions
from adapters.postgres.users import PostgresUsers
from application.authentication import Authenticate
from application.ports.credentials import Claims, CredentialKind, Credentials, UserProof
from domain.users import UnknownUser, User
from tests.conftest import FixedClock
from tests.databases import better_auth
from tests.servers import PostgresServer

pytestmark = pytest.mark.postgres

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FRONT_END, BACK_END = "deleting_front_end", "deleting_back_end"


def sql(url: str, *statements: str) -> list[Any]:
    """Run statements in autocommit mode, and return the rows of the last."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def insert(*ids: str) -> str:
    rows = ", ".join(f"('{id}', '', '{id}@example.com', false)" for id in ids)
    return f'insert into "user" (id, name, email, "emailVerified") values {rows}'


DELETED = "select id, deleted_at from taskport.owners where deleted_at is not null"


def deleted_users(url: str) -> dict[str, datetime]:
    assert sql(url, f"{DELETED} and last_deleted_at is distinct from deleted_at") == []
    return dict(sql(url, DELETED))


def own(user_id: str) -> str:
    """A statement that gives a user an owner with a task."""
    return f"""
        with owner as (insert into taskport.owners (id) values ('{user_id}') returning id)
        insert into taskport.tasks (user_id, title, status, version, created_at, updated_at)
        select id, 'x', 'Pending', 1, now(), now() from owner
    """


def now(url: str) -> datetime:
    [(time,)] = sql(url, "select clock_timestamp()")
    assert isinstance(time, datetime)
    return time


def as_role(url: str, role: str) -> str:
    return re.sub(r"//[^@]*@", f"//{role}:x@", url)


@pytest.fixture
def roles(postgres_18_server: PostgresServer) -> Iterator[None]:
    """The roles of the front end and ours: no superusers, and not members of each other."""
    url = postgres_18_server.url
    sql(url, *(f"create role {role} login password 'x'" for role in (FRONT_END, BACK_END)))
    yield
    sql(url, *(f"drop role {role}" for role in (FRONT_END, BACK_END)))


@pytest.fixture
def owner_url(roles: None, empty_database_url: str) -> str:
    """A database in which Better Auth's tables belong to the front end's role."""
    url = empty_database_url
    sql(
        url,
        f"grant create on schema public to {FRONT_END}",
        f"grant create on database {url.rpartition('/')[2]} to {BACK_END}",
    )
    sql(
        as_role(url, FRONT_END),
        *statements("public"),
        "grant select, insert, update, delete, references, trigger on all tables in schema public"
        f" to {BACK_END}",
    )
    return url


def test_deletion_is_recorded_with_its_time(database_url: str) -> None:
    sql(database_url, insert("ann", "bob"))
    before = now(database_url)
    sql(database_url, """delete from "user" where id = 'ann'""")
    [(id, deleted_at)] = deleted_users(database_url).items()
    assert id == "ann"
    assert before <= deleted_at <= now(database_url)
    assert sql(database_url, 'select id from "user"') == [("bob",)]


def test_recorded_time_is_not_the_start_of_the_transaction(database_url: str) -> None:
    """A token that is issued during a long transaction is older than the deletion."""
    sql(database_url, insert("ann"))
    with psycopg.connect(database_url) as connection:
        connection.execute("select now()")
        meanwhile = now(database_url)
        connection.execute('delete from "user"')
    assert deleted_users(database_url)["ann"] > meanwhile


def test_second_deletion_updates_the_recorded_time(database_url: str) -> None:
    sql(database_url, insert("ann"), 'delete from "user"', insert("ann"))
    meanwhile = now(database_url)
    assert deleted_users(database_url)["ann"] < meanwhile
    sql(database_url, 'delete from "user"')
    assert deleted_users(database_url)["ann"] > meanwhile


def test_deletion_that_is_rolled_back_is_not_recorded(database_url: str) -> None:
    sql(database_url, insert("ann"))
    with psycopg.connect(database_url) as connection:
        connection.execute('delete from "user"')
        assert connection.execute("select count(*) from taskport.owners").fetchone() == (1,)
        connection.rollback()
    assert deleted_users(database_url) == {}


def test_other_statements_are_not_recorded(database_url: str) -> None:
    sql(
        database_url,
        insert("ann"),
        """delete from "user" where id = 'bob'""",
        "update \"user\" set name = 'x'",
        "delete from session",
    )
    assert deleted_users(database_url) == {}


def test_truncate_is_recorded_for_every_user(database_url: str) -> None:
    """It does not fire row triggers, but one of its own."""
    sql(database_url, insert("ann", "bob"), own("ann"), 'truncate "user" cascade')
    assert deleted_users(database_url).keys() == {"ann", "bob"}
    assert sql(database_url, "select count(*) from taskport.tasks") == [(0,)]


def test_migration_creates_lost_triggers(database_url: str) -> None:
    """Also if there is nothing else to migrate."""
    sql(
        database_url,
        'drop trigger taskport_delete_owner on "user"',
        'alter table "user" disable trigger taskport_delete_all_owners',
    )
    migrate(database_url)
    sql(database_url, insert("ann"), 'delete from "user"', insert("bob"), 'truncate "user" cascade')
    assert deleted_users(database_url).keys() == {"ann", "bob"}


def test_deletion_of_many_users(database_url: str) -> None:
    """With all of their tasks."""
    sql(
        database_url,
        'insert into "user" (id, name, email, "emailVerified")'
        " select 'u' || n, '', n || '@example.com', false from generate_series(1, 10000) n",
        "insert into taskport.owners (id) select 'u' || n from generate_series(1, 5000) n",
        "insert into taskport.tasks (user_id, title, status, version, created_at, updated_at)"
        " select 'u' || n, 'x', 'Pending', 1, now(), now() from generate_series(1, 5000) n",
        'delete from "user"',
    )
    assert deleted_users(database_url).keys() == {f"u{n}" for n in range(1, 10_001)}
    assert sql(database_url, "select count(*) from taskport.tasks") == [(0,)]


def test_role_without_privileges_on_our_schema_can_delete_users(owner_url: str) -> None:
    """The deletion is recorded, though the role cannot read the records."""
    migrate(as_role(owner_url, BACK_END))
    front_end = as_role(owner_url, FRONT_END)
    sql(front_end, insert("ann", "bob"))
    sql(
        as_role(owner_url, BACK_END),
        own("ann"),
    )
    for forbidden in (
        "select * from taskport.owners",
        "delete from taskport.owners",
        "select taskport.delete_owner()",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            sql(front_end, forbidden)
    sql(front_end, """delete from "user" where id = 'ann'""")
    assert deleted_users(owner_url).keys() == {"ann"}
    assert sql(owner_url, "select count(*) from taskport.tasks") == [(0,)]


def test_privilege_to_delete_is_sufficient(owner_url: str) -> None:
    """Neither role owns the table here: it belongs to an administrator."""
    migrate(owner_url)
    sql(owner_url, *(f'alter table "{table}" owner to postgres' for table in TABLE_NAMES))
    sql(owner_url, f'grant select, insert, delete on "user" to {FRONT_END}')
    sql(as_role(owner_url, FRONT_END), insert("ann"), 'delete from "user"')
    assert deleted_users(owner_url).keys() == {"ann"}


def test_function_does_not_use_the_search_path_of_its_caller(owner_url: str) -> None:
    """It runs with the privileges of its owner (`security definer`)."""
    migrate(as_role(owner_url, BACK_END))
    front_end = as_role(owner_url, FRONT_END)
    sql(front_end, "create table public.log (who text)", insert("ann", "bob"))
    sql(owner_url, f"grant insert on public.log to {BACK_END}")
    # In the schemas that a caller can put first: one of its own, and the temporary one.
    malicious = (
        "create function {}.clock_timestamp() returns timestamptz language sql as $$"
        " insert into public.log values (current_user); select timestamptz 'epoch' $$"
    )
    with psycopg.connect(front_end, autocommit=True) as connection:
        connection.execute(malicious.format("public").encode())
        connection.execute(malicious.format("pg_temp").encode())
        connection.execute("create temp table owners (id text primary key, deleted_at text)")
        connection.execute("set search_path = pg_temp, public, pg_catalog")
        connection.execute("""delete from public."user" where id = 'ann'""")
        assert connection.execute("select * from pg_temp.owners").fetchall() == []
    assert sql(owner_url, "select who from log") == []
    assert deleted_users(owner_url)["ann"] > now(owner_url) - MINUTE


def test_other_roles_cannot_use_the_function(owner_url: str) -> None:
    """With a trigger on a table of its own, a role could record any user as deleted."""
    migrate(as_role(owner_url, BACK_END))
    with pytest.raises(errors.InsufficientPrivilege):
        sql(
            as_role(owner_url, FRONT_END),
            "create table mine (id text)",
            "create trigger mine after delete on mine"
            " for each row execute function taskport.delete_owner()",
        )


def test_downgrade_drops_the_trigger_on_a_table_of_another_role(owner_url: str) -> None:
    """And an upgrade creates it again."""
    back_end = as_role(owner_url, BACK_END)
    for _ in range(2):
        migrate(back_end)
        check_ready(back_end)
        assert triggers_and_functions(owner_url) == [
            "delete_owner",
            "move_tasks",
            "taskport_delete_all_owners",
            "taskport_delete_owner",
        ]
        downgrade(back_end, "0001")
        assert triggers_and_functions(owner_url) == []
        sql(as_role(owner_url, FRONT_END), insert("ann"), 'delete from "user"')
        assert sql(owner_url, "select id from taskport.deleted_users") == []
    with pytest.raises(SchemaError, match="taskport migrate"):
        check_ready(back_end)


def test_downgrade_to_base(database_url: str) -> None:
    downgrade(database_url)
    assert triggers_and_functions(database_url) == []
    sql(database_url, insert("ann"), 'delete from "user"')


def triggers_and_functions(url: str) -> list[str]:
    """Our functions, and our triggers on Better Auth's tables."""
    found = sql(
        url,
        "select proname::text from pg_proc where pronamespace = 'taskport'::regnamespace"
        " union all select tgname from pg_trigger where tgrelid = 'public.\"user\"'::regclass"
        " and not tgisinternal order by 1",
    )
    return [name for (name,) in found]


@pytest.fixture
async def users(database_url: str) -> AsyncIterator[PostgresUsers]:
    database = PipelineDatabase(database_url)
    await database.open()
    yield PostgresUsers(better_auth(database))
    await database.close()


async def test_user_deleted_by_the_front_end_is_not_created_again(
    users: PostgresUsers, database_url: str
) -> None:
    """A token from before the deletion neither finds nor creates its user."""
    ann = User.create(id="ann", email="ann@example.com", now=now(database_url))
    await users.introduce(ann, issued_at=None)
    sql(database_url, """delete from "user" where id = 'ann'""")
    deleted_at = deleted_users(database_url)["ann"]
    for issued_at in (None, deleted_at - MINUTE, deleted_at):
        with pytest.raises(UnknownUser):
            await users.get("ann", issued_at=issued_at)
        with pytest.raises(UnknownUser):
            await users.introduce(ann, issued_at=issued_at)
    assert sql(database_url, 'select id from "user"') == []
    for issued_at in (deleted_at + MINUTE, deleted_at + HOUR):
        with pytest.raises(UnknownUser):
            await users.introduce(ann, issued_at=issued_at)
    later = deleted_at + HOUR + timedelta.resolution
    await users.introduce(ann, issued_at=later)
    assert await users.get("ann", issued_at=later) == ann
    with pytest.raises(UnknownUser):
        await users.get("ann", issued_at=deleted_at)


class FixedAuthenticator:
    """An `Authenticator` that accepts every request with the same proof."""

    def __init__(self, proof: UserProof) -> None:
        self.proof = proof

    async def __call__(self, credentials: Credentials) -> list[UserProof]:
        return [self.proof]


async def test_shared_secret_token_does_not_create_a_deleted_user(
    users: PostgresUsers, database_url: str, clock: FixedClock
) -> None:
    """A shared-secret token creates its user if there is none, unless the user was deleted."""
    clock.time = now(database_url) - MINUTE
    claims = Claims("ann@example.com", "Ann", None, email_verified=None, updated_at=None)
    proof = UserProof(CredentialKind.SHARED_SECRET, "ann", clock.now(), claims)
    sessions = PostgresSessions(users.database)
    authenticate = Authenticate(FixedAuthenticator(proof), users, sessions, clock)
    assert (await authenticate(Credentials())).user.email == "ann@example.com"
    sql(database_url, 'delete from "user"')
    for _ in range(2):
        with pytest.raises(UnknownUser):
            await authenticate(Credentials())
    assert sql(database_url, 'select id from "user"') == []
