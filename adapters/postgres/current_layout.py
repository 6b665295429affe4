"""The layout of Better Auth's tables while the service runs, kept up to date.

The front end's own migrations change its tables while this service runs: a plugin adds columns, a
table is rebuilt. The layout is read again once a minute, and when a statement finds a table or a
column gone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog

from adapters.postgres.catalog import ALL_TABLES, SOME_TABLES, to_tables
from adapters.postgres.database import Database, LayoutChanged, Row, Statement, Values
from adapters.postgres.database_problems import Problem, Severity
from adapters.postgres.discovery import discover
from adapters.postgres.drift import find_problems
from adapters.postgres.layout import Layout, LayoutOptions, UnsupportedLayout
from domain.errors import Unavailable

REFRESH_SECONDS: Final = 60.0

T = TypeVar("T")
Compile = Callable[[Layout], Statement]

_log = structlog.get_logger("taskport.postgres")


class CurrentLayout:
    """The layout, read at the first use. Keeps it up to date between `open` and `close`."""

    def __init__(self, database: Database, options: LayoutOptions) -> None:
        self._database = database
        self._options = options
        #: The layout as of the last read; None if there was none, or if it was refused.
        self.known: Layout | None = None
        self._reading: asyncio.Task[Layout] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        #: Why the layout cannot be used; None if it can, or has not been read.
        self.refusal: str | None = None
        #: The problems as of the last look.
        self._reported: set[str] = set()

    def open(self) -> None:
        self._refreshing = asyncio.create_task(self._refresh())

    async def close(self) -> None:
        for task in (self._refreshing, self._reading):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))

    async def __call__(self) -> Layout:
        """The layout. Raises `Unavailable`, also if the tables cannot be used."""
        return self.known or await self.read()

    async def read(self) -> Layout:
        """Read the layout from the catalog; concurrent callers share one read.

        Raises `Unavailable`, also if the service stops meanwhile.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        # Another caller may begin the next read before this one resumes.
        reading = self._reading
        # Unlike `await`, this does not cancel a read that others wait for.
        await asyncio.wait((reading,))
        if reading.cancelled():
            raise Unavailable
        return reading.result()

    async def _read(self) -> Layout:
        found = await self._find()
        if self.known is None or not self.known.is_same(found):
            if self.known is not None:
                #: The front end has changed its tables.
                _log.info("layout_changed", tables=[str(table) for table in found.tables])
            self.known = found
        return self.known

    async def _find(self) -> Layout:
        try:
            if self.known is not None and self.known.is_complete:
                # No table can be added to these: without the rest of the database, they are enough
                # to see a change.
                rows = await self._database.fetch_all(SOME_TABLES, {"oids": self.known.oids})
                known = {t.catalog.oid: t.catalog for t in self.known.tables}
                if {t.oid: t for t in to_tables(rows)} == known:
                    self.refusal = None
                    return self.known
            rows = await self._database.fetch_all(ALL_TABLES, {})
            found = discover(to_tables(rows), self._options)
            if found is None:
                raise UnsupportedLayout(
                    "Better Auth's tables are gone: run its own migration, then `taskport migrate`"
                )
        except UnsupportedLayout as refusal:
            self._refuse(str(refusal))
            raise Unavailable from refusal
        self.refusal = None
        return found

    def _refuse(self, refusal: str) -> None:
        self.known = None
        if refusal != self.refusal:
            #: Better Auth's tables cannot be used. Requests are 503 until they can.
            _log.error("layout_refused", reason=refusal)
        self.refusal = refusal

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            with suppress(Unavailable):
                self._report(await find_problems(self._database, await self.read()))

    def _report(self, problems: Iterable[Problem]) -> None:
        """Log the problems that are new since the last look."""
        found = {p.message for p in problems if p.severity is not Severity.NOTE}
        for message in sorted(found - self._reported):
            #: A problem that `taskport check` would report, with its cure.
            _log.warning("database_problem", reason=message)
        self._reported = found


@dataclass(frozen=True, slots=True)
class BetterAuthDatabase:
    """Runs statements on Better Auth's tables, each compiled from the current layout.

    A statement that finds a table or a column gone is compiled again from the layout that is there
    now, once. In a transaction it is not: the error has aborted the transaction.
    """

    database: Database
    layout: CurrentLayout
    is_transaction: bool = field(default=False)

    def fetch_one(self, compile: Compile, values: Values) -> Awaitable[Row | None]:
        return self._run(self.database.fetch_one, compile, values)

    def fetch_all(self, compile: Compile, values: Values) -> Awaitable[Sequence[Row]]:
        return self._run(self.database.fetch_all, compile, values)

    def execute(self, compile: Compile, values: Values) -> Awaitable[int]:
        return self._run(self.database.execute, compile, values)

    async def _run(
        self, run: Callable[[Statement, Values], Awaitable[T]], compile: Compile, values: Values
    ) -> T:
        # Almost always known: a call of `layout` would cost each request a coroutine.
        layout = self.layout.known or await self.layout()
        try:
            return await run(compile(layout), values)
        except LayoutChanged:
            return await run(compile(await self._read_again()), values)

    async def _read_again(self) -> Layout:
        layout = await self.layout.read()
        if self.is_transaction:
            raise Unavailable
        return layout
