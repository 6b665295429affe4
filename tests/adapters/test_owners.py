"""Owners: introduced by the first write, and locked by every write and by every deletion."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pytest

from adapters.postgres.owners import PostgresOwners
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.tasks import PostgresTasks
from domain.tasks import StaleTask, Task, TaskDraft, TaskNotFound, TaskQuery
from domain.users import UnknownUser
from tests.contracts.conftest import NOW
from tests.databases import better_auth
from tests.waiting import eventually_async

pytestmark = pytest.mark.postgres

USER = """
    insert into "user" (id, name, email, "emailVerified", "createdAt")
    values (%(id)s, '', %(id)s || '@example.com', false, coalesce(%(at)s, now()))
    on conflict do nothing
"""
WAITING = """
    select 1 from pg_stat_activity
    where wait_event_type = 'Lock' and datname = current_database()
"""
OWNERS = "select id, created_at, deleted_at, last_deleted_at from taskport.owners"
DELETIONS = [
    pytest.param("""delete from "user" where id = 'ann'""", id="delete"),
    pytest.param('truncate "user" cascade', id="truncate"),
]

Write = Callable[[PostgresTasks, Task], Awaitable[None]]


def new(user_id: str = "ann") -> Task:
    return Task.create(TaskDraft(title="x"), user_id=user_id, now=NOW)


async def add(tasks: PostgresTasks, _: Task) -> None:
    await tasks.add(new())


async def add_all(tasks: PostgresTasks, _: Task) -> None:
    await tasks.add_all([new(), new()])


async def save(tasks: PostgresTasks, task: Task) -> None:
    changed = replace(task, title="changed", version=2)
    await tasks.save(changed, expected_version=1)


async def remove(tasks: PostgresTasks, task: Task) -> None:
    await tasks.remove(task.id, task.user_id)


async def remove_at_version(tasks: PostgresTasks, task: Task) -> None:
    await tasks.remove(task.id, task.user_id, expected_version=1)


WRITES = [add, add_all, save, remove, remove_at_version]
#: Writes of a user without an owner.
FIRST_WRITES = [add, add_all]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PoolDatabase]:
    database = PoolDatabase(database_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def tasks(database: PoolDatabase) -> PostgresTasks:
    return PostgresTasks(database, PostgresOwners(better_auth(database)))


FrontEnd = psycopg.AsyncConnection[Any]


async def connected(url: str) -> FrontEnd:
    return await psycopg.AsyncConnection.connect(url, autocommit=True)


@pytest.fixture
async def front_end(database_url: str) -> AsyncIterator[FrontEnd]:
    """A connection of Better Auth's server, with one user."""
    async with await connected(database_url) as connection:
        await connection.execute(USER, {"id": "ann", "at": NOW})
        yield connection


async def rows(connection: FrontEnd, query: str) -> list[Any]:
    cursor = await connection.execute(query.encode())
    return await cursor.fetchall()


async def is_deleted(front_end: FrontEnd) -> bool:
    """Whether the deletion of ann is recorded, and nothing of hers is left."""
    recorded = await rows(front_end, f"{OWNERS} where deleted_at is not null")
    left = await rows(front_end, "select id from taskport.tasks")
    return [row[0] for row in recorded] == ["ann"] and left == []


@pytest.mark.parametrize("deletion", DELETIONS)
@pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
@pytest.mark.parametrize(
    ("write", "is_known"),
    [*((write, True) for write in WRITES), *((write, False) for write in FIRST_WRITES)],
)
async def test_write_waits_for_a_deletion(
    tasks: PostgresTasks,
    front_end: FrontEnd,
    database_url: str,
    write: Write,
    is_known: bool,
    commits: bool,
    deletion: str,
) -> None:
    task = await tasks.add(new()) if is_known else new()
    async with await connected(database_url) as deleting:
        await deleting.execute("begin")
        await deleting.execute(deletion.encode())
        writing = asyncio.create_task(_outcome(write(tasks, task)))
        await eventually_async(lambda: rows(front_end, WAITING), "the write waits")
        await deleting.execute("commit" if commits else "rollback")
        outcome = await writing
    if commits:
        assert isinstance(outcome, UnknownUser | TaskNotFound)
        assert await is_deleted(front_end)
    else:
        assert outcome is None
        assert [row[2:] for row in await rows(front_end, OWNERS)] == [(None, None)]


@pytest.mark.parametrize("deletion", DELETIONS)
@pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
@pytest.mark.parametrize(
    ("write", "is_known"),
    [*((write, True) for write in WRITES), *((write, False) for write in FIRST_WRITES)],
)
async def test_deletion_waits_for_a_write(
    database: PoolDatabase,
    tasks: PostgresTasks,
    front_end: FrontEnd,
    database_url: str,
    write: Write,
    is_known: bool,
    commits: bool,
    deletion: str,
) -> None:
    """A task that is added by then is deleted, too."""
    task = await tasks.add(new()) if is_known else new()
    async with await connected(database_url) as deleting:
        async with database.transaction() as transaction:
            await write(PostgresTasks(transaction, PostgresOwners(better_auth(transaction))), task)
            ended = asyncio.create_task(deleting.execute(deletion.encode()))
            await eventually_async(lambda: rows(front_end, WAITING), "the deletion waits")
            if commits:
                await transaction.commit()
        await ended
    assert await is_deleted(front_end)
    with pytest.raises(UnknownUser):
        await tasks.add(new())


async def _outcome(operation: Awaitable[None]) -> Exception | None:
    try:
        await operation
    except Exception as error:
        return error
    return None


@dataclass(frozen=True, slots=True)
class DeletingOwners(PostgresOwners):
    """Owners whose user is deleted right after the introduction."""

    front_end: FrontEnd = field(kw_only=True)

    async def introduce(self, user_id: str) -> None:
        await PostgresOwners.introduce(self, user_id)
        await self.front_end.execute('delete from "user"')


@pytest.mark.parametrize("write", FIRST_WRITES)
async def test_user_deleted_between_introduction_and_write(
    database: PoolDatabase, front_end: FrontEnd, write: Write
) -> None:
    tasks = PostgresTasks(database, DeletingOwners(better_auth(database), front_end=front_end))
    with pytest.raises(UnknownUser):
        await write(tasks, new())
    assert await is_deleted(front_end)


@dataclass(frozen=True, slots=True)
class CountingOwners(PostgresOwners):
    introduced: list[str] = field(default_factory=list)

    async def introduce(self, user_id: str) -> None:
        self.introduced.append(user_id)
        await PostgresOwners.introduce(self, user_id)


async def test_only_the_first_write_introduces_the_owner(
    database: PoolDatabase, front_end: FrontEnd
) -> None:
    owners = CountingOwners(better_auth(database))
    tasks = PostgresTasks(database, owners)
    task = await tasks.add(new())
    for write in (add, save, remove):
        await write(tasks, task)
    assert owners.introduced == ["ann"]
    assert await rows(front_end, OWNERS) == [("ann", NOW, None, None)]


async def test_introduction_of_a_live_owner_changes_nothing(
    tasks: PostgresTasks, front_end: FrontEnd
) -> None:
    await tasks.add_all([new(), new()])
    await asyncio.gather(*(tasks.owners.introduce("ann") for _ in range(5)))
    assert await rows(front_end, OWNERS) == [("ann", NOW, None, None)]
    assert (await tasks.list("ann", TaskQuery())).total == 2


async def test_reads_introduce_no_owner(tasks: PostgresTasks, front_end: FrontEnd) -> None:
    assert (await tasks.list("ann", TaskQuery())).total == 0
    assert await rows(front_end, OWNERS) == []


async def test_user_who_does_not_exist_has_no_owner(
    tasks: PostgresTasks, front_end: FrontEnd
) -> None:
    with pytest.raises(UnknownUser):
        await tasks.add(new("nobody"))
    assert await rows(front_end, OWNERS) == []


async def test_new_account_with_the_id_of_a_deleted_one(
    tasks: PostgresTasks, front_end: FrontEnd
) -> None:
    """It starts without tasks, even if the deletion left some; the deletion stays on record."""
    old = await tasks.add(new())
    # As a deletion at a stricter isolation level does, which does not see a concurrent task.
    await front_end.execute('alter table "user" disable trigger user')
    await front_end.execute('delete from "user"')
    await front_end.execute(
        "update taskport.owners set deleted_at = now(), last_deleted_at = now()"
    )
    await front_end.execute(USER, {"id": "ann", "at": None})
    task = await tasks.add(new())
    [(_, created_at, deleted_at, last_deleted_at)] = await rows(front_end, OWNERS)
    assert created_at > NOW
    assert deleted_at is None
    assert last_deleted_at is not None
    assert (await tasks.list("ann", TaskQuery())).tasks == [task]
    with pytest.raises(TaskNotFound):
        await tasks.get(old.id, "ann")


async def test_writes_and_deletions_never_deadlock(
    tasks: PostgresTasks, front_end: FrontEnd, database_url: str
) -> None:
    """And leave no task of a deleted account. A deadlock would be `Unavailable`."""
    ids = ["ann", "bob", "eve"]
    chance = random.Random(0)

    async def write() -> None:
        for _ in range(25):
            user_id = chance.choice(ids)
            try:
                task = await tasks.add(new(user_id))
                await tasks.save(replace(task, version=2), expected_version=1)
                if chance.random() < 0.5:
                    await tasks.remove(task.id, user_id)
            except (UnknownUser, TaskNotFound, StaleTask):
                continue

    async def delete() -> None:
        async with await connected(database_url) as deleting:
            for _ in range(15):
                for user_id in ids:
                    await deleting.execute(USER, {"id": user_id, "at": None})
                await asyncio.sleep(0.01)
                some = chance.sample(ids, 2)
                if chance.random() < 0.2:
                    await deleting.execute('truncate "user" cascade')
                else:
                    await deleting.execute('delete from "user" where id = any(%s)', (some,))

    await asyncio.gather(*(write() for _ in range(8)), delete())
    await front_end.execute('delete from "user"')
    assert await rows(front_end, "select id from taskport.tasks") == []
    assert await rows(front_end, f"{OWNERS} where deleted_at is null") == []
