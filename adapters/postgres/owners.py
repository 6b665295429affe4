"""The rows of `taskport.owners`: one for each user who owns anything."""

from dataclasses import dataclass

from sqlalchemy import Text, bindparam, cast, delete, extract, func, null, select
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.database import Database, Statement
from adapters.postgres.tables import OWNERS, TASKS, USERS

_ID = bindparam("id", type_=Text)

# The lock on the user's row waits for a deletion that is under way: an owner whose user is gone is
# never introduced.
_user = (
    # `extract` takes a time without a zone as UTC.
    select(cast(USERS.c.id, Text), func.to_timestamp(extract("epoch", USERS.c.createdAt)))
    .where(USERS.c.id == _ID)
    .with_for_update(key_share=True, read=True)
)
_add_owner = insert(OWNERS).from_select(["id", "created_at"], _user)
_introduced = (
    _add_owner.on_conflict_do_update(
        index_elements=[OWNERS.c.id],
        set_={"created_at": _add_owner.excluded.created_at, "deleted_at": null()},
        where=OWNERS.c.deleted_at.is_not(None),
    )
    .returning(OWNERS.c.id)
    .cte("introduced")
)
# A deletion in a transaction of a stricter isolation level than READ COMMITTED does not see a task
# that was added meanwhile. Such a task must not come back with another account of the same id.
_INTRODUCE = Statement.compile(
    "owners.introduce", delete(TASKS).where(TASKS.c.user_id == _introduced.c.id)
)


@dataclass(frozen=True, slots=True)
class PostgresOwners:
    """Adds the owner of a user."""

    database: Database

    async def introduce(self, user_id: str) -> None:
        """Add the owner, if the user exists and there is none, or if its account was deleted."""
        await self.database.execute(_INTRODUCE, {"id": user_id})
