"""The storage adapters that every contract test runs over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from adapters.memory.accounts import MemoryAccounts
from adapters.memory.keys import MemoryKeys
from adapters.memory.sessions import MemorySessions
from adapters.memory.store import MemoryStore
from adapters.memory.tasks import MemoryTasks
from adapters.memory.unit_of_work import MemoryUnitOfWorkFactory
from adapters.memory.users import MemoryUsers
from adapters.postgres.accounts import PostgresAccounts
from adapters.postgres.keys import PostgresKeys
from adapters.postgres.owners import PostgresOwners
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.sessions import PostgresSessions
from adapters.postgres.tasks import PostgresTasks
from adapters.postgres.unit_of_work import PostgresUnitOfWorkFactory
from adapters.postgres.users import PostgresUsers
from application.ports.keys import KeyStore
from application.ports.passwords import AccountStore
from application.ports.unit_of_work import UnitOfWorkFactory
from domain.sessions import SessionStore
from domain.tasks import TaskRepository
from domain.users import User, UserRepository
from tests.databases import better_auth

NOW = datetime(2026, 11, 20, 18, 0, 0, 123456, tzinfo=UTC)


@dataclass
class Stores:
    """The ports of one storage."""

    tasks: TaskRepository
    users: UserRepository
    sessions: SessionStore
    accounts: AccountStore
    keys: KeyStore
    unit_of_work: UnitOfWorkFactory

    async def user(self, user_id: str, now: datetime = NOW) -> User:
        user = User.create(id=user_id, email=f"{user_id}@example.com", name=user_id, now=now)
        await self.users.introduce(user, issued_at=now)
        return user


def _postgres(database: PoolDatabase | PipelineDatabase) -> Stores:
    tables = better_auth(database)
    return Stores(
        PostgresTasks(database, PostgresOwners(tables)),
        PostgresUsers(tables),
        PostgresSessions(tables),
        PostgresAccounts(tables),
        PostgresKeys(tables),
        PostgresUnitOfWorkFactory(database, tables.layout),
    )


KINDS = [
    "memory",
    pytest.param("pool", marks=pytest.mark.postgres),
    pytest.param("pipeline", marks=pytest.mark.postgres),
    pytest.param("pipeline on 15", marks=[pytest.mark.postgres, pytest.mark.debian]),
]


@pytest.fixture(params=KINDS)
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    async with opened(request.param, request) as stores:
        yield stores


@asynccontextmanager
async def opened(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    if kind == "memory":
        yield memory()
        return
    fixture = "database_15_url" if kind.endswith("15") else "database_url"
    url = request.getfixturevalue(fixture)
    database = PoolDatabase(url) if kind == "pool" else PipelineDatabase(url)
    await database.open()
    yield _postgres(database)
    await database.close()


def memory() -> Stores:
    store = MemoryStore()
    return Stores(
        MemoryTasks(store),
        MemoryUsers(store),
        MemorySessions(store),
        MemoryAccounts(store),
        MemoryKeys(store),
        MemoryUnitOfWorkFactory(store),
    )


@pytest.fixture
async def ann(stores: Stores) -> User:
    return await stores.user("ann")


@pytest.fixture
async def bob(stores: Stores) -> User:
    return await stores.user("bob")
