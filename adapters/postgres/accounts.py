"""Password hashes in Better Auth's table `"account"`."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Text, bindparam, insert, select

from adapters.postgres.database import ConstraintViolated, Database, Statement
from adapters.postgres.optional_columns import Columns, OptionalColumns
from adapters.postgres.tables import ACCOUNTS
from adapters.postgres.users import refused, utc_text

_PASSWORD_ACCOUNT = {
    "providerId": "credential",
    # Where there is such a column, Better Auth looks for this in it.
    "issuer": "local:credential",
}
_INSERTED = (
    "id",
    "userId",
    "accountId",
    "providerId",
    "password",
    "createdAt",
    "updatedAt",
)


@cache
def _password_hash(present: Columns) -> Statement:
    wanted = ("userId", "accountId", *_marks(present))
    return Statement.compile(
        "accounts.password_hash",
        select(ACCOUNTS.c.password)
        .where(*(ACCOUNTS.c[name] == bindparam(name, type_=Text) for name in wanted))
        # No constraint speaks against a second one.
        .order_by(ACCOUNTS.c.createdAt, ACCOUNTS.c.id),
    )


@cache
def _add(present: Columns) -> Statement:
    given = {*_INSERTED, *_marks(present)}
    return Statement.compile(
        "accounts.add", insert(ACCOUNTS).values({name: bindparam(name) for name in sorted(given)})
    )


def _marks(present: Columns) -> tuple[str, ...]:
    """The columns that make an account one with a password."""
    return ("providerId", "issuer") if ACCOUNTS.c.issuer in present else ("providerId",)


@dataclass(frozen=True, slots=True)
class PostgresAccounts:
    """An `AccountStore`."""

    database: Database
    optional: OptionalColumns

    async def password_hash(self, user_id: str) -> str | None:
        values = {"userId": user_id, "accountId": user_id, **_PASSWORD_ACCOUNT}
        row = await self.database.fetch_one(_password_hash(await self.optional()), values)
        return None if row is None else row[0]

    async def add_password(
        self, *, id: str, user_id: str, password_hash: str, now: datetime
    ) -> None:
        values = {
            "id": id,
            "userId": user_id,
            "accountId": user_id,
            "password": password_hash,
            "createdAt": utc_text(now),
            "updatedAt": utc_text(now),
            **_PASSWORD_ACCOUNT,
        }
        try:
            await self.database.execute(_add(await self.optional()), values)
        except ConstraintViolated as violated:
            raise refused(violated) from violated
