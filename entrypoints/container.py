"""The one place where ports meet adapters."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import get_type_hints

import punq

from adapters.better_auth.authenticator import BetterAuthAuthenticator
from adapters.better_auth.shared_secret import SharedSecretTokens
from adapters.memory.store import MemoryStore
from adapters.memory.tasks import MemoryTasks
from adapters.memory.units import MemoryUnitsOfWork
from adapters.memory.users import MemoryUsers
from adapters.postgres.pipeline import PipelineDatabase
from adapters.postgres.schema import PostgresHealth
from adapters.postgres.tasks import PostgresTasks
from adapters.postgres.units import PostgresUnitsOfWork
from adapters.postgres.users import PostgresUsers
from adapters.system import JitteredRetries, SystemClock
from application.ports import (
    Authenticator,
    Clock,
    Retries,
    StorageHealth,
    TokenSigner,
    UnitsOfWork,
)
from application.use_cases import UseCases
from domain.tasks import TaskRepository
from domain.users import UserRepository
from entrypoints.settings import Settings


@dataclass(frozen=True)
class Service:
    """Everything that can be done, and what it stands on."""

    use_cases: UseCases
    health: StorageHealth
    users: UserRepository
    database: PipelineDatabase | None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold connections open for the time of an `async with`."""
        if self.database is None:
            yield
            return
        await self.database.open()
        try:
            yield
        finally:
            await self.database.close()


def build(settings: Settings) -> Service:
    """The service on the database of the settings, or on memory where they name none."""
    container = punq.Container()
    if settings.url is None:
        database = None
        _register_memory(container)
    else:
        database = PipelineDatabase(settings.url)
        _register_postgres(container, database)
    _register_identity(container, settings)
    container.register(Clock, instance=SystemClock())
    container.register(Retries, instance=JitteredRetries())
    for use_case in get_type_hints(UseCases).values():
        container.register(use_case)
    container.register(UseCases)
    return Service(
        use_cases=container.resolve(UseCases),
        health=container.resolve(StorageHealth),
        users=container.resolve(UserRepository),
        database=database,
    )


def _register_memory(container: punq.Container) -> None:
    store = MemoryStore()
    container.register(TaskRepository, instance=MemoryTasks(store))
    container.register(UserRepository, instance=MemoryUsers(store))
    container.register(UnitsOfWork, instance=MemoryUnitsOfWork(store))
    container.register(StorageHealth, instance=store)


def _register_postgres(container: punq.Container, database: PipelineDatabase) -> None:
    container.register(TaskRepository, instance=PostgresTasks(database))
    container.register(UserRepository, instance=PostgresUsers(database))
    container.register(UnitsOfWork, instance=PostgresUnitsOfWork(database))
    container.register(StorageHealth, instance=PostgresHealth(database))


def _register_identity(container: punq.Container, settings: Settings) -> None:
    tokens = SharedSecretTokens(
        secret=settings.secret,
        origin=settings.better_auth_url,
        lifetime=settings.token_lifetime,
        clock=SystemClock(),
    )
    container.register(TokenSigner, instance=tokens)
    container.register(
        Authenticator,
        instance=BetterAuthAuthenticator(tokens if settings.shared_secret_tokens else None),
    )
