"""Changes of several repositories that are committed together."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from application.ports.passwords import AccountStore
from domain.sessions import SessionStore
from domain.tasks import TaskRepository
from domain.users import UserRepository


class UnitOfWork(Protocol):
    """Repositories whose changes stand or fall together."""

    @property
    def tasks(self) -> TaskRepository: ...

    @property
    def users(self) -> UserRepository: ...

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def accounts(self) -> AccountStore: ...

    async def commit(self) -> None:
        """Make the changes last. Without it, leaving the unit undoes them all."""


class UnitOfWorkFactory(Protocol):
    def __call__(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new unit of work, for one `async with`."""
