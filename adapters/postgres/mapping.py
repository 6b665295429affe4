"""Conversion between rows and entities whose columns have the names of the entity's fields."""

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from enum import Enum
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from sqlalchemy import ColumnElement, Table

from adapters.postgres.database import Row

E = TypeVar("E")


class RowMapping(Generic[E]):
    """Made once per entity, at import: a new field of the entity needs only its column.

    Times are read in UTC, members of an `Enum` are stored by value. A value of any other type is
    passed on as psycopg has it.
    """

    def __init__(self, entity: type[E], table: Table) -> None:
        types = get_type_hints(entity)
        self._entity = entity
        #: The names of the fields.
        self.names = tuple(field.name for field in fields(entity))  # type: ignore[arg-type]
        #: The columns in the order of the fields: `from_row` expects them selected so.
        self.columns: tuple[ColumnElement[Any], ...] = tuple(table.c[name] for name in self.names)
        self._width = len(self.names)
        self._readers = [
            (index, reader)
            for index, name in enumerate(self.names)
            if (reader := _reader(_without_none(types[name]))) is not None
        ]
        self._enums = [name for name in self.names if _is_enum(_without_none(types[name]))]
        self._values_of = attrgetter(*self.names)

    def from_row(self, row: Row) -> E:
        """The entity of a row that begins with `columns`."""
        values = list(row[: self._width])
        for index, reader in self._readers:
            value = values[index]
            if value is not None:
                values[index] = reader(value)
        return self._entity(*values)

    def to_values(self, entity: E) -> dict[str, Any]:
        """The value of each column, by name."""
        values = dict(zip(self.names, self._values_of(entity), strict=True))
        for name in self._enums:
            value = values[name]
            if value is not None:
                values[name] = value.value
        return values


def _without_none(annotation: Any) -> Any:
    """`X` of `X | None`."""
    types = [arg for arg in get_args(annotation) if arg is not type(None)]
    return types[0] if len(types) == 1 else annotation


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _reader(kind: Any) -> Callable[[Any], Any] | None:
    if kind is datetime:
        return _to_utc
    if _is_enum(kind):
        return {member.value: member for member in kind}.__getitem__
    return None


def _to_utc(time: datetime) -> datetime:
    return time.astimezone(UTC)
