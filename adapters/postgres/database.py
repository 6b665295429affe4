"""The `Database` protocol: the seam between the repositories and PostgreSQL.

Repositories run `Statement`s on a `Database` and know neither connection pool nor driver. Every
implementation keeps its deadlines and raises only `Unavailable` (PostgreSQL is unreachable, too
slow, or asks to try again; `LayoutChanged` if a table or a column is gone), `Invalid` (a value that
no column can hold) and `ConstraintViolated` (for the repository to translate).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql.dml import UpdateBase

from domain.errors import Unavailable

Row = tuple[Any, ...]
Values = Mapping[str, object]

_DIALECT = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Statement:
    """SQL text with numbered parameters, compiled once, when the module is imported."""

    #: The name in logs and metrics.
    name: str
    sql: str
    #: The names of the parameters, in the order of their numbers.
    parameters: tuple[str, ...] = ()
    is_write: bool = False
    #: The parameter that names the row which the statement locks before any other, if many
    #: statements lock the same one.
    lock: str | None = None

    @classmethod
    def compile(
        cls, name: str, clause: ClauseElement, *, is_write: bool = False, lock: str | None = None
    ) -> Self:
        """Compile a SQLAlchemy Core clause in which every value is a named `bindparam`.

        `is_write` is for a `select` from the changes of a CTE.
        """
        compiled = clause.compile(dialect=_DIALECT)
        parameters = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]
        is_write = is_write or isinstance(clause, UpdateBase)
        return cls(name, str(compiled), parameters, is_write=is_write, lock=lock)

    @cached_property
    def encoded(self) -> bytes:
        return self.sql.encode()

    def bind(self, values: Values) -> list[object]:
        return [values[name] for name in self.parameters]


class ConstraintViolated(Exception):
    """A row violates a constraint.

    `name` is the name of the constraint; of a `not null` constraint without one, the column's.
    """

    def __init__(self, name: str, *, is_unique: bool, is_foreign_key: bool = False) -> None:
        super().__init__(name)
        self.name = name
        self.is_unique = is_unique
        self.is_foreign_key = is_foreign_key


class LayoutChanged(Unavailable):
    """A table or a column is not there, or not of the type that it had."""


class Database(Protocol):
    """Runs statements, each in a transaction of its own. The module says what it raises."""

    async def fetch_one(self, statement: Statement, values: Values) -> Row | None: ...

    async def fetch_all(self, statement: Statement, values: Values) -> Sequence[Row]: ...

    async def execute(self, statement: Statement, values: Values) -> int:
        """Run a statement and return the number of rows that it changed."""

    async def execute_many(self, statement: Statement, rows: Iterable[Values]) -> None:
        """Run the statement for each of `rows`, in one transaction."""


class Transaction(Database, Protocol):
    """Runs its statements in one transaction, which is rolled back unless it is committed."""

    async def commit(self) -> None: ...


class TransactionalDatabase(Database, Protocol):
    """A `Database` that can also run several statements in one transaction."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...
