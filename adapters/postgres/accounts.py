"""Password hashes in Better Auth's table `"account"`."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Text, bindparam, insert, select

from adapters.postgres.database import ConstraintViolated, Database, Statement
from adapters.postgres.optional_columns import Columns, OptionalColumns
from adapters.postgres.tables import ACCOUNTS
from adapters.postgres.users import translate_violation, utc_text

_PASSWORD_ACCOUNT = {
    "providerId": "credential",
    # If the column exists, Better Auth finds passwords by this value.
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
    criteria = ("userId", "accountId", *_password_columns(present))
    return Statement.compile(
        "accounts.password_hash",
        select(ACCOUNTS.c.password)
        .where(*(ACCOUNTS.c[name] == bindparam(name, type_=Text) for name in criteria))
        # The oldest: no constraint forbids a second password.
        .order_by(ACCOUNTS.c.createdAt, ACCOUNTS.c.id),
    )


@cache
def _add(present: Columns) -> Statement:
    inserted = {*_INSERTED, *_password_columns(present)}
    return Statement.compile(
        "accounts.add",
        insert(ACCOUNTS).values({name: bindparam(name) for name in sorted(inserted)}),
    )


def _password_columns(present: Columns) -> tuple[str, ...]:
    """The columns that distinguish an account with a password from one of a social provider."""
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
            raise translate_violation(violated) from violated
