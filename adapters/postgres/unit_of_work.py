"""Repositories that share a transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapters.postgres.accounts import PostgresAccounts
from adapters.postgres.current_layout import BetterAuthDatabase, CurrentLayout
from adapters.postgres.database import Transaction, TransactionalDatabase
from adapters.postgres.owners import PostgresOwners
from adapters.postgres.sessions import PostgresSessions
from adapters.postgres.tasks import PostgresTasks
from adapters.postgres.users import PostgresUsers


@dataclass(frozen=True, slots=True)
class PostgresUnitOfWork:
    """A `UnitOfWork`."""

    transaction: Transaction
    better_auth: BetterAuthDatabase

    @property
    def tasks(self) -> PostgresTasks:
        return PostgresTasks(self.transaction, PostgresOwners(self.better_auth))

    @property
    def users(self) -> PostgresUsers:
        return PostgresUsers(self.better_auth)

    @property
    def sessions(self) -> PostgresSessions:
        return PostgresSessions(self.better_auth)

    @property
    def accounts(self) -> PostgresAccounts:
        return PostgresAccounts(self.better_auth)

    async def commit(self) -> None:
        await self.transaction.commit()


@dataclass(frozen=True, slots=True)
class PostgresUnitOfWorkFactory:
    """A `UnitOfWorkFactory`: opens a unit of work on a transaction of its own."""

    database: TransactionalDatabase
    layout: CurrentLayout

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[PostgresUnitOfWork]:
        async with self.database.transaction() as transaction:
            better_auth = BetterAuthDatabase(transaction, self.layout, is_transaction=True)
            yield PostgresUnitOfWork(transaction, better_auth)
