"""Repositories that share a transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapters.postgres.accounts import PostgresAccounts
from adapters.postgres.database import Transaction, TransactionalDatabase
from adapters.postgres.optional_columns import OptionalColumns
from adapters.postgres.owners import PostgresOwners
from adapters.postgres.sessions import PostgresSessions
from adapters.postgres.tasks import PostgresTasks
from adapters.postgres.users import PostgresUsers


@dataclass(frozen=True, slots=True)
class PostgresUnitOfWork:
    """A `UnitOfWork`."""

    transaction: Transaction
    optional: OptionalColumns

    @property
    def tasks(self) -> PostgresTasks:
        return PostgresTasks(self.transaction, PostgresOwners(self.transaction))

    @property
    def users(self) -> PostgresUsers:
        return PostgresUsers(self.transaction, self.optional)

    @property
    def sessions(self) -> PostgresSessions:
        return PostgresSessions(self.transaction, self.optional)

    @property
    def accounts(self) -> PostgresAccounts:
        return PostgresAccounts(self.transaction, self.optional)

    async def commit(self) -> None:
        await self.transaction.commit()


@dataclass(frozen=True, slots=True)
class PostgresUnitOfWorkFactory:
    """A `UnitOfWorkFactory`: opens a unit of work on a transaction of its own."""

    database: TransactionalDatabase
    optional: OptionalColumns

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[PostgresUnitOfWork]:
        async with self.database.transaction() as transaction:
            yield PostgresUnitOfWork(transaction, self.optional)
