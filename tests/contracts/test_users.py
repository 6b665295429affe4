"""The contract of `UserRepository`."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.users import PostgresUsers
from domain.errors import Invalid, Unavailable
from domain.tasks import Task, TaskDraft, TaskNotFound
from domain.users import EmailTaken, UnknownUser, User
from tests.contracts.conftest import NOW, Stores
from tests.databases import better_auth
from tests.waiting import eventually_async

BEFORE, AFTER = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
# A deletion is remembered with the time of the store's own clock.
LATER = datetime.now(UTC) + timedelta(days=1)


async def test_added_entity_is_found(stores: Stores) -> None:
    user = User.create(
        id="u", email="u@example.com", name="Zoë 👩", image="https://x/y.png", now=NOW
    )
    assert not await stores.users.exists()
    await stores.users.introduce(user, issued_at=None)
    assert await stores.users.exists()
    assert await stores.users.get("u", issued_at=None) == user
    assert await stores.users.find_by_email("u@example.com") == user


async def test_missing_user_is_unknown(stores: Stores) -> None:
    with pytest.raises(UnknownUser):
        await stores.users.get("u", issued_at=NOW)
    assert await stores.users.find_by_email("u@example.com") is None


async def test_adding_an_existing_id_changes_nothing(stores: Stores, ann: User) -> None:
    await stores.users.introduce(replace(ann, name="Other"), issued_at=NOW)
    assert await stores.users.get(ann.id, issued_at=NOW) == ann


async def test_email_address_is_unique(stores: Stores, ann: User, bob: User) -> None:
    with pytest.raises(EmailTaken):
        await stores.users.introduce(replace(ann, id="other"), issued_at=NOW)
    with pytest.raises(EmailTaken):
        await stores.users.save(replace(bob, email=ann.email, updated_at=AFTER))


async def test_checked_introduction_stores_nothing(stores: Stores, ann: User) -> None:
    """It raises what the introduction would raise."""
    new = replace(ann, id="new", email="new@example.com")
    await stores.users.check_introduction(new, issued_at=None)
    with pytest.raises(UnknownUser):
        await stores.users.get("new", issued_at=NOW)
    with pytest.raises(EmailTaken):
        await stores.users.check_introduction(replace(ann, id="new"), issued_at=NOW)
    await stores.users.remove(ann.id)
    for issued_at in (None, BEFORE):
        with pytest.raises(UnknownUser):
            await stores.users.check_introduction(ann, issued_at=issued_at)
    await stores.users.check_introduction(ann, issued_at=LATER)


async def test_only_a_newer_user_is_saved(stores: Stores, ann: User) -> None:
    for updated_at in (ann.updated_at, BEFORE):
        await stores.users.save(replace(ann, name="stale", updated_at=updated_at))
        assert await stores.users.get(ann.id, issued_at=NOW) == ann
    newer = replace(
        ann, name="Ann", email="new@example.com", email_verified=True, image="i", updated_at=AFTER
    )
    await stores.users.save(newer)
    assert await stores.users.get(ann.id, issued_at=NOW) == newer


async def test_rename_changes_only_the_name(stores: Stores, ann: User, bob: User) -> None:
    image = replace(ann, image="https://x/y.png", email_verified=True, updated_at=AFTER)
    await stores.users.save(image)
    renamed = await stores.users.rename(ann.id, "Zoë 👩", now=AFTER + timedelta(hours=1))
    assert renamed == replace(image, name="Zoë 👩", updated_at=AFTER + timedelta(hours=1))
    assert await stores.users.get(ann.id, issued_at=NOW) == renamed
    assert await stores.users.get(bob.id, issued_at=NOW) == bob


async def test_rename_is_newer_than_the_stored_user(stores: Stores) -> None:
    """Also if the front end's clock is ahead, so that its last update does not undo the rename."""
    for id, ahead in (("a", timedelta(days=-1)), ("b", timedelta(0)), ("c", timedelta(days=365))):
        before = User.create(id=id, email=f"{id}@example.com", name="before", now=NOW + ahead)
        await stores.users.introduce(before, issued_at=NOW)
        renamed = await stores.users.rename(id, "renamed", now=NOW)
        assert renamed.updated_at == max(NOW, before.updated_at + timedelta.resolution)
        await stores.users.save(before)
        assert await stores.users.get(id, issued_at=NOW) == renamed


async def test_rename_keeps_concurrent_changes(stores: Stores, ann: User) -> None:
    """A rename must not write back values that were read before."""
    news = replace(ann, email="new@example.com", email_verified=True, updated_at=AFTER)
    await stores.users.save(news)
    renamed = await stores.users.rename(ann.id, "Ann", now=NOW)
    assert renamed == replace(news, name="Ann", updated_at=AFTER + timedelta.resolution)
    assert await stores.users.find_by_email("new@example.com") == renamed
    assert await stores.users.find_by_email(ann.email) is None


async def test_rename_returns_a_copy(stores: Stores, ann: User) -> None:
    renamed = await stores.users.rename(ann.id, "Ann", now=AFTER)
    renamed.name = "changed behind its back"
    assert (await stores.users.get(ann.id, issued_at=NOW)).name == "Ann"


async def test_missing_user_is_not_renamed(stores: Stores, ann: User) -> None:
    await stores.users.remove(ann.id)
    for user_id in (ann.id, "nobody"):
        with pytest.raises(UnknownUser):
            await stores.users.rename(user_id, "x", now=NOW)
    assert not await stores.users.exists()


async def test_concurrent_renames_have_increasing_times(stores: Stores, ann: User) -> None:
    renamed = await asyncio.gather(
        *(stores.users.rename(ann.id, f"name {n}", now=NOW) for n in range(10))
    )
    assert len({user.updated_at for user in renamed}) == 10
    last = max(renamed, key=lambda user: user.updated_at)
    assert await stores.users.get(ann.id, issued_at=NOW) == last


async def test_removing_a_user_removes_everything_they_own(stores: Stores, ann: User) -> None:
    task = await stores.tasks.add(Task.create(TaskDraft(title="x"), user_id=ann.id, now=NOW))
    await stores.users.remove(ann.id)
    with pytest.raises(UnknownUser):
        await stores.users.get(ann.id, issued_at=LATER)
    with pytest.raises(TaskNotFound):
        await stores.tasks.get(task.id, ann.id)


@pytest.mark.parametrize("issued_at", [None, BEFORE])
async def test_credential_from_before_the_deletion_is_rejected(
    stores: Stores, ann: User, issued_at: datetime | None
) -> None:
    """Also if a later credential has created the user again."""
    await stores.users.remove(ann.id)
    with pytest.raises(UnknownUser):
        await stores.users.introduce(ann, issued_at=issued_at)
    await stores.users.introduce(ann, issued_at=LATER)
    assert await stores.users.get(ann.id, issued_at=LATER) == ann
    with pytest.raises(UnknownUser):
        await stores.users.get(ann.id, issued_at=issued_at)


async def test_removing_a_missing_user_records_nothing(stores: Stores, ann: User) -> None:
    await stores.users.remove("u")
    await stores.users.introduce(replace(ann, id="u", email="u@example.com"), issued_at=BEFORE)
    assert (await stores.users.get("u", issued_at=BEFORE)).id == "u"


async def test_concurrent_creations_make_one_user(stores: Stores) -> None:
    user = User.create(id="u", email="u@example.com", now=NOW)
    await asyncio.gather(*(stores.users.introduce(user, issued_at=NOW) for _ in range(20)))
    assert await stores.users.get("u", issued_at=NOW) == user


@pytest.mark.postgres
async def test_constraints_of_the_front_end_are_respected(database_url: str) -> None:
    """It may also have columns that only the front end can fill."""
    database = PipelineDatabase(database_url)
    await database.open()
    users = PostgresUsers(better_auth(database))
    for name in ("ann", "bob"):
        user = User.create(id=name, email=f"{name}@example.com", now=NOW)
        await users.introduce(user, issued_at=None)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(
            'alter table "user" rename constraint user_email_key to user_email_unique'
        )
    with pytest.raises(EmailTaken):
        await users.save(replace(user, email="ann@example.com", updated_at=AFTER))
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute('alter table "user" add tier text not null default 0')
        await connection.execute('alter table "user" alter tier drop default')
    new = User.create(id="c", email="c@example.com", now=NOW)
    with pytest.raises(UnknownUser):
        await users.introduce(new, issued_at=None)
    with pytest.raises(UnknownUser):
        # The column is known to whoever reads the catalog after it was added.
        await PostgresUsers(better_auth(database)).check_introduction(new, issued_at=None)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("""alter table "user" add check (name <> 'Eve')""")
    with pytest.raises(Invalid):
        await users.rename("ann", "Eve", now=AFTER)
    with pytest.raises(Unavailable):
        await users.save(replace(user, name="Eve", updated_at=AFTER))
    await database.close()


@pytest.mark.postgres
async def test_creation_concurrent_with_a_deletion_does_not_undo_it(database_url: str) -> None:
    """The row is being deleted while an old token creates its user again."""
    database = PipelineDatabase(database_url)
    await database.open()
    users = PostgresUsers(better_auth(database))
    ann = User.create(id="ann", email="ann@example.com", now=NOW)
    await users.introduce(ann, issued_at=NOW)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute('delete from "user"')
        adding = asyncio.create_task(users.introduce(ann, issued_at=NOW))
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
