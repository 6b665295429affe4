"""The function that moves the tasks of a guest to the user that the guest became."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from psycopg import errors, sql

from adapters.postgres import connection
from adapters.postgres.current_layout import CurrentLayout
from adapters.postgres.drift import find_problems_in_rows
from adapters.postgres.grants import front_end_grants
from adapters.postgres.layout import ANY_LAYOUT
from adapters.postgres.owners import PostgresOwners
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.schema import downgrade, migrate
from adapters.postgres.tasks import PostgresTasks
from adapters.postgres.users import PostgresUsers
from domain.tasks import StaleTask, Task, TaskDraft, TaskNotFound, TaskNotYours, TaskQuery
from domain.users import UnknownUser
from tests.adapters.test_deletion_trigger import CREATED, IDS, PLAIN, QUOTED, TIMES, Users
from tests.contracts.conftest import NOW
from tests.databases import better_auth
from tests.waiting import LIMIT_SECONDS, eventually_async

pytestmark = pytest.mark.postgres

USER: Final = """
    insert into "user" (id, name, email, "emailVerified", "createdAt")
    values (%s, '', gen_random_uuid() || '@example.com', false, %s)
"""
MOVE: Final = "select taskport.move_tasks(%s, %s)"
WAITING: Final = """
    select 1 from pg_stat_activity
    where wait_event_type = 'Lock' and datname = current_database()
"""
OWNERS: Final = "select id, created_at, deleted_at is null from taskport.owners order by id"
TASKS: Final = "select id, user_id, title, version, created_at, updated_at from taskport.tasks"


@pytest.fixture
async def database(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PoolDatabase]:
    """A statement may wait for a lock as long as the test needs."""
    monkeypatch.setattr(connection, "STATEMENT_SECONDS", LIMIT_SECONDS)
    database = PoolDatabase(database_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def tasks(database: PoolDatabase) -> PostgresTasks:
    return PostgresTasks(database, PostgresOwners(better_auth(database)))


@pytest.fixture
def users(database_url: str) -> None:
    """A guest, the user that the guest becomes, and a third one."""
    for user_id in ("guest", "ann", "bob"):
        run(database_url, USER, user_id, NOW)


def run(url: str, query: str, *values: object) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), values)
        return cursor.fetchall() if cursor.description else []


def move(url: str, from_user: str = "guest", to_user: str = "ann") -> int:
    [(moved,)] = run(url, MOVE, from_user, to_user)
    assert isinstance(moved, int)
    return moved


def new(user_id: str = "guest") -> Task:
    return Task.create(TaskDraft(title="x"), user_id=user_id, now=NOW)


async def ids_of(tasks: PostgresTasks, user_id: str) -> set[int]:
    page = await tasks.list(user_id, TaskQuery(limit=100))
    assert page.total == len(page.tasks)
    return {task.id for task in page.tasks}


async def test_moved_tasks_are_those_of_the_user(
    tasks: PostgresTasks, users: None, database_url: str
) -> None:
    """Each in a new version; those of others are unchanged."""
    own, foreign = await tasks.add(new("ann")), await tasks.add(new("bob"))
    moved = [await tasks.add(new()) for _ in range(3)]
    [(before,)] = run(database_url, "select clock_timestamp()")

    assert move(database_url) == 3

    assert await ids_of(tasks, "guest") == set()
    assert await ids_of(tasks, "bob") == {foreign.id}
    assert await ids_of(tasks, "ann") == {own.id, *(task.id for task in moved)}
    assert await tasks.get(own.id, "ann") == own
    for task in moved:
        found = await tasks.get(task.id, "ann")
        assert found == replace(task, user_id="ann", version=2, updated_at=found.updated_at)
        assert before <= found.updated_at
        with pytest.raises(StaleTask):
            await tasks.save(replace(task, user_id="ann", version=2), expected_version=1)
    assert run(database_url, OWNERS) == [
        ("ann", NOW, True),
        ("bob", NOW, True),
        ("guest", NOW, False),
    ]


async def test_later_time_of_change_is_kept(
    tasks: PostgresTasks, users: None, database_url: str
) -> None:
    """The clock of the service may be ahead of the database's."""
    task = await tasks.add(new())
    later = datetime.now(NOW.tzinfo) + timedelta(hours=1)
    await tasks.save(replace(task, version=2, updated_at=later), expected_version=1)
    move(database_url)
    assert (await tasks.get(task.id, "ann")).updated_at == later


async def test_both_may_be_without_tasks(
    tasks: PostgresTasks, users: None, database_url: str
) -> None:
    assert move(database_url) == 0
    assert await ids_of(tasks, "ann") == set()
    assert (await tasks.add(new("ann"))).user_id == "ann"


async def test_move_is_repeated(tasks: PostgresTasks, users: None, database_url: str) -> None:
    await tasks.add(new())
    assert [move(database_url) for _ in range(3)] == [1, 0, 0]
    assert move(database_url, "ann", "ann") == 0
    assert len(await ids_of(tasks, "ann")) == 1


async def test_deletion_of_the_guest_leaves_the_tasks(
    tasks: PostgresTasks, users: None, database_url: str
) -> None:
    task = await tasks.add(new())
    move(database_url)
    run(database_url, """delete from "user" where id = 'guest'""")
    assert await ids_of(tasks, "ann") == {task.id}


async def test_guest_is_no_user_afterwards(
    database: PoolDatabase, tasks: PostgresTasks, users: None, database_url: str
) -> None:
    """Also while the row is there: whatever the guest wrote would be deleted with it."""
    task = await tasks.add(new())
    move(database_url)
    guests = PostgresUsers(better_auth(database))
    for issued_at in (None, datetime.now(NOW.tzinfo)):
        with pytest.raises(UnknownUser):
            await guests.get("guest", issued_at=issued_at)
    for write in (tasks.add(new()), tasks.add_all([new()])):
        with pytest.raises(UnknownUser):
            await write
    with pytest.raises(TaskNotYours):
        await tasks.save(replace(task, version=2), expected_version=1)
    layout = await CurrentLayout(database, ANY_LAYOUT)()
    assert await find_problems_in_rows(database, layout, sign_up=False) == []


@pytest.mark.parametrize("users_left", [("guest",), ("ann",), ()])
def test_unknown_user_is_an_error(
    users: None, database_url: str, users_left: tuple[str, ...]
) -> None:
    run(database_url, 'delete from "user" where id <> all(%s)', list(users_left))
    with pytest.raises(errors.NoDataFound, match="there is no user"):
        move(database_url)


@pytest.mark.parametrize("user_id", ["guest", "ann"])
async def test_owner_of_another_account_is_an_error(
    tasks: PostgresTasks, users: None, database_url: str, user_id: str
) -> None:
    """The front end's table was rebuilt: the tasks of a former account with this id stay where
    they are."""
    task = await tasks.add(new(user_id))
    run(
        database_url,
        """update "user" set "createdAt" = "createdAt" + interval '1 day' where id = %s""",
        user_id,
    )
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match="another account"):
        move(database_url)
    assert await ids_of(tasks, user_id) == {task.id}


@pytest.mark.parametrize("user_id", ["guest", "ann"])
async def test_id_of_a_deleted_account_is_given_again(
    tasks: PostgresTasks, users: None, database_url: str, user_id: str
) -> None:
    """A new account starts without tasks, even if the deletion left some."""
    await tasks.add(new(user_id))
    run(database_url, 'alter table "user" disable trigger user')
    run(database_url, 'delete from "user" where id = %s', user_id)
    run(database_url, 'alter table "user" enable trigger user')
    run(
        database_url,
        "update taskport.owners set deleted_at = now(), last_deleted_at = now() where id = %s",
        user_id,
    )
    run(database_url, USER, user_id, NOW + timedelta(days=1))
    other = await tasks.add(new("guest" if user_id == "ann" else "ann"))
    assert move(database_url) == (user_id == "ann")
    assert await ids_of(tasks, "ann") == {other.id}
    assert move(database_url) == 0


@pytest.mark.parametrize("created_type", TIMES)
@pytest.mark.parametrize("id_type", IDS)
@pytest.mark.parametrize("names", [PLAIN, QUOTED], ids=["plain", "quoted"])
def test_any_names_and_types(
    database_url: str, names: tuple[str, str, str, str], id_type: str, created_type: str
) -> None:
    """In whatever session it is called."""
    users = Users(database_url, names, id_type, created_type)
    run(database_url, 'drop trigger taskport_delete_owner on "user"')
    users.install()
    guest, user, other = IDS[id_type]
    users.add(guest, user, other)
    users.run("update taskport.owners set created_at = '2026-01-02 03:04:05+00'")
    before = users.run(f"select {users.id}::text from {users.table}")
    with psycopg.connect(database_url) as front_end:
        for setting in ("timezone = 'Asia/Tokyo'", "datestyle = 'German'"):
            front_end.execute(f"set {setting}".encode())
        front_end.execute("set standard_conforming_strings = off")
        assert front_end.execute(MOVE, (guest, user)).fetchone() == (1,)
    found = dict(users.run("select user_id, count(*) from taskport.tasks group by 1"))
    assert found == {user: 2, other: 1}
    assert users.run(f"select {users.id}::text from {users.table}") == before
    assert {row[0]: row[1:] for row in users.run(OWNERS)} == {
        guest: (CREATED, False),
        user: (CREATED, True),
        other: (CREATED, True),
    }


def test_users_are_found_in_the_table_that_has_them(database_url: str) -> None:
    """An older table, which has the trigger as well, has only one of them."""
    old, current = Users(database_url, ("old", *PLAIN[1:])), Users(database_url)
    for users in (old, current):
        users.install()
    current.add("guest", "ann")
    old.run("insert into old.users select 'ann', now()")
    current.run("update taskport.owners set created_at = '2026-01-02 03:04:05+00'")
    assert move(database_url) == 1
    current.run("delete from auth.users where id = 'ann'")
    with pytest.raises(errors.NoDataFound):
        move(database_url)


def test_users_without_a_time_of_creation(database_url: str) -> None:
    users = Users(database_url)
    users.install(created_column=None, created_has_zone=False)
    users.add("guest", "ann")
    assert [move(database_url), move(database_url)] == [1, 0]


def test_lost_triggers_are_an_error(users: None, database_url: str) -> None:
    run(database_url, 'drop trigger taskport_delete_owner on "user"')
    with pytest.raises(errors.NoDataFound, match="there is no user") as raised:
        move(database_url)
    assert "taskport migrate" in (raised.value.diag.message_hint or "")
    migrate(database_url)
    assert move(database_url) == 0


@pytest.mark.parametrize("is_first", [True, False], ids=["first task", "another task"])
@pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
async def test_write_of_the_guest_waits_for_the_move(
    tasks: PostgresTasks, users: None, database_url: str, commits: bool, is_first: bool
) -> None:
    """It fails after the move: the guest's account is about to be deleted."""
    earlier = set() if is_first else {(await tasks.add(new())).id}
    async with await psycopg.AsyncConnection.connect(database_url) as moving:
        await moving.execute(MOVE, ("guest", "ann"))
        writing = asyncio.create_task(tasks.add(new()))
        await eventually_async(lambda: waiting(database_url), "the write waits")
        await (moving.commit() if commits else moving.rollback())
    if commits:
        with pytest.raises(UnknownUser):
            await writing
        assert await ids_of(tasks, "ann") == earlier
    else:
        task = await writing
        assert await ids_of(tasks, "guest") == {task.id, *earlier}


@pytest.mark.parametrize("is_first", [True, False], ids=["first task", "another task"])
async def test_move_waits_for_a_write_of_the_guest(
    database: PoolDatabase, tasks: PostgresTasks, users: None, database_url: str, is_first: bool
) -> None:
    """The task of that write is moved as well."""
    earlier = set() if is_first else {(await tasks.add(new())).id}
    async with database.transaction() as transaction:
        writing = PostgresTasks(transaction, PostgresOwners(better_auth(transaction)))
        task = await writing.add(new())
        moving = asyncio.create_task(asyncio.to_thread(move, database_url))
        await eventually_async(lambda: waiting(database_url), "the move waits")
        await transaction.commit()
    assert await moving == len(earlier) + 1
    assert await ids_of(tasks, "ann") == {task.id, *earlier}


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_stricter_isolation_is_an_error(
    tasks: PostgresTasks, users: None, database_url: str, isolation: str
) -> None:
    """The transaction would not see a task that was written after it began, and not move it."""
    await tasks.add(new())
    async with await psycopg.AsyncConnection.connect(database_url) as moving:
        await moving.execute(f"set transaction isolation level {isolation}".encode())
        await moving.execute("select 1")
        task = await tasks.add(new())
        with pytest.raises(errors.InvalidTransactionState, match="READ COMMITTED"):
            await moving.execute(MOVE, ("guest", "ann"))
    assert task.id in await ids_of(tasks, "guest")
    assert move(database_url) == 2


@pytest.mark.parametrize("user_id", ["guest", "ann"])
@pytest.mark.parametrize("has_owner", [True, False])
async def test_move_waits_for_a_deletion(
    tasks: PostgresTasks, users: None, database_url: str, user_id: str, has_owner: bool
) -> None:
    """And moves nothing to or from a deleted account."""
    task = await tasks.add(new()) if has_owner else None
    if has_owner:
        await tasks.add(new("ann"))
    async with await psycopg.AsyncConnection.connect(database_url) as deleting:
        await deleting.execute('delete from "user" where id = %s', (user_id,))
        moving = asyncio.create_task(asyncio.to_thread(move, database_url))
        await eventually_async(lambda: waiting(database_url), "the move waits")
        await deleting.commit()
    with pytest.raises(errors.ObjectNotInPrerequisiteState):
        await moving
    left = await ids_of(tasks, "guest")
    assert left == ({task.id} if task is not None and user_id == "ann" else set())


@pytest.mark.parametrize("user_id", ["guest", "ann"])
async def test_deletion_waits_for_a_move(
    tasks: PostgresTasks, users: None, database_url: str, user_id: str
) -> None:
    """And deletes what the user then has."""
    task = await tasks.add(new())
    await tasks.add(new("ann"))
    async with await psycopg.AsyncConnection.connect(database_url) as moving:
        await moving.execute(MOVE, ("guest", "ann"))
        deletion = 'delete from "user" where id = %s'
        deleting = asyncio.create_task(asyncio.to_thread(run, database_url, deletion, user_id))
        await eventually_async(lambda: waiting(database_url), "the deletion waits")
        await moving.commit()
    await deleting
    assert await ids_of(tasks, "guest") == set()
    assert (task.id in await ids_of(tasks, "ann")) is (user_id == "guest")
    assert len(run(database_url, TASKS)) == (2 if user_id == "guest" else 0)


async def test_no_acknowledged_task_is_lost(
    tasks: PostgresTasks, users: None, database_url: str
) -> None:
    """Of writes during a move, a deletion of the guest, and a move the other way round."""
    acknowledged: set[int] = set()

    async def write() -> None:
        while True:
            try:
                task = await tasks.add(new())
                acknowledged.add(task.id)
                await tasks.save(replace(task, version=2), expected_version=1)
            except UnknownUser:
                return
            except (TaskNotFound, TaskNotYours, StaleTask):
                continue

    async def link() -> None:
        await eventually_async(lambda: asyncio.sleep(0, len(acknowledged) > 20), "there are tasks")
        await asyncio.to_thread(move, database_url)
        await asyncio.to_thread(run, database_url, """delete from "user" where id = 'guest'""")

    await asyncio.gather(*(write() for _ in range(6)), link())
    assert {row[0] for row in run(database_url, TASKS)} == acknowledged
    assert {row[1] for row in run(database_url, TASKS)} == {"ann"}


async def test_moves_never_deadlock(database_url: str, users: None) -> None:
    """Moves in all directions, with deletions between them."""
    chance = random.Random(0)
    ids = ["guest", "ann", "bob"]

    async def moves() -> None:
        for _ in range(30):
            try:
                await asyncio.to_thread(move, database_url, *chance.sample(ids, 2))
            except (errors.ObjectNotInPrerequisiteState, errors.NoDataFound):
                continue

    async def delete() -> None:
        for number in range(30):
            user_id = chance.choice(ids)
            await asyncio.to_thread(run, database_url, 'delete from "user" where id = %s', user_id)
            created = NOW + timedelta(days=number + 1)
            await asyncio.to_thread(run, database_url, USER, user_id, created)

    await asyncio.gather(*(moves() for _ in range(4)), delete())


def test_only_granted_roles_may_execute(users: None, database_url: str) -> None:
    """The role needs no privilege on a table, and gets none."""
    role = 'linking "front end"'
    name = sql.Identifier(role)
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(sql.SQL("create role {}").format(name))
        owner.execute(sql.SQL("grant usage on schema taskport to {}").format(name))
    try:
        for is_granted in (False, True):
            with psycopg.connect(database_url, autocommit=True) as front_end:
                if is_granted:
                    front_end.execute(front_end_grants(role).encode())
                front_end.execute(sql.SQL("set role {}").format(name))
                if is_granted:
                    assert front_end.execute(MOVE, ("guest", "ann")).fetchone() == (0,)
                else:
                    with pytest.raises(errors.InsufficientPrivilege):
                        front_end.execute(MOVE, ("guest", "ann"))
                for statement in (TASKS, OWNERS, 'select from "user"'):
                    with pytest.raises(errors.InsufficientPrivilege):
                        front_end.execute(statement.encode())
    finally:
        with psycopg.connect(database_url, autocommit=True) as owner:
            owner.execute(sql.SQL("drop owned by {}").format(name))
            owner.execute(sql.SQL("drop role {}").format(name))


def test_function_does_not_use_the_search_path_of_its_caller(
    users: None, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("create schema evil")
        connection.execute(
            "create function evil.format(text) returns text language sql as 'x'".replace(
                "'x'", "$$select 'evil'$$"
            ).encode()
        )
        connection.execute("create table evil.owners (id text)")
        connection.execute("set search_path = evil, pg_catalog, public")
        assert connection.execute(MOVE, ("guest", "ann")).fetchone() == (0,)


def test_downgrade(database_url: str) -> None:
    downgrade(database_url, "0003")
    assert run(database_url, "select to_regprocedure('taskport.move_tasks(text, text)')") == [
        (None,)
    ]
    migrate(database_url)


async def waiting(url: str) -> list[Any]:
    return await asyncio.to_thread(run, url, WAITING)
