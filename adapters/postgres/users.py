"""Users in Better Auth's table `"user"`, and the deletions of accounts in `owners`."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    DateTime,
    Text,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.database import ConstraintViolated, Database, Row, Statement
from adapters.postgres.optional_columns import Columns, OptionalColumns
from adapters.postgres.tables import OWNERS, USERS
from domain.errors import FieldError, Invalid, Unavailable
from domain.users import EmailTaken, UnknownUser, User

_log = structlog.get_logger("taskport.postgres")
_ID = bindparam("id", type_=Text)
_ISSUED_AT = bindparam("issued_at", type_=DateTime(timezone=True))
_COLUMNS = ("id", "email", "name", "emailVerified", "image", "createdAt", "updatedAt")
_USER = [USERS.c[name] for name in _COLUMNS]
_PLUGINS = [USERS.c[name] for name in ("twoFactorEnabled", "banned", "banExpires")]
_UPDATED = ("email", "name", "emailVerified", "image", "updatedAt")

_deleted_since = (
    exists()
    .where(OWNERS.c.id == _ID, OWNERS.c.last_deleted_at.is_not(None))
    .where(or_(_ISSUED_AT.is_(None), OWNERS.c.last_deleted_at >= _ISSUED_AT))
)
_EXISTS = Statement.compile("users.exists", select(exists().select_from(USERS)))
_ADD = Statement.compile(
    "users.add",
    insert(USERS)
    .from_select(
        _COLUMNS,
        select(*[bindparam(name, type_=USERS.c[name].type) for name in _COLUMNS]).where(
            ~_deleted_since
        ),
    )
    # On a conflict of the id or of the address: of two concurrent sign-ups of the same user, either
    # can come first. Without an error, because an error would abort the transaction.
    .on_conflict_do_nothing(),
)
_WHY_NOT_ADDED = Statement.compile(
    "users.why_not_added",
    select(_deleted_since, exists().select_from(USERS).where(USERS.c.id == _ID)),
)
_SAVE = Statement.compile(
    "users.save",
    update(USERS)
    .where(USERS.c.id == _ID, USERS.c.updatedAt < bindparam("updatedAt"))
    .values({name: bindparam(name) for name in _UPDATED}),
)
_REMOVE = Statement.compile("users.remove", delete(USERS).where(USERS.c.id == _ID))
_REMOVE_IF_DELETED = Statement.compile(
    "users.remove_if_deleted", delete(USERS).where(USERS.c.id == _ID, _deleted_since)
)


def user_columns(present: Columns) -> list[ColumnElement[Any]]:
    """The columns that `to_user` reads; null for a plugin's column that does not exist."""
    return [*_USER, *(column if column in present else null() for column in _PLUGINS)]


@cache
def _get(present: Columns) -> Statement:
    return Statement.compile(
        "users.get", select(*user_columns(present)).where(USERS.c.id == _ID, ~_deleted_since)
    )


@cache
def _find_by_email(present: Columns) -> Statement:
    return Statement.compile(
        "users.find_by_email",
        select(*user_columns(present)).where(USERS.c.email == bindparam("email")),
    )


@cache
def _rename(present: Columns) -> Statement:
    newer = func.greatest(
        bindparam("now", type_=USERS.c.updatedAt.type),
        USERS.c.updatedAt + literal_column("interval '1 microsecond'"),
    )
    return Statement.compile(
        "users.rename",
        update(USERS)
        .where(USERS.c.id == _ID)
        .values(name=bindparam("name"), updatedAt=newer)
        .returning(*user_columns(present)),
    )


@dataclass(frozen=True, slots=True)
class PostgresUsers:
    """A `UserRepository`."""

    database: Database
    optional: OptionalColumns

    async def get(self, user_id: str, *, issued_at: datetime | None) -> User:
        get = _get(await self.optional())
        row = await self.database.fetch_one(get, {"id": user_id, "issued_at": issued_at})
        if row is None:
            raise UnknownUser
        return to_user(row)

    async def find_by_email(self, email: str) -> User | None:
        find = _find_by_email(await self.optional())
        row = await self.database.fetch_one(find, {"email": email})
        return None if row is None else to_user(row)

    async def exists(self) -> bool:
        row = await self.database.fetch_one(_EXISTS, {})
        return row is not None and bool(row[0])

    async def add(self, user: User, *, issued_at: datetime | None) -> None:
        values = {**to_values(user), "issued_at": issued_at}
        try:
            if await self.database.execute(_ADD, values):
                # An insert that waited for a concurrent deletion has not seen its record in
                # `owners`.
                if await self.database.execute(_REMOVE_IF_DELETED, values):
                    raise UnknownUser
                return
        except ConstraintViolated as violated:
            # A `not null` column of the front end's own, which we cannot fill.
            #: A constraint of the front end's tables rejects a row.
            _log.error("row_refused", constraint=violated.name)
            raise UnknownUser from violated
        row = await self.database.fetch_one(_WHY_NOT_ADDED, values)
        was_deleted, is_there = row or (False, False)
        if was_deleted:
            raise UnknownUser
        if not is_there:
            raise EmailTaken

    async def save(self, user: User) -> None:
        try:
            await self.database.execute(_SAVE, to_values(user))
        except ConstraintViolated as violated:
            # The email's, whatever its name: the id does not change.
            if violated.is_unique:
                raise EmailTaken from violated
            raise translate_violation(violated) from violated

    async def rename(self, user_id: str, name: str, *, now: datetime) -> User:
        rename = _rename(await self.optional())
        values = {"id": user_id, "name": name, "now": utc_text(now)}
        try:
            row = await self.database.fetch_one(rename, values)
        except ConstraintViolated as violated:
            raise Invalid(FieldError("name", "is not allowed here")) from violated
        if row is None:
            raise UnknownUser
        return to_user(row)

    async def remove(self, user_id: str) -> None:
        # A trigger records the deletion in `owners`, also when the front end deletes the row.
        await self.database.execute(_REMOVE, {"id": user_id})


def translate_violation(violated: ConstraintViolated) -> Exception:
    """The error to raise if a row of a user cannot be stored.

    `UnknownUser` if the user does not exist, `Unavailable` if the table has constraints or columns
    of the front end's own, which we cannot satisfy.
    """
    if violated.is_foreign_key:
        return UnknownUser()
    _log.error("row_refused", constraint=violated.name)
    return Unavailable()


def to_user(row: Row) -> User:
    (id, email, name, email_verified, image, created_at, updated_at), plugins = row[:7], row[7:]
    second_factor, banned, ban_expires_at = plugins
    return User(
        id=id,
        email=email,
        name=name,
        email_verified=email_verified,
        image=image,
        created_at=utc(created_at),
        updated_at=utc(updated_at),
        has_second_factor=bool(second_factor),
        banned=bool(banned),
        ban_expires_at=None if ban_expires_at is None else utc(ban_expires_at),
    )


def to_values(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "emailVerified": user.email_verified,
        "image": user.image,
        "createdAt": utc_text(user.created_at),
        "updatedAt": utc_text(user.updated_at),
    }


def utc(time: datetime) -> datetime:
    """A time from one of Better Auth's tables; a column without a time zone is in UTC."""
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def utc_text(time: datetime) -> str:
    """A time for one of Better Auth's tables, as text.

    For a column without a time zone, PostgreSQL ignores the offset in a text, but converts a
    `timestamptz` to the server's time zone.
    """
    return time.astimezone(UTC).isoformat()
