"""Changes of several repositories that are committed together."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from application.ports.passwords import AccountStore
from domain.sessions import SessionStore
from domain.tasks import TaskRepository
from domain.users import UserRepository


class UnitOfWork(Protocol):
    """Repositories whose changes are committed together, or not at all."""

    @property
    def tasks(self) -> TaskRepository: ...

    @property
    def users(self) -> UserRepository: ...

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def accounts(self) -> AccountStore: ...

    async def commit(self) -> None:
        """Commit the changes. Without it, they are rolled back at the end of the `async with`."""


class UnitOfWorkFactory(Protocol):
    """Begins units of work."""

    def __call__(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new unit of work, for one `async with`."""
