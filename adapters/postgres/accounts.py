"""Password hashes in Better Auth's table `account`."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import insert, select

from adapters.postgres.better_auth_times import utc_text
from adapters.postgres.current_layout import BetterAuthDatabase
from adapters.postgres.database import ConstraintViolated, Statement
from adapters.postgres.layout import BetterAuthTable, Layout, parameter
from adapters.postgres.users import translate_violation

_PASSWORD_ACCOUNT: Final = {
    "providerId": "credential",
    # If the column exists, Better Auth finds passwords by this value.
    "issuer": "local:credential",
}
_INSERTED: Final = (
    "userId",
    "accountId",
    "password",
    "createdAt",
    "updatedAt",
)


@cache
def _password_hash(layout: Layout) -> Statement:
    account = layout.account
    criteria = ("userId", "accountId", *_password_columns(account))
    return Statement.compile(
        "accounts.password_hash",
        select(account.c.password)
        .where(*(account.c[name] == parameter(name) for name in criteria))
        # The oldest: no constraint forbids a second password.
        .order_by(account.c.createdAt, account.c.id),
    )


@cache
def _add(layout: Layout) -> Statement:
    account = layout.account
    ids = () if account.new_id("") is None else ("id",)
    names = account.writable((*ids, *_INSERTED, *_password_columns(account)))
    return Statement.compile(
        "accounts.add", insert(account.table).values({name: parameter(name) for name in names})
    )


def _password_columns(account: BetterAuthTable) -> tuple[str, ...]:
    """The columns that distinguish an account with a password from one of a social provider."""
    return tuple(name for name in _PASSWORD_ACCOUNT if name in account.columns)


@dataclass(frozen=True, slots=True)
class PostgresAccounts:
    """An `AccountStore`."""

    database: BetterAuthDatabase

    async def password_hash(self, user_id: str) -> str | None:
        if not (await self.database.layout()).account.accepts_id(user_id, "userId"):
            return None
        values = {"userId": user_id, "accountId": user_id, **_PASSWORD_ACCOUNT}
        row = await self.database.fetch_one(_password_hash, values)
        return None if row is None else row[0]

    async def add_password(
        self, *, id: str, user_id: str, password_hash: str, now: datetime
    ) -> None:
        values = {
            "id": (await self.database.layout()).account.new_id(id),
            "userId": user_id,
            "accountId": user_id,
            "password": password_hash,
            "createdAt": utc_text(now),
            "updatedAt": utc_text(now),
            **_PASSWORD_ACCOUNT,
        }
        try:
            await self.database.execute(_add, values)
        except ConstraintViolated as violated:
            raise translate_violation(violated) from violated
