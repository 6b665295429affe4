"""The rows of `taskport.owners`: one for each user who owns anything."""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import Text, and_, bindparam, delete, exists, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.current_layout import BetterAuthDatabase
from adapters.postgres.database import Statement
from adapters.postgres.layout import Layout, parameter
from adapters.postgres.tables import OWNERS, TASKS
from adapters.postgres.user_statements import is_other_account
from domain.errors import TaskportError


@cache
def _introduce(layout: Layout) -> Statement:
    # The lock on the user's row waits for a deletion that is under way: an owner whose user is gone
    # is never introduced.
    user = (
        select(layout.user.text("id"), layout.user.time("createdAt"))
        .where(layout.user.c.id == parameter("id"))
        .with_for_update(key_share=True, read=True)
    )
    add_owner = insert(OWNERS).from_select(["id", "created_at"], user)
    introduced = (
        add_owner.on_conflict_do_update(
            index_elements=[OWNERS.c.id],
            set_={"created_at": add_owner.excluded.created_at, "deleted_at": null()},
            # Not an owner whose tasks were moved to another user, or whose account was deleted and
            # is there again.
            where=and_(
                OWNERS.c.deleted_at.is_not(None),
                OWNERS.c.created_at.is_distinct_from(add_owner.excluded.created_at),
            ),
        )
        .returning(OWNERS.c.id)
        .cte("introduced")
    )
    # A deletion in a transaction of a stricter isolation level than READ COMMITTED does not see a
    # task that was added meanwhile. Such a task must not come back with another account of the same
    # id.
    return Statement.compile(
        "owners.introduce", delete(TASKS).where(TASKS.c.user_id == introduced.c.id)
    )


@cache
def _forget(layout: Layout) -> Statement:
    """Delete what a former account owned, and its record if there is a user with its id.

    Else the record stays, as that of a deleted account.
    """
    id_text = bindparam("id_text", type_=Text)
    is_there = exists().select_from(layout.user.table).where(layout.user.text("id") == id_text)
    tasks = delete(TASKS).where(TASKS.c.user_id == id_text).cte("tasks_of_owner")
    now = func.clock_timestamp()
    deleted = (
        update(OWNERS)
        .where(OWNERS.c.id == id_text, ~is_there)
        .values(deleted_at=now, last_deleted_at=now)
        .cte("deleted")
    )
    return Statement.compile(
        "owners.forget",
        delete(OWNERS).where(OWNERS.c.id == id_text, is_there).add_cte(tasks, deleted),
    )


@cache
def _is_conflicting(layout: Layout) -> Statement:
    """Whether an owner is not the user of its id, or no user at all."""
    user = layout.user
    return Statement.compile(
        "owners.is_conflicting",
        select(or_(user.c.id.is_(None), is_other_account(user)))
        .select_from(OWNERS.outerjoin(user.table, user.text("id") == OWNERS.c.id))
        .where(OWNERS.c.id == bindparam("id_text", type_=Text)),
    )


class NotForgotten(TaskportError):
    message = (
        "there is no former account with this id whose tasks are left: to delete an account that is"
        " in use, delete the user"
    )


@dataclass(frozen=True, slots=True)
class PostgresOwners:
    """Adds the owner of a user."""

    database: BetterAuthDatabase

    async def introduce(self, user_id: str) -> None:
        """Add the owner, if the user exists and there is none, or if its account was deleted."""
        if (await self.database.layout()).user.accepts_id(user_id):
            await self.database.execute(_introduce, {"id": user_id})

    async def forget(self, user_id: str) -> None:
        """Delete what a former account with this id owned, so that the present one can be used.

        Raises `NotForgotten` if the owner is the present account.
        """
        row = await self.database.fetch_one(_is_conflicting, {"id_text": user_id})
        if row is None or not row[0]:
            raise NotForgotten
        await self.database.execute(_forget, {"id_text": user_id})
