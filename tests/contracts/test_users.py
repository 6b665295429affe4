"""What every `UserRepository` does."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from adapters.postgres.optional_columns import OptionalColumns
from adapters.postgres.pipeline import PipelineDatabase
from adapters.postgres.users import PostgresUsers
from domain.tasks import Task, TaskNotFound
from domain.users import EmailTaken, UnknownUser, User
from tests.contracts.conftest import NOW, Stores

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


async def test_a_removed_user_takes_everything_along(stores: Stores, ann: User) -> None:
    task = await stores.tasks.add(Task.create(user_id=ann.id, title="x", now=NOW))
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
    await database.close()
