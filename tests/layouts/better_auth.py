"""Rows as Better Auth writes them into each layout."""

import secrets
import string
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.layouts.dump import Dump

#: A hash that Better Auth made, and its password.
PASSWORD: Final = "correct horse \ufb01 \u2126 battery"
_HASH: Final = (
    "2f47d4d0460f3ab0b3512a637bbc483b:daf37c2671dcaecdc30bed88967c7feb50aaf93eb7e14d2aeaf7466e3950"
    "242654bab80c885c7a8ea4c87759b9b95a4fb990536acc19302f4058aae4e2bccd99"
)
_ALPHABET: Final = string.ascii_letters + string.digits
_WEEK: Final = timedelta(days=7)
_HOUR: Final = timedelta(hours=1)

Row = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """A user with a password and one session."""

    #: As text, whatever the type of the column is.
    id: str
    email: str
    session_id: str
    token: str


class BetterAuth:
    """Writes and reads rows as a Better Auth server with this layout does."""

    def __init__(self, url: str, dump: Dump) -> None:
        self.url = url
        self.dump = dump
        self._connection: psycopg.Connection[Row] | None = None

    def sign_up(self, **user: Any) -> Person:
        """A user who signed up an hour ago. All of its times differ."""
        with self.on_one_connection():
            user_id, email = self.add_user(**user)
            session_id, token = self.add_session(user_id)
        return Person(user_id, email, session_id, token)

    def add_user(self, **values: Any) -> tuple[str, str]:
        """The id and the address of a new user with a password."""
        email = values.pop("email", f"{uuid.uuid4().hex}@example.com")
        now = now_in_milliseconds() - _HOUR
        user_id = self.insert(
            "user",
            **{
                "name": "Ada",
                "email": email,
                "emailVerified": False,
                "image": "https://example.com/ada.png",
                "createdAt": now,
                "updatedAt": now + timedelta(minutes=1),
                **values,
            },
        )
        self.insert(
            "account",
            accountId=user_id,
            providerId="credential",
            userId=user_id,
            password=_HASH,
            createdAt=now + timedelta(minutes=2),
            updatedAt=now + timedelta(minutes=2),
        )
        return user_id, email

    def add_session(self, user_id: str, **values: Any) -> tuple[str, str]:
        """The id and the token of a new session."""
        now = now_in_milliseconds() - _HOUR
        token = f"TokenOf{random_id()}"[:32]
        session_id = self.insert(
            "session",
            **{
                "expiresAt": now + _WEEK,
                "token": token,
                "createdAt": now + timedelta(minutes=3),
                "updatedAt": now + timedelta(minutes=4),
                "ipAddress": "203.0.113.7",
                "userAgent": "Firefox",
                "userId": user_id,
                **values,
            },
        )
        return session_id, token

    def insert(self, model: str, **values: Any) -> str:
        """The id of a new row, as text."""
        if self.dump.ids != "serial":
            new_id = random_id() if self.dump.ids == "text" else str(uuid.uuid4())
            values = {"id": new_id, **values}
        statement = sql.SQL("insert into {} ({}) values ({}) returning {}::text").format(
            self.dump.table(model),
            sql.SQL(", ").join(self.dump.column(model, field) for field in values),
            sql.SQL(", ").join(sql.SQL(f"${n}") for n in range(1, len(values) + 1)),
            self.dump.column(model, "id"),
        )
        with self._connected() as connection:
            row = connection.execute(statement, [self._stored(v) for v in values.values()])
            [found] = row.fetchall()
        return str(next(iter(found.values())))

    def rows(self, model: str, field: str, value: Any) -> list[Row]:
        """The rows of a model with this value in a field; ids are text, and times are in UTC."""
        columns = self.dump.columns[model]
        statement = sql.SQL("select {} from {} where {}::text = $1 order by 1").format(
            sql.SQL(", ").join(
                sql.SQL("{} as {}").format(self.dump.column(model, each), sql.Identifier(each))
                for each in columns
            ),
            self.dump.table(model),
            self.dump.column(model, field),
        )
        with self._connected() as connection:
            found = connection.execute(statement, [value]).fetchall()
        return [{k: self._loaded(k, v) for k, v in row.items()} for row in found]

    def row(self, model: str, field: str, value: Any) -> Row:
        """The only such row."""
        [row] = self.rows(model, field, value)
        return row

    def execute(self, template: LiteralString, model: str, *values: Any) -> None:
        """Run a statement with parameters `$1` etc.: see `Dump.query`."""
        with self._connected() as connection:
            stored = [self._stored(value) for value in values]
            connection.execute(self.dump.query(template, model), stored)

    def _stored(self, value: Any) -> Any:
        if isinstance(value, datetime) and not self.dump.zoned:
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

    def _loaded(self, field: str, value: Any) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return str(value) if field in ("id", "userId") else value

    @contextmanager
    def on_one_connection(self) -> Iterator[None]:
        """Within this block, do not connect for each statement: that takes longer than most."""
        with self._connected() as connection:
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Row]]:
        if self._connection is not None:
            yield self._connection
            return
        with psycopg.connect(
            self.url,
            autocommit=True,
            row_factory=dict_row,
            # A name may contain `%`.
            cursor_factory=psycopg.RawCursor,
        ) as connection:
            yield connection


def random_id() -> str:
    """An id or a token as Better Auth generates it."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(32))


def now_in_milliseconds() -> datetime:
    """The current time with the precision of JavaScript."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
