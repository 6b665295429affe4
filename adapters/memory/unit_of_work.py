"""Units of work over dictionaries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapters.memory.accounts import MemoryAccounts
from adapters.memory.sessions import MemorySessions
from adapters.memory.store import MemoryStore
from adapters.memory.tasks import MemoryTasks
from adapters.memory.users import MemoryUsers


@dataclass(slots=True)
class MemoryUnitOfWork:
    """A `UnitOfWork` on a fork of the store; `commit` merges the changes."""

    store: MemoryStore
    base: MemoryStore
    fork: MemoryStore

    @property
    def tasks(self) -> MemoryTasks:
        return MemoryTasks(self.fork)

    @property
    def users(self) -> MemoryUsers:
        return MemoryUsers(self.fork)

    @property
    def sessions(self) -> MemorySessions:
        return MemorySessions(self.fork)

    @property
    def accounts(self) -> MemoryAccounts:
        return MemoryAccounts(self.fork)

    async def commit(self) -> None:
        self.store.merge(self.base, self.fork)


@dataclass(frozen=True, slots=True)
class MemoryUnitOfWorkFactory:
    """Begins units of work on one store."""

    store: MemoryStore

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[MemoryUnitOfWork]:
        yield MemoryUnitOfWork(self.store, self.store.fork(), self.store.fork())
