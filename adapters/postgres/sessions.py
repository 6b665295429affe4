"""Sessions in Better Auth's table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, insert, literal_column, or_, select, update

from adapters.postgres.better_auth_times import first_time, utc_text
from adapters.postgres.current_layout import BetterAuthDatabase
from adapters.postgres.database import ConstraintViolated, Row, Statement
from adapters.postgres.layout import BetterAuthTable, Layout, parameter
from adapters.postgres.user_statements import has_other_owner, user_columns
from adapters.postgres.users import is_of_other_account, to_user, translate_violation
from domain.sessions import Session, SessionNotFound
from domain.users import User

_TIMES_AND_TEXTS: Final = (
    "token",
    "createdAt",
    "updatedAt",
    "expiresAt",
    "ipAddress",
    "userAgent",
)
_WIDTH: Final = len(_TIMES_AND_TEXTS) + 2


def _columns(session: BetterAuthTable) -> list[ColumnElement[Any]]:
    return [
        session.text("id"),
        session.text("userId"),
        *(session.c[name] for name in _TIMES_AND_TEXTS),
    ]


def _table(layout: Layout) -> BetterAuthTable:
    """The table; no statement is made if there is none."""
    assert layout.session is not None
    return layout.session


def _is_own(session: BetterAuthTable) -> ColumnElement[bool]:
    own: ColumnElement[bool] = (session.c.id == parameter("id")) & (
        session.c.userId == parameter("userId")
    )
    return own


def _find(name: str, by: str, layout: Layout) -> Statement:
    session, user = _table(layout), layout.user
    is_found = session.c[by] == parameter("value")
    # Not a join, which takes PostgreSQL longer to plan. `_find` of the store compares the ids: a
    # table without a unique index might have several such rows.
    one: ColumnElement[int] = literal_column("1")
    user_id = select(session.c.userId).where(is_found).limit(one).correlate(None).scalar_subquery()
    return Statement.compile(
        name,
        select(*_columns(session), *user_columns(user, has_other_owner(user))).where(
            is_found, user.c.id == user_id
        ),
    )


@cache
def _find_by_token(layout: Layout) -> Statement:
    return _find("sessions.find_by_token", "token", layout)


@cache
def _find_by_id(layout: Layout) -> Statement:
    return _find("sessions.find_by_id", "id", layout)


@cache
def _list(layout: Layout) -> Statement:
    session = _table(layout)
    return Statement.compile(
        "sessions.list",
        select(*_columns(session))
        .where(session.c.userId == parameter("userId"), session.c.expiresAt >= parameter("now"))
        .order_by(session.c.createdAt.desc(), session.c.id.desc()),
    )


@cache
def _add(layout: Layout) -> Statement:
    session = _table(layout)
    ids = ("userId",) if session.new_id("") is None else ("id", "userId")
    names = session.writable((*ids, *_TIMES_AND_TEXTS))
    return Statement.compile(
        "sessions.add",
        insert(session.table)
        .values({name: parameter(name) for name in names})
        .returning(session.text("id")),
    )


@cache
def _save(layout: Layout) -> Statement:
    session, expires_at = _table(layout), parameter("expiresAt")
    return Statement.compile(
        "sessions.save",
        update(session.table)
        .where(
            _is_own(session),
            or_(session.c.expiresAt.is_(None), session.c.expiresAt < expires_at),
        )
        .values({n: parameter(n) for n in session.writable(("expiresAt", "updatedAt"))}),
    )


@cache
def _exists(layout: Layout) -> Statement:
    session = _table(layout)
    return Statement.compile("sessions.exists", select(session.c.id).where(_is_own(session)))


@cache
def _remove(layout: Layout) -> Statement:
    session = _table(layout)
    return Statement.compile("sessions.remove", delete(session.table).where(_is_own(session)))


@dataclass(frozen=True, slots=True)
class PostgresSessions:
    """A `SessionStore`."""

    database: BetterAuthDatabase

    @property
    def has_foreign_users(self) -> bool:
        return False

    async def find_by_token(self, token: str) -> tuple[Session, User] | None:
        found = await self._find(_find_by_token, token)
        # A column may ignore case.
        return None if found is None or found[0].token != token else found

    async def find_by_id(self, session_id: str) -> tuple[Session, User] | None:
        if not await self._accepts_id(session_id):
            return None
        found = await self._find(_find_by_id, session_id)
        return None if found is None or found[0].id != session_id else found

    async def list(
        self, user_id: str, *, now: datetime, caller: Session | None = None
    ) -> Sequence[Session]:
        values = {"userId": user_id, "now": utc_text(now)}
        return [to_session(row) for row in await self.database.fetch_all(_list, values)]

    async def add(self, session: Session) -> Session:
        table = _table(await self.database.layout())
        stored = replace(
            session,
            id=table.new_id(session.id) or "",
            ip_address=table.cut("ipAddress", session.ip_address),
            user_agent=table.cut("userAgent", session.user_agent),
        )
        try:
            row = await self.database.fetch_one(_add, to_values(stored))
        except ConstraintViolated as violated:
            raise translate_violation(violated) from violated
        assert row is not None
        return replace(stored, id=row[0])

    async def save(self, session: Session) -> None:
        if not await self._accepts_id(session.id):
            raise SessionNotFound
        values = to_values(session)
        if await self.database.execute(_save, values):
            return
        if await self.database.fetch_one(_exists, values) is None:
            raise SessionNotFound

    async def remove(self, session_id: str, user_id: str, *, caller: Session | None = None) -> None:
        if not await self._accepts_id(session_id):
            raise SessionNotFound
        if await self.database.execute(_remove, {"id": session_id, "userId": user_id}) == 0:
            raise SessionNotFound

    async def _accepts_id(self, session_id: str) -> bool:
        """Whether there can be a row with this id."""
        table = (await self.database.layout()).session
        return table is not None and table.accepts_id(session_id)

    async def _find(
        self, compile: Callable[[Layout], Statement], value: str
    ) -> tuple[Session, User] | None:
        row = await self.database.fetch_one(compile, {"value": value})
        if row is None or is_of_other_account(row):
            return None
        session, user = to_session(row[:_WIDTH]), to_user(row[_WIDTH:])
        return (session, user) if session.user_id == user.id else None


def to_session(row: Row) -> Session:
    id, user_id, token, created_at, updated_at, expires_at, ip_address, user_agent = row
    return Session(
        id=id,
        user_id=user_id,
        token=token,
        created_at=first_time(created_at, updated_at),
        updated_at=first_time(updated_at, created_at),
        # A session without an end has ended.
        expires_at=first_time(expires_at),
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
