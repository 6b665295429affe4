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
    select(_columns.c.table_name, _columns.c.column_name).where(
        _columns.c.table_schema == bindparam("schema", type_=String)
    )
)

Columns = Set[Column[Any]]


class OptionalColumns:
    """Those of `OPTIONAL_COLUMNS` that exist in this database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._present: frozenset[Column[Any]] = frozenset()
        self._look_at = 0.0

    async def __call__(self) -> frozenset[Column[Any]]:
        """Raises `Unavailable`."""
        now = asyncio.get_running_loop().time()
        if now >= self._look_at:
            if self._look_at:
                # One of all that ask looks; the others go on with what is known.
                self._look_at = now + LOOK_SECONDS
            try:
                rows = await self._database.fetch_all(_LOOK, {"schema": BETTER_AUTH_SCHEMA})
            except BaseException:
                self._look_at = min(self._look_at, now)
                raise
            self._present = frozenset(_NAMES[name] for name in rows if name in _NAMES)
            self._look_at = now + LOOK_SECONDS
        return self._present
