"""What every `UserRepository` does."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from adapters.postgres.optional_columns import OptionalColumns
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.users import PostgresUsers
from domain.errors import Invalid, Unavailable
from domain.tasks import Task, TaskDraft, TaskNotFound
from domain.users import EmailTaken, UnknownUser, User
from tests.contracts.conftest import NOW, Stores
from tests.waiting import eventually_async

BEFORE, AFTER = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
# A deletion is remembered with the time of the store's own clock.
LATER = datetime.now(UTC) + timedelta(days=1)


async def test_what_was_added_comes_back(stores: Stores) -> None:
    user = User.create(
        id="u", email="u@example.com", name="Zoë 👩", image="https://x/y.png", now=NOW
    )
    assert not await stores.users.exists()
    await stores.users.add(user, issued_at=None)
    assert await stores.users.exists()
    assert await stores.users.get("u", issued_at=None) == user
    assert await stores.users.find_by_email("u@example.com") == user


async def test_nobody(stores: Stores) -> None:
    with pytest.raises(UnknownUser):
        await stores.users.get("u", issued_at=NOW)
    assert await stores.users.find_by_email("u@example.com") is None


async def test_adding_twice_keeps_the_first(stores: Stores, ann: User) -> None:
    await stores.users.add(replace(ann, name="Other"), issued_at=NOW)
    assert await stores.users.get(ann.id, issued_at=NOW) == ann


async def test_an_address_belongs_to_one(stores: Stores, ann: User, bob: User) -> None:
    with pytest.raises(EmailTaken):
        await stores.users.add(replace(ann, id="other"), issued_at=NOW)
    with pytest.raises(EmailTaken):
        await stores.users.save(replace(bob, email=ann.email, updated_at=AFTER))


async def test_only_newer_news_change_a_user(stores: Stores, ann: User) -> None:
    for updated_at in (ann.updated_at, BEFORE):
        await stores.users.save(replace(ann, name="stale", updated_at=updated_at))
        assert await stores.users.get(ann.id, issued_at=NOW) == ann
    newer = replace(
        ann, name="Ann", email="new@example.com", email_verified=True, image="i", updated_at=AFTER
    )
    await stores.users.save(newer)
    assert await stores.users.get(ann.id, issued_at=NOW) == newer


async def test_a_rename_changes_the_name_and_nothing_else(
    stores: Stores, ann: User, bob: User
) -> None:
    image = replace(ann, image="https://x/y.png", email_verified=True, updated_at=AFTER)
    await stores.users.save(image)
    renamed = await stores.users.rename(ann.id, "Zoë 👩", now=AFTER + timedelta(hours=1))
    assert renamed == replace(image, name="Zoë 👩", updated_at=AFTER + timedelta(hours=1))
    assert await stores.users.get(ann.id, issued_at=NOW) == renamed
    assert await stores.users.get(bob.id, issued_at=NOW) == bob


async def test_a_rename_is_newer_than_whatever_was_said_before(stores: Stores) -> None:
    """Also where the front end's clock is ahead, so that its last news do not undo the rename."""
    for id, ahead in (("a", timedelta(days=-1)), ("b", timedelta(0)), ("c", timedelta(days=365))):
        before = User.create(id=id, email=f"{id}@example.com", name="before", now=NOW + ahead)
        await stores.users.add(before, issued_at=NOW)
        renamed = await stores.users.rename(id, "renamed", now=NOW)
        assert renamed.updated_at == max(NOW, before.updated_at + timedelta.resolution)
        await stores.users.save(before)
        assert await stores.users.get(id, issued_at=NOW) == renamed


async def test_a_rename_keeps_what_the_other_side_changed_meanwhile(
    stores: Stores, ann: User
) -> None:
    """Who renames has read the user before: it must not write back what it read."""
    news = replace(ann, email="new@example.com", email_verified=True, updated_at=AFTER)
    await stores.users.save(news)
    renamed = await stores.users.rename(ann.id, "Ann", now=NOW)
    assert renamed == replace(news, name="Ann", updated_at=AFTER + timedelta.resolution)
    assert await stores.users.find_by_email("new@example.com") == renamed
    assert await stores.users.find_by_email(ann.email) is None


async def test_what_a_rename_gives_back_is_a_copy(stores: Stores, ann: User) -> None:
    renamed = await stores.users.rename(ann.id, "Ann", now=AFTER)
    renamed.name = "changed behind its back"
    assert (await stores.users.get(ann.id, issued_at=NOW)).name == "Ann"


async def test_nobody_is_renamed(stores: Stores, ann: User) -> None:
    await stores.users.remove(ann.id)
    for user_id in (ann.id, "nobody"):
        with pytest.raises(UnknownUser):
            await stores.users.rename(user_id, "x", now=NOW)
    assert not await stores.users.exists()


async def test_of_many_renames_at_once_none_is_older_than_another(
    stores: Stores, ann: User
) -> None:
    renamed = await asyncio.gather(
        *(stores.users.rename(ann.id, f"name {n}", now=NOW) for n in range(10))
    )
    assert len({user.updated_at for user in renamed}) == 10
    last = max(renamed, key=lambda user: user.updated_at)
    assert await stores.users.get(ann.id, issued_at=NOW) == last


async def test_a_removed_user_takes_everything_along(stores: Stores, ann: User) -> None:
    task = await stores.tasks.add(Task.create(TaskDraft(title="x"), user_id=ann.id, now=NOW))
    await stores.users.remove(ann.id)
    with pytest.raises(UnknownUser):
        await stores.users.get(ann.id, issued_at=LATER)
    with pytest.raises(TaskNotFound):
        await stores.tasks.get(task.id, ann.id)


@pytest.mark.parametrize("issued_at", [None, BEFORE])
async def test_what_was_issued_before_a_deletion_is_dead(
    stores: Stores, ann: User, issued_at: datetime | None
) -> None:
    """Also when something issued later has brought the account back."""
    await stores.users.remove(ann.id)
    with pytest.raises(UnknownUser):
        await stores.users.add(ann, issued_at=issued_at)
    await stores.users.add(ann, issued_at=LATER)
    assert await stores.users.get(ann.id, issued_at=LATER) == ann
    with pytest.raises(UnknownUser):
        await stores.users.get(ann.id, issued_at=issued_at)


async def test_removing_nobody_remembers_nothing(stores: Stores, ann: User) -> None:
    await stores.users.remove("u")
    await stores.users.add(replace(ann, id="u", email="u@example.com"), issued_at=BEFORE)
    assert (await stores.users.get("u", issued_at=BEFORE)).id == "u"


async def test_first_sights_at_once_make_one_user(stores: Stores) -> None:
    user = User.create(id="u", email="u@example.com", now=NOW)
    await asyncio.gather(*(stores.users.add(user, issued_at=NOW) for _ in range(20)))
    assert await stores.users.get("u", issued_at=NOW) == user


@pytest.mark.postgres
async def test_the_front_end_may_name_its_constraints(database_url: str) -> None:
    """And it may have columns that it alone can fill."""
    database = PipelineDatabase(database_url)
    await database.open()
    users = PostgresUsers(database, OptionalColumns(database))
    for name in ("ann", "bob"):
        user = User.create(id=name, email=f"{name}@example.com", now=NOW)
        await users.add(user, issued_at=None)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(
            'alter table "user" rename constraint user_email_key to user_email_unique'
        )
    with pytest.raises(EmailTaken):
        await users.save(replace(user, email="ann@example.com", updated_at=AFTER))
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute('alter table "user" add tier text not null default 0')
        await connection.execute('alter table "user" alter tier drop default')
    with pytest.raises(UnknownUser):
        await users.add(User.create(id="c", email="c@example.com", now=NOW), issued_at=None)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("""alter table "user" add check (name <> 'Eve')""")
    with pytest.raises(Invalid):
        await users.rename("ann", "Eve", now=AFTER)
    with pytest.raises(Unavailable):
        await users.save(replace(user, name="Eve", updated_at=AFTER))
    await database.close()


@pytest.mark.postgres
async def test_who_waits_for_a_deletion_to_end_does_not_undo_it(database_url: str) -> None:
    """The row is dying while an old token introduces its user anew."""
    database = PipelineDatabase(database_url)
    await database.open()
    users = PostgresUsers(database, OptionalColumns(database))
    ann = User.create(id="ann", email="ann@example.com", now=NOW)
    await users.add(ann, issued_at=NOW)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute('delete from "user"')
        adding = asyncio.create_task(users.add(ann, issued_at=NOW))
        with psycopg.connect(database_url, autocommit=True) as other:
            waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
            await eventually_async(lambda: other.execute(waiting).fetchone())
        assert not adding.done()
        await connection.commit()
        with pytest.raises(UnknownUser):
            await adding
        found = await connection.execute('select count(*) from "user"')
        assert await found.fetchone() == (0,)
    await database.close()
