"""Users in Better Auth's table, and what `taskport.owners` remembers of them."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog

from adapters.postgres import user_statements as statements
from adapters.postgres.better_auth_times import first_time, utc, utc_text
from adapters.postgres.current_layout import BetterAuthDatabase
from adapters.postgres.database import ConstraintViolated, Row
from adapters.postgres.layout import BetterAuthTable
from domain.errors import FieldError, Invalid, Unavailable
from domain.users import AccountInUse, EmailTaken, UnknownUser, User

# The columns of `user_columns`.
_WIDTH: Final = 1 + len(statements.FIELDS) + len(statements.PLUGINS) + 1

_log = structlog.get_logger("taskport.postgres")


@dataclass(frozen=True, slots=True)
class PostgresUsers:
    """A `UserRepository`."""

    database: BetterAuthDatabase

    async def get(self, user_id: str, *, issued_at: datetime | None) -> User:
        values = {"id": user_id, "issued_at": issued_at}
        if not (await self.database.layout()).user.accepts_id(user_id):
            raise UnknownUser
        row = await self.database.fetch_one(statements.get, values)
        # A column may ignore case.
        if row is None or row[0] != user_id or is_of_other_account(row):
            raise UnknownUser
        return to_user(row)

    async def find_by_email(self, email: str) -> User | None:
        row = await self.database.fetch_one(statements.find_by_email, {"email": email})
        return None if row is None else to_user(row)

    async def exists(self) -> bool:
        row = await self.database.fetch_one(statements.any_exists, {})
        return row is not None and bool(row[0])

    async def add(self, user: User) -> User:
        layout = await self.database.layout()
        table = layout.user
        for needed in layout.core_tables:
            if needed.unfilled:
                _log_refusal(needed.unfilled[0])
                raise UnknownUser
        for name, value in (("name", user.name), ("email", user.email)):
            if table.cut(name, value) != value:
                raise Invalid(FieldError(name, "is too long here"))
        values = to_values(replace(user, id=table.new_id(user.id) or ""))
        try:
            row = await self.database.fetch_one(statements.add, values)
        except ConstraintViolated as violated:
            _log_refusal(violated.name)
            raise UnknownUser from violated
        if row is None:
            raise EmailTaken
        return replace(user, id=row[0])

    async def introduce(self, user: User, *, issued_at: datetime | None) -> None:
        table = (await self.database.layout()).user
        if not _is_storable(user, table):
            raise UnknownUser
        values = {**to_values(_fitted(user, table)), "issued_at": issued_at}
        try:
            if await self.database.fetch_one(statements.introduce, values) is not None:
                # An insert that waited for a concurrent deletion has not seen its record.
                if await self.database.execute(statements.remove_if_deleted, values):
                    raise UnknownUser
                return
        except ConstraintViolated as violated:
            # A `not null` column of the front end's own, which we cannot fill.
            _log_refusal(violated.name)
            raise UnknownUser from violated
        row = await self.database.fetch_one(statements.why_not_introduced, values)
        is_reserved, is_there = row or (False, False)
        if is_reserved:
            raise UnknownUser
        if not is_there:
            raise EmailTaken

    async def check_introduction(self, user: User, *, issued_at: datetime | None) -> None:
        table = (await self.database.layout()).user
        if not _is_storable(user, table) or table.unfilled:
            raise UnknownUser
        values = {"id": user.id, "id_text": user.id, "issued_at": issued_at}
        is_reserved, _ = await self.database.fetch_one(statements.why_not_introduced, values) or (
            False,
            False,
        )
        if is_reserved:
            raise UnknownUser
        if await self.find_by_email(user.email) is not None:
            raise EmailTaken

    async def save(self, user: User) -> None:
        table = (await self.database.layout()).user
        try:
            await self.database.execute(statements.save, to_values(_fitted(user, table)))
        except ConstraintViolated as violated:
            # The email's, whatever its name: the id does not change.
            if violated.is_unique:
                raise EmailTaken from violated
            raise translate_violation(violated) from violated

    async def rename(self, user_id: str, name: str, *, now: datetime) -> User:
        values = {"id": user_id, "name": name, "now": utc_text(now)}
        try:
            row = await self.database.fetch_one(statements.rename, values)
        except ConstraintViolated as violated:
            raise Invalid(FieldError("name", "is not allowed here")) from violated
        if row is None:
            raise UnknownUser
        return to_user(row)

    async def release_email(self, email: str) -> bool:
        released = await self.database.execute(statements.release_email, {"email": email})
        if released:
            #: An address is taken from an account that was made by sign-up here and never verified,
            #: or that Better Auth has elsewhere, and does not have any more with this address.
            _log.warning("email_released")
        return bool(released)

    async def remove(self, user_id: str) -> None:
        try:
            await self.database.execute(statements.remove, {"id": user_id})
        except ConstraintViolated as violated:
            if violated.is_foreign_key:
                #: A row of another table references the account, so that it cannot be deleted.
                _log.error("account_in_use", constraint=violated.name)
                raise AccountInUse from violated
            raise translate_violation(violated) from violated
        # The trigger has done it, unless the front end has rebuilt its table.
        await self.database.database.execute(statements.REMOVE_TASKS, {"id_text": user_id})


def _is_storable(user: User, table: BetterAuthTable) -> bool:
    return (
        table.accepts_id(user.id)
        # A number that another database has given may be that of another user here.
        and table.new_id("") is not None
        and table.cut("id", user.id) == user.id
        and table.cut("email", user.email) == user.email
    )


def _fitted(user: User, table: BetterAuthTable) -> User:
    """The user with as much of the claims as the columns can store; half an image is none."""
    image = user.image if table.cut("image", user.image) == user.image else None
    return replace(user, name=table.cut("name", user.name) or "", image=image)


def translate_violation(violated: ConstraintViolated) -> Exception:
    """The error to raise if a row of a user cannot be stored.

    `UnknownUser` if the user does not exist, `Unavailable` if the table has constraints or columns
    of the front end's own, which we cannot satisfy.
    """
    if violated.is_foreign_key:
        return UnknownUser()
    _log_refusal(violated.name)
    return Unavailable()


def _log_refusal(constraint: str) -> None:
    #: A constraint of the front end's tables rejects a row.
    _log.error("row_refused", constraint=constraint)


def is_of_other_account(row: Row) -> bool:
    """Whether a row, which ends with `user_columns`, is of another account than its owner row."""
    if row[-1]:
        #: The id was given to another account before, whose tasks are still there, or the account
        #: was deleted and is there again. `taskport check` tells how to mend it.
        _log.warning("owner_conflict", user_id=row[-_WIDTH])
    return bool(row[-1])


def to_user(row: Row) -> User:
    (id, email, name, email_verified, image, created_at, updated_at), plugins = row[:7], row[7:10]
    second_factor, banned, ban_expires_at = plugins
    return User(
        id=id,
        email=email or "",
        name=name or "",
        email_verified=bool(email_verified),
        image=image,
        created_at=first_time(created_at, updated_at),
        updated_at=first_time(updated_at, created_at),
        has_second_factor=bool(second_factor),
        banned=bool(banned),
        ban_expires_at=None if ban_expires_at is None else utc(ban_expires_at),
    )


def to_values(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "id_text": user.id,
        "email": user.email,
        "name": user.name,
        "emailVerified": user.email_verified,
        "image": user.image,
        "createdAt": utc_text(user.created_at),
        "updatedAt": utc_text(user.updated_at),
    }
