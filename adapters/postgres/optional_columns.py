"""Which of the optional columns of Better Auth's tables exist.

Some columns exist only with a plugin or a version of Better Auth. They are looked up at the first
use and then once a minute, so that a plugin counts soon after the front end has added it, without a
restart of this service.
"""

import asyncio
from collections.abc import Set
from typing import Any, Final

from sqlalchemy import Column, String, bindparam, column, select, table

from adapters.postgres.database import Database, Statement
from adapters.postgres.tables import BETTER_AUTH_SCHEMA, OPTIONAL_COLUMNS

REFRESH_SECONDS: Final = 60.0

_columns = table(
    "columns",
    column("table_schema", String),
    column("table_name", String),
    column("column_name", String),
    schema="information_schema",
)
_BY_NAME: Final = {(c.table.name, c.name): c for c in OPTIONAL_COLUMNS}
_LOOK_UP: Final = Statement.compile(
    "optional_columns.look",
    select(_columns.c.table_name, _columns.c.column_name).where(
        _columns.c.table_schema == bindparam("schema", type_=String)
    ),
)

Columns = Set[Column[Any]]


class OptionalColumns:
    """A cache of those `OPTIONAL_COLUMNS` that exist in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._present: frozenset[Column[Any]] | None = None
        self._expires_at = 0.0
        self._refresh: asyncio.Task[frozenset[Column[Any]]] | None = None

    async def __call__(self) -> frozenset[Column[Any]]:
        """The columns that exist. Raises `Unavailable`: a column is never taken to be missing."""
        if self._present is not None and _now() < self._expires_at:
            return self._present
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._look_up())
        elif self._present is not None:
            # One caller waits for the refresh; the others use the expired value.
            return self._present
        # Unlike `await`, this does not cancel a refresh that others wait for.
        await asyncio.wait((self._refresh,))
        return self._refresh.result()

    async def _look_up(self) -> frozenset[Column[Any]]:
        rows = await self._database.fetch_all(_LOOK_UP, {"schema": BETTER_AUTH_SCHEMA})
        self._present = frozenset(_BY_NAME[name] for name in rows if name in _BY_NAME)
        self._expires_at = _now() + REFRESH_SECONDS
        return self._present


def _now() -> float:
    return asyncio.get_running_loop().time()
