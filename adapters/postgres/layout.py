"""Where Better Auth's tables are, and how they are named and typed.

Better Auth's own generators, and its options `modelName`, `fields` and `usePlural`, give its tables
many forms. A `Layout` describes the one of this database. Statements on these tables are compiled
from it; no other module knows a name of theirs.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
)
from sqlalchemy.types import UserDefinedType

from adapters.postgres.catalog import CatalogColumn, CatalogTable
from adapters.postgres.tables import SCHEMA

ModelName = Literal["user", "session", "account", "verification", "jwks"]

DEFAULT_SCHEMA: Final = "public"
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAX_INTEGERS: Final = {"integer": 2**31 - 1, "bigint": 2**63 - 1}
#: The types that need no cast to be read as text, and whose text is what was stored.
_TEXT_TYPES: Final = re.compile(r"text|character varying(\(\d+\))?")


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Better Auth's options of one model."""

    #: `modelName`: the name of the table; None if the catalog decides.
    table: str | None = None
    #: `fields`: the name of the column, by the name of the field.
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class LayoutOptions:
    """The operator's settings `BETTER_AUTH_SCHEMA` and `BETTER_AUTH_MODELS`."""

    #: The schema of the tables; empty if the catalog decides.
    schema: str = ""
    models: Mapping[str, ModelOptions] = field(default_factory=lambda: MappingProxyType({}))
    #: Whether Better Auth's sessions are in this database, by `BETTER_AUTH_SESSIONS`. If not, its
    #: other tables may be elsewhere as well.
    has_sessions: bool = True

    @property
    def new_schema(self) -> str:
        """The schema in which the tables are created, if there are none.

        Ours, if Better Auth has its own elsewhere: its migration would not expect them.
        """
        return self.schema or (DEFAULT_SCHEMA if self.has_sessions else SCHEMA)

    @property
    def cure(self) -> str:
        """The advice to an operator whose table only resembles one of Better Auth's."""
        return (
            "set BETTER_AUTH_SCHEMA to the schema in which Better Auth's tables are, or are to be"
            f" made{'' if self.has_sessions else f': {SCHEMA}, if none of these is'}"
        )

    def of(self, model: str) -> ModelOptions:
        return self.models.get(model, ModelOptions())


ANY_LAYOUT: Final = LayoutOptions()


class UnsupportedLayout(Exception):
    """Better Auth's tables cannot be used, or not be told from others.

    The message is one sentence for the operator, with its cure.
    """


class AnyType(UserDefinedType[Any]):
    """The type of every column of theirs.

    Parameters of this type are not cast, so that PostgreSQL gives them the type of the column: a
    time with or without a time zone, an id that is text, a uuid or a number.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "text"


def parameter(name: str) -> BindParameter[Any]:
    """A parameter of a statement on their tables."""
    return bindparam(name, type_=AnyType())


@dataclass(frozen=True, eq=False)
class BetterAuthTable:
    """One of Better Auth's tables."""

    model: ModelName
    catalog: CatalogTable
    #: The columns that this service knows, by the names that Better Auth's fields have.
    columns: Mapping[str, CatalogColumn]

    def __str__(self) -> str:
        return str(self.catalog)

    @property
    def id(self) -> CatalogColumn:
        return self.columns["id"]

    @cached_property
    def table(self) -> Table:
        """The table for statements; its columns have the names of Better Auth's fields as keys."""
        return Table(
            self.catalog.name,
            MetaData(),
            *(Column(c.name, AnyType(), key=name) for name, c in self.columns.items()),
            schema=self.catalog.schema,
            quote=True,
            quote_schema=True,
        )

    @property
    def c(self) -> Any:
        return self.table.c

    @property
    def unfilled(self) -> tuple[str, ...]:
        """The required columns that this service does not know, so that it cannot insert a row."""
        known = {column.name for column in self.columns.values()}
        return tuple(
            column.name
            for column in self.catalog.columns
            if column.name not in known
            and not (column.is_nullable or column.has_default or column.is_generated)
        )

    def text(self, name: str) -> ColumnElement[Any]:
        """A column of any type as text: the id of a row as clients see it."""
        column: ColumnElement[Any] = self.c[name]
        return column if _TEXT_TYPES.fullmatch(self.columns[name].type) else cast(column, Text)

    def time(self, name: str) -> ColumnElement[Any]:
        """A time as `timestamptz`; a column without a time zone is in UTC."""
        column: ColumnElement[Any] = self.c[name]
        is_zoned = self.columns[name].kind == "timestamptz"
        return column if is_zoned else func.timezone(literal_column("'UTC'"), column)

    def accepts_id(self, text: str, name: str = "id") -> bool:
        """Whether `text` is the one spelling of an id that a row could have.

        PostgreSQL would read `01` as the number 1, and an uppercase uuid as the same uuid.
        """
        kind = self.columns[name].kind
        if kind == "uuid":
            return _UUID.fullmatch(text) is not None
        if kind in _MAX_INTEGERS:
            return _INTEGER.fullmatch(text) is not None and abs(int(text)) <= _MAX_INTEGERS[kind]
        return True

    def new_id(self, candidate: str) -> str | None:
        """The id of a new row: `candidate` if the column is text, a uuid, or None for the database
        to number it.
        """
        kind = self.id.kind
        if kind == "uuid":
            return str(uuid.uuid4())
        return None if kind in _MAX_INTEGERS else candidate

    def is_deleted_with(self, user: "BetterAuthTable") -> bool:
        """Whether deleting a user deletes its rows in this table, by a foreign key."""
        return any(
            key.is_cascading
            and key.table == user.catalog.oid
            and key.column == self.columns["userId"].name
            for key in self.catalog.foreign_keys
        )

    def writable(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the columns that can be written: all but generated ones."""
        return tuple(name for name in names if not self.columns[name].is_generated)

    def cut(self, name: str, value: str | None) -> str | None:
        """The text, as much of it as the column can store."""
        column = self.columns[name]
        return value if value is None else value[: column.max_length]


@dataclass(frozen=True, slots=True)
class DeletionTarget:
    """The table whose deletions are those of users: that of a view, if `user` is one."""

    table: CatalogTable
    id_column: str
    #: The time at which the row was created, if there is one.
    created_column: str | None
    created_has_zone: bool


@dataclass(frozen=True, eq=False)
class Layout:
    """Better Auth's tables in this database.

    Compared by identity, so that a statement can be cached by the layout that it is compiled from.
    """

    user: BetterAuthTable
    #: None only if Better Auth keeps its sessions elsewhere.
    session: BetterAuthTable | None
    account: BetterAuthTable
    verification: BetterAuthTable | None = None
    #: None without the jwt plugin, or if its keys are in another database.
    jwks: BetterAuthTable | None = None
    #: None if `user` is a view of several tables.
    deletion_target: DeletionTarget | None = None

    @property
    def core_tables(self) -> tuple[BetterAuthTable, ...]:
        """Those that a sign-up fills."""
        every = (self.user, self.account, self.session)
        return tuple(table for table in every if table is not None)

    @property
    def tables(self) -> tuple[BetterAuthTable, ...]:
        every = (self.user, self.session, self.account, self.verification, self.jwks)
        return tuple(table for table in every if table is not None)

    @property
    def is_complete(self) -> bool:
        """Whether Better Auth could add none of the tables that this service reads."""
        return self.session is not None and self.jwks is not None

    @property
    def oids(self) -> str:
        """The tables, as the text of an array of `oid`s."""
        return "{" + ",".join(str(table.catalog.oid) for table in self.tables) + "}"

    def is_same(self, other: "Layout") -> bool:
        """Whether both have the same tables, columns and types."""
        return [(t.model, t.catalog) for t in self.tables] == [
            (t.model, t.catalog) for t in other.tables
        ]
