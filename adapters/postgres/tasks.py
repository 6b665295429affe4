"""Tasks in the table `taskport.tasks`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Final, NoReturn

from sqlalchemy import (
    ColumnElement,
    Text,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from adapters.postgres.database import ConstraintViolated, Database, Statement
from adapters.postgres.mapping import RowMapping
from adapters.postgres.owners import PostgresOwners
from adapters.postgres.tables import OWNERS, TASKS
from domain.tasks import (
    StaleTask,
    Task,
    TaskNotFound,
    TaskNotYours,
    TaskPage,
    TaskQuery,
    TaskSort,
)
from domain.users import UnknownUser

_ROWS: Final = RowMapping(Task, TASKS)
_owner_of = attrgetter("user_id")
to_task, to_values = _ROWS.from_row, _ROWS.to_values
_INSERTED = tuple(name for name in _ROWS.names if name != "id")
_UPDATED = tuple(name for name in _INSERTED if name not in ("user_id", "created_at"))
_BY_ID = TASKS.c.id == bindparam("id")
_OWN = _BY_ID & (TASKS.c.user_id == bindparam("user_id"))
_AT_VERSION = TASKS.c.version == bindparam("expected_version")

# Every write locks the row of its owner first, as the trigger does that deletes the tasks of a
# deleted account: so none deadlocks with another, and none writes for an account that is deleted.
_owner = (
    select(OWNERS.c.id)
    .where(OWNERS.c.id == bindparam("user_id", type_=Text), OWNERS.c.deleted_at.is_(None))
    .with_for_update(key_share=True)
)
_OWNER_ID = _owner.scalar_subquery()
_new = {name: bindparam(name, type_=TASKS.c[name].type) for name in _INSERTED if name != "user_id"}
_ADD = Statement.compile(
    "tasks.add",
    insert(TASKS)
    .from_select(["user_id", *_new], _owner.add_columns(*_new.values()))
    .returning(TASKS.c.id),
    lock="user_id",
)
# Not a join, which takes PostgreSQL longer to plan.
_OF_OWNER = _BY_ID & (TASKS.c.user_id == _OWNER_ID)
# Without an owner, the violation of `not null` rolls back all rows.
_ADD_ALL = Statement.compile(
    "tasks.add_all", insert(TASKS).inline().values({"user_id": _OWNER_ID, **_new})
)
_GET = Statement.compile("tasks.get", select(*_ROWS.columns).where(_OWN))
_OWNER = Statement.compile("tasks.owner", select(TASKS.c.user_id).where(_BY_ID))
_SAVE = Statement.compile(
    "tasks.save",
    update(TASKS)
    .where(_OF_OWNER, _AT_VERSION)
    .values({name: bindparam(name) for name in _UPDATED}),
    lock="user_id",
)
_REMOVE = Statement.compile("tasks.remove", delete(TASKS).where(_OF_OWNER), lock="user_id")
_REMOVE_AT_VERSION = Statement.compile(
    "tasks.remove_at_version", delete(TASKS).where(_OF_OWNER, _AT_VERSION), lock="user_id"
)


@dataclass(frozen=True, slots=True)
class PostgresTasks:
    """A `TaskRepository`.

    Every method is one statement; a second one only finds out why the first matched no row.
    Optimistic locking prevents a lost update: `save` matches the expected version only.
    """

    database: Database
    owners: PostgresOwners

    async def add(self, task: Task) -> Task:
        values = to_values(task)
        row = await self.database.fetch_one(_ADD, values)
        if row is None:
            await self.owners.introduce(task.user_id)
            row = await self.database.fetch_one(_ADD, values)
        if row is None:
            raise UnknownUser
        task.id = row[0]
        return task

    async def add_all(self, tasks: Sequence[Task]) -> None:
        # In the order of the owners, which is the order of their locks.
        tasks = sorted(tasks, key=_owner_of)
        for user_id in sorted(set(map(_owner_of, tasks))):
            await self.owners.introduce(user_id)
        try:
            await self.database.execute_many(_ADD_ALL, map(to_values, tasks))
        except ConstraintViolated as violated:
            raise UnknownUser from violated

    async def get(self, task_id: int, user_id: str) -> Task:
        row = await self.database.fetch_one(_GET, {"id": task_id, "user_id": user_id})
        if row is None:
            await self._raise_why_missing(task_id, user_id)
        return to_task(row)

    async def list(self, user_id: str, query: TaskQuery) -> TaskPage:
        statement = list_statement(query.status is not None, query.q is not None, query.sort)
        rows = await self.database.fetch_all(statement, list_values(user_id, query))
        # If the page is empty, there is one row with the total alone.
        return TaskPage(
            tasks=[to_task(row) for row in rows if row[0] is not None], total=rows[0][-1]
        )

    async def save(self, task: Task, *, expected_version: int) -> None:
        values = {**to_values(task), "expected_version": expected_version}
        if not await self.database.execute(_SAVE, values):
            await self._raise_why_missing(task.id, task.user_id)

    async def remove(
        self, task_id: int, user_id: str, *, expected_version: int | None = None
    ) -> None:
        statement = _REMOVE if expected_version is None else _REMOVE_AT_VERSION
        values = {"id": task_id, "user_id": user_id, "expected_version": expected_version}
        if not await self.database.execute(statement, values):
            await self._raise_why_missing(task_id, user_id)

    async def _raise_why_missing(self, task_id: int, user_id: str) -> NoReturn:
        row = await self.database.fetch_one(_OWNER, {"id": task_id})
        if row is None:
            raise TaskNotFound
        if row[0] != user_id:
            raise TaskNotYours(task_id, user_id, row[0])
        raise StaleTask


@cache
def list_statement(with_status: bool, with_q: bool, sort: TaskSort) -> Statement:
    """One page, with the total in each row: both from one snapshot, in one round trip."""
    conditions: list[ColumnElement[bool]] = [TASKS.c.user_id == bindparam("user_id")]
    if with_status:
        conditions.append(TASKS.c.status == bindparam("status"))
    if with_q:
        pattern = bindparam("pattern", type_=Text)
        conditions.append(or_(TASKS.c.title.ilike(pattern), TASKS.c.description.ilike(pattern)))
    page = (
        select(*_ROWS.columns)
        .where(*conditions)
        .order_by(*_order(TASKS.c, sort))
        .limit(bindparam("limit"))
        .offset(bindparam("offset"))
        .subquery("page")
    )
    total = (
        select(func.count().label("total")).select_from(TASKS).where(*conditions).subquery("total")
    )
    return Statement.compile(
        "tasks.list",
        select(*page.c, total.c.total)
        .select_from(total.outerjoin(page, true()))
        .order_by(*_order(page.c, sort)),
    )


def _order(columns: ReadOnlyColumnCollection[str, Any], sort: TaskSort) -> list[Any]:
    column = columns[sort.attribute]
    if sort.attribute == "title":
        # By code point, whatever the locale of the database.
        column = column.collate("C")
    return [column.desc(), columns.id.desc()] if sort.is_descending else [column, columns.id]


def list_values(user_id: str, query: TaskQuery) -> dict[str, object]:
    return {
        "user_id": user_id,
        "status": query.status and query.status.value,
        "pattern": None if query.q is None else f"%{_escape_like(query.q)}%",
        "limit": query.limit,
        "offset": query.offset,
    }


def _escape_like(text: str) -> str:
    """Escape the wildcards of LIKE; its escape character is the backslash."""
    return text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
