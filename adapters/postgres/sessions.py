"""Sessions in Better Auth's table `"session"`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, delete, insert, select, update

from adapters.postgres.database import ConstraintViolated, Database, Row, Statement
from adapters.postgres.optional_columns import Columns, OptionalColumns
from adapters.postgres.tables import SESSIONS, USERS
from adapters.postgres.users import to_user, translate_violation, user_columns, utc, utc_text
from domain.sessions import Session, SessionNotFound
from domain.users import User

_COLUMNS = (
    "id",
    "userId",
    "token",
    "createdAt",
    "updatedAt",
    "expiresAt",
    "ipAddress",
    "userAgent",
)
_SESSION = [SESSIONS.c[name] for name in _COLUMNS]
_OWN = (SESSIONS.c.id == bindparam("id", type_=Text)) & (
    SESSIONS.c.userId == bindparam("userId", type_=Text)
)

_LIST = Statement.compile(
    "sessions.list",
    select(*_SESSION)
    .where(SESSIONS.c.userId == bindparam("userId"), SESSIONS.c.expiresAt >= bindparam("now"))
    .order_by(SESSIONS.c.createdAt.desc(), SESSIONS.c.id.desc()),
)
_ADD = Statement.compile(
    "sessions.add", insert(SESSIONS).values({name: bindparam(name) for name in _COLUMNS})
)
_SAVE = Statement.compile(
    "sessions.save",
    update(SESSIONS)
    .where(_OWN, SESSIONS.c.expiresAt < bindparam("expiresAt"))
    .values(expiresAt=bindparam("expiresAt"), updatedAt=bindparam("updatedAt")),
)
_EXISTS = Statement.compile("sessions.exists", select(SESSIONS.c.id).where(_OWN))
_REMOVE = Statement.compile("sessions.remove", delete(SESSIONS).where(_OWN))


@cache
def _find(by: ColumnElement[Any], present: Columns) -> Statement:
    return Statement.compile(
        "sessions.find",
        select(*_SESSION, *user_columns(present))
        .join_from(SESSIONS, USERS, USERS.c.id == SESSIONS.c.userId)
        .where(by == bindparam("value", type_=Text)),
    )


@dataclass(frozen=True, slots=True)
class PostgresSessions:
    """A `SessionStore`."""

    database: Database
    optional: OptionalColumns

    async def find_by_token(self, token: str) -> tuple[Session, User] | None:
        return await self._find(SESSIONS.c.token, token)

    async def find_by_id(self, session_id: str) -> tuple[Session, User] | None:
        return await self._find(SESSIONS.c.id, session_id)

    async def list(self, user_id: str, *, now: datetime) -> Sequence[Session]:
        rows = await self.database.fetch_all(_LIST, {"userId": user_id, "now": utc_text(now)})
        return [to_session(row) for row in rows]

    async def add(self, session: Session) -> None:
        try:
            await self.database.execute(_ADD, to_values(session))
        except ConstraintViolated as violated:
            raise translate_violation(violated) from violated

    async def save(self, session: Session) -> None:
        values = to_values(session)
        if await self.database.execute(_SAVE, values):
            return
        if await self.database.fetch_one(_EXISTS, values) is None:
            raise SessionNotFound

    async def remove(self, session_id: str, user_id: str) -> None:
        if await self.database.execute(_REMOVE, {"id": session_id, "userId": user_id}) == 0:
            raise SessionNotFound

    async def _find(self, by: ColumnElement[Any], value: str) -> tuple[Session, User] | None:
        find = _find(by, await self.optional())
        row = await self.database.fetch_one(find, {"value": value})
        if row is None:
            return None
        return to_session(row[: len(_COLUMNS)]), to_user(row[len(_COLUMNS) :])


def to_session(row: Row) -> Session:
    id, user_id, token, created_at, updated_at, expires_at, ip_address, user_agent = row
    return Session(
        id=id,
        user_id=user_id,
        token=token,
        created_at=utc(created_at),
        updated_at=utc(updated_at),
        expires_at=utc(expires_at),
        # Better Auth stores an empty text if it does not know the value.
        ip_address=ip_address or None,
        user_agent=user_agent or None,
    )


def to_values(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "userId": session.user_id,
        "token": session.token,
        "createdAt": utc_text(session.created_at),
        "updatedAt": utc_text(session.updated_at),
        "expiresAt": utc_text(session.expires_at),
        "ipAddress": session.ip_address,
        "userAgent": session.user_agent,
    }
