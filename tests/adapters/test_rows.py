"""Round trip of entities through their rows, as a property test."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.postgres.owners import PostgresOwners
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.tasks import PostgresTasks
from adapters.postgres.users import PostgresUsers
from domain.tasks import Task, TaskStatus
from domain.users import UnknownUser, User
from tests.databases import better_auth

pytestmark = pytest.mark.postgres

TIMES = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001
    datetime(9000, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
STORABLE = st.characters(codec="utf-8", exclude_characters="\0")
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
relaxed = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PipelineDatabase]:
    database = PipelineDatabase(database_url)
    await database.open()
    user = User.create(id="u", email="u@example.com", now=CREATED_AT)
    await PostgresUsers(better_auth(database)).add(user)
    yield database
    await database.close()


@relaxed
@given(
    title=st.text(STORABLE, min_size=1, max_size=200),
    description=st.none() | st.text(STORABLE, max_size=1_000),
    completed=st.booleans(),
    created=TIMES,
    age=st.timedeltas(timedelta(0), timedelta(days=300)),
    version=st.integers(1, 2**31 - 1),
)
async def test_task_is_read_as_it_was_stored(
    database: PipelineDatabase,
    title: str,
    description: str | None,
    completed: bool,
    created: datetime,
    age: timedelta,
    version: int,
) -> None:
    task = Task(
        id=0,
        user_id="u",
        title=title,
        description=description,
        status=TaskStatus.COMPLETED if completed else TaskStatus.PENDING,
        completed_at=created if completed else None,
        version=version,
        created_at=created,
        updated_at=created + age,
    )
    tasks = PostgresTasks(database, PostgresOwners(better_auth(database)))
    added = await tasks.add(task)
    assert await tasks.get(added.id, "u") == added


@relaxed
@given(
    name=st.text(STORABLE, max_size=300),
    image=st.none() | st.text(STORABLE, max_size=300),
    verified=st.booleans(),
    created=TIMES,
    key=st.uuids(),
)
async def test_user_is_read_as_it_was_stored(
    database: PipelineDatabase,
    name: str,
    image: str | None,
    verified: bool,
    created: datetime,
    key: UUID,
) -> None:
    users = PostgresUsers(better_auth(database))
    user = User(
        id=str(key),
        email=f"{key}@example.com",
        name=name,
        email_verified=verified,
        image=image,
        created_at=created,
        updated_at=created,
    )
    # If an example repeats a key, the first user with it stays.
    try:
        user = await users.get(user.id, issued_at=None)
    except UnknownUser:
        await users.introduce(user, issued_at=None)
    assert await users.get(user.id, issued_at=None) == user
