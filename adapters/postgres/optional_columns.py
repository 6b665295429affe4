"""Which of the columns that Better Auth's tables may have are there.

Plugins of Better Auth's bring columns along, and versions of it come and go with theirs. They are
looked for at the first use, and once a minute from then on: who adds a second factor to the front
end need not remember to start this service anew.
"""

import asyncio
from collections.abc import Set
from typing import Any, Final

from sqlalchemy import Column, String, bindparam, column, select, table

from adapters.postgres.database import Database, Statement
from adapters.postgres.tables import BETTER_AUTH_SCHEMA, OPTIONAL_COLUMNS

LOOK_SECONDS: Final = 60.0

_columns = table(
    "columns",
    column("table_schema", String),
    column("table_name", String),
    column("column_name", String),
    schema="information_schema",
)
_NAMES: Final = {(c.table.name, c.name): c for c in OPTIONAL_COLUMNS}
_LOOK: Final = Statement.compile(
    "optional_columns.look",
    select(_columns.c.table_name, _columns.c.column_name).where(
        _columns.c.table_schema == bindparam("schema", type_=String)
    ),
)

Columns = Set[Column[Any]]


class OptionalColumns:
    """Those of `OPTIONAL_COLUMNS` that exist in this database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._present: frozenset[Column[Any]] | None = None
        self._look_at = 0.0
        self._look: asyncio.Task[frozenset[Column[Any]]] | None = None

    async def __call__(self) -> frozenset[Column[Any]]:
        """Raises `Unavailable`."""
        if self._present is not None and _now() < self._look_at:
            return self._present
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._find())
        elif self._present is not None:
            # One of all that ask waits for the look; the others go on with what is known.
            return self._present
        # Unlike `await`, this does not cancel what others wait for as well.
        await asyncio.wait((self._look,))
        return self._look.result()

    async def _find(self) -> frozenset[Column[Any]]:
        rows = await self._database.fetch_all(_LOOK, {"schema": BETTER_AUTH_SCHEMA})
        self._present = frozenset(_NAMES[name] for name in rows if name in _NAMES)
        self._look_at = _now() + LOOK_SECONDS
        return self._present


def _now() -> float:
    return asyncio.get_running_loop().time()
