"""Deleted accounts are remembered, whoever deletes them: a trigger on Better Auth's table."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors

from adapters.postgres.better_auth_tables import TABLES
from adapters.postgres.optional_columns import OptionalColumns
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.schema import SchemaError, check_ready, downgrade, migrate
from adapters.postgres.sessions import PostgresSessions
from adapters.postgres.users import PostgresUsers
from application.authentication import Authenticate
from application.ports.credentials import Claims, CredentialKind, Credentials, UserProof
from domain.users import UnknownUser, User
from tests.conftest import FixedClock
from tests.servers import PostgresServer

pytestmark = pytest.mark.postgres

MINUTE = timedelta(minutes=1)
FRONT_END, BACK_END = "deleting_front_end", "deleting_back_end"


def sql(url: str, *statements: str) -> list[Any]:
    """Runs them, each on its own; the rows of the last."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def insert(*ids: str) -> str:
    rows = ", ".join(f"('{id}', '', '{id}@example.com', false)" for id in ids)
    return f'insert into "user" (id, name, email, "emailVerified") values {rows}'


def remembered(url: str) -> dict[str, datetime]:
    return dict(sql(url, "select id, deleted_at from taskport.deleted_users"))


def now(url: str) -> datetime:
    [(time,)] = sql(url, "select clock_timestamp()")
    assert isinstance(time, datetime)
    return time


def as_role(url: str, role: str) -> str:
    return re.sub(r"//[^@]*@", f"//{role}:x@", url)


@pytest.fixture
def roles(postgres_18_server: PostgresServer) -> Iterator[None]:
    """The front end's and ours: neither is a superuser, nor a member of the other."""
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
        *(statement for statements in TABLES.values() for statement in statements),
        "grant select, insert, update, delete, references, trigger on all tables in schema public"
        f" to {BACK_END}",
    )
    return url


def test_a_deletion_by_anybody_is_remembered_with_its_time(database_url: str) -> None:
    sql(database_url, insert("ann", "bob"))
    before = now(database_url)
    sql(database_url, """delete from "user" where id = 'ann'""")
    [(id, deleted_at)] = remembered(database_url).items()
    assert id == "ann"
    assert before <= deleted_at <= now(database_url)
    assert sql(database_url, 'select id from "user"') == [("bob",)]


def test_the_time_is_that_of_the_deletion_and_not_of_its_transaction(database_url: str) -> None:
    """Whatever was issued while a long transaction was open is from before."""
    sql(database_url, insert("ann"))
    with psycopg.connect(database_url) as connection:
        connection.execute("select now()")
        meanwhile = now(database_url)
        connection.execute('delete from "user"')
    assert remembered(database_url)["ann"] > meanwhile


def test_who_is_deleted_again_is_remembered_with_the_newer_time(database_url: str) -> None:
    sql(database_url, insert("ann"), 'delete from "user"', insert("ann"))
    meanwhile = now(database_url)
    assert remembered(database_url)["ann"] < meanwhile
    sql(database_url, 'delete from "user"')
    assert remembered(database_url)["ann"] > meanwhile


def test_a_deletion_that_is_undone_is_not_remembered(database_url: str) -> None:
    sql(database_url, insert("ann"))
    with psycopg.connect(database_url) as connection:
        connection.execute('delete from "user"')
        assert connection.execute("select count(*) from taskport.deleted_users").fetchone() == (1,)
        connection.rollback()
    assert remembered(database_url) == {}


def test_what_deletes_nobody_is_not_remembered(database_url: str) -> None:
    sql(
        database_url,
        insert("ann"),
        """delete from "user" where id = 'bob'""",
        "update \"user\" set name = 'x'",
        "delete from session",
    )
    assert remembered(database_url) == {}


def test_a_table_that_is_emptied_forgets(database_url: str) -> None:
    """`truncate` knows no rows: whoever starts again with nothing starts again with nobody."""
    sql(database_url, insert("ann"), 'truncate "user" cascade')
    assert remembered(database_url) == {}
    sql(database_url, insert("ann"))


def test_many_are_deleted_at_once(database_url: str) -> None:
    """With all that they own."""
    sql(
        database_url,
        'insert into "user" (id, name, email, "emailVerified")'
        " select 'u' || n, '', n || '@example.com', false from generate_series(1, 10000) n",
        "insert into taskport.tasks (user_id, title, status, version, created_at, updated_at)"
        " select 'u' || n, 'x', 'Pending', 1, now(), now() from generate_series(1, 10000) n",
        'delete from "user"',
    )
    assert remembered(database_url).keys() == {f"u{n}" for n in range(1, 10_001)}
    assert sql(database_url, "select count(*) from taskport.tasks") == [(0,)]


def test_a_role_that_knows_nothing_of_ours_can_delete_its_users(owner_url: str) -> None:
    """And the tombstone, which it may not see, is written."""
    migrate(as_role(owner_url, BACK_END))
    front_end = as_role(owner_url, FRONT_END)
    sql(front_end, insert("ann", "bob"))
    sql(
        as_role(owner_url, BACK_END),
        "insert into taskport.tasks (user_id, title, status, version, created_at, updated_at)"
        " values ('ann', 'x', 'Pending', 1, now(), now())",
    )
    for forbidden in (
        "select * from taskport.deleted_users",
        "delete from taskport.deleted_users",
        "select taskport.remember_deleted_user()",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            sql(front_end, forbidden)
    sql(front_end, """delete from "user" where id = 'ann'""")
    assert remembered(owner_url).keys() == {"ann"}
    assert sql(owner_url, "select count(*) from taskport.tasks") == [(0,)]


def test_a_role_that_only_deletes_needs_no_more_than_that(owner_url: str) -> None:
    """Neither role owns the table here: an administrator made it."""
    migrate(owner_url)
    sql(owner_url, *(f'alter table "{table}" owner to postgres' for table in TABLES))
    sql(owner_url, f'grant select, insert, delete on "user" to {FRONT_END}')
    sql(as_role(owner_url, FRONT_END), insert("ann"), 'delete from "user"')
    assert remembered(owner_url).keys() == {"ann"}


def test_the_function_cannot_be_made_to_run_anything_else(owner_url: str) -> None:
    """It runs as its owner, so nothing in it may be looked up where its caller says."""
    migrate(as_role(owner_url, BACK_END))
    front_end = as_role(owner_url, FRONT_END)
    sql(front_end, "create table public.log (who text)", insert("ann", "bob"))
    sql(owner_url, f"grant insert on public.log to {BACK_END}")
    # In the schemas that a caller can put first: one of its own, and the temporary one.
    spy = (
        "create function {}.clock_timestamp() returns timestamptz language sql as $$"
        " insert into public.log values (current_user); select timestamptz 'epoch' $$"
    )
    with psycopg.connect(front_end, autocommit=True) as connection:
        connection.execute(spy.format("public").encode())
        connection.execute(spy.format("pg_temp").encode())
        connection.execute("create temp table deleted_users (id text primary key, deleted_at text)")
        connection.execute("set search_path = pg_temp, public, pg_catalog")
        connection.execute("""delete from public."user" where id = 'ann'""")
        assert connection.execute("select * from pg_temp.deleted_users").fetchall() == []
    assert sql(owner_url, "select who from log") == []
    assert remembered(owner_url)["ann"] > now(owner_url) - MINUTE


def test_nobody_else_can_put_the_function_to_use(owner_url: str) -> None:
    """Whoever could hang it on a table of their own would lock out whom they like."""
    migrate(as_role(owner_url, BACK_END))
    with pytest.raises(errors.InsufficientPrivilege):
        sql(
            as_role(owner_url, FRONT_END),
            "create table mine (id text)",
            "create trigger mine after delete on mine"
            " for each row execute function taskport.remember_deleted_user()",
        )


def test_down_again_where_the_table_is_somebody_elses(owner_url: str) -> None:
    """The trigger goes, though it hangs on a table that we do not own; and comes again."""
    back_end = as_role(owner_url, BACK_END)
    for _ in range(2):
        migrate(back_end)
        check_ready(back_end)
        assert traces(owner_url) == ["remember_deleted_user", "taskport_remember_deleted_user"]
        downgrade(back_end, "0001")
        assert traces(owner_url) == []
        sql(as_role(owner_url, FRONT_END), insert("ann"), 'delete from "user"')
        assert remembered(owner_url) == {}
    with pytest.raises(SchemaError, match="taskport migrate"):
        check_ready(back_end)


def test_down_to_nothing(database_url: str) -> None:
    downgrade(database_url)
    assert traces(database_url) == []
    sql(database_url, insert("ann"), 'delete from "user"')


def traces(url: str) -> list[str]:
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
    yield PostgresUsers(database, OptionalColumns(database))
    await database.close()


async def test_who_was_deleted_on_the_other_side_does_not_come_back(
    users: PostgresUsers, database_url: str
) -> None:
    """A token from before that introduces its user finds nobody, and introduces nobody."""
    ann = User.create(id="ann", email="ann@example.com", now=now(database_url))
    await users.add(ann, issued_at=None)
    sql(database_url, """delete from "user" where id = 'ann'""")
    deleted_at = remembered(database_url)["ann"]
    for issued_at in (None, deleted_at - MINUTE, deleted_at):
        with pytest.raises(UnknownUser):
            await users.get("ann", issued_at=issued_at)
        with pytest.raises(UnknownUser):
            await users.add(ann, issued_at=issued_at)
    assert sql(database_url, 'select id from "user"') == []
    later = deleted_at + timedelta.resolution
    await users.add(ann, issued_at=later)
    assert await users.get("ann", issued_at=later) == ann
    with pytest.raises(UnknownUser):
        await users.get("ann", issued_at=deleted_at)


class Believing:
    """An `Authenticator` of one proof."""

    def __init__(self, proof: UserProof) -> None:
        self.proof = proof

    async def __call__(self, credentials: Credentials) -> list[UserProof]:
        return [self.proof]


async def test_a_token_of_the_front_ends_server_does_not_bring_them_back(
    users: PostgresUsers, database_url: str, clock: FixedClock
) -> None:
    """Credential 5 creates its user at first sight: and only then."""
    clock.time = now(database_url) - MINUTE
    claims = Claims("ann@example.com", "Ann", None, email_verified=None, updated_at=None)
    proof = UserProof(CredentialKind.SHARED_SECRET, "ann", clock.now(), claims)
    sessions = PostgresSessions(users.database, users.optional)
    authenticate = Authenticate(Believing(proof), users, sessions, clock)
    assert (await authenticate(Credentials())).user.email == "ann@example.com"
    sql(database_url, 'delete from "user"')
    for _ in range(2):
        with pytest.raises(UnknownUser):
            await authenticate(Credentials())
    assert sql(database_url, 'select id from "user"') == []
