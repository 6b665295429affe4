"""The seam between the repositories and Postgres.

Repositories speak to a `Database` in `Statement`s and know neither pool nor driver. Whoever
implements it answers in time and raises only what is named here: `Unavailable` where Postgres
does not answer or asks to try again, `Invalid` for a value that it cannot hold, and
`ConstraintViolated` for the repository to read.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql.dml import UpdateBase

Row = tuple[Any, ...]
Values = Mapping[str, object]

_DIALECT = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Statement:
    """SQL text and the names of its parameters, in order. Compiled once, when it is defined.

    `name` is what logs and metrics call it.
    """

    name: str
    sql: str
    parameters: tuple[str, ...] = ()
    is_write: bool = False

    @classmethod
    def compile(cls, name: str, clause: ClauseElement) -> Self:
        """From SQLAlchemy Core, where every value is a named `bindparam`."""
        compiled = clause.compile(dialect=_DIALECT)
        parameters = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]
        return cls(name, str(compiled), parameters, is_write=isinstance(clause, UpdateBase))

    @cached_property
    def encoded(self) -> bytes:
        return self.sql.encode()

    def bind(self, values: Values) -> list[object]:
        return [values[name] for name in self.parameters]


class ConstraintViolated(Exception):
    """A constraint refused a row; `name` is the constraint's, or the column's, where it has one."""

    def __init__(self, name: str, *, is_unique: bool, is_foreign_key: bool = False) -> None:
        super().__init__(name)
        self.name = name
        self.is_unique = is_unique
        self.is_foreign_key = is_foreign_key


class Database(Protocol):
    """Runs statements, each in a transaction of its own. For what it raises, see the module."""

    async def fetch_one(self, statement: Statement, values: Values) -> Row | None: ...

    async def fetch_all(self, statement: Statement, values: Values) -> Sequence[Row]: ...

    async def execute(self, statement: Statement, values: Values) -> int:
        """The number of rows that were changed."""

    async def execute_many(self, statement: Statement, rows: Iterable[Values]) -> None:
        """The same statement for each of `rows`: all of them, or none."""


class Transaction(Database, Protocol):
    """Runs its statements in one transaction, which ends undone unless it is committed."""

    async def commit(self) -> None: ...


class TransactionalDatabase(Database, Protocol):
    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...
