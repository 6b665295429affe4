"""Our tables, in the schema `taskport`. Better Auth's are described by a `Layout`.

They are Alembic's target and the source of every column name in a statement; the classes are never
instantiated.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    false,
)
from sqlmodel import Field, SQLModel

from domain.tasks import DESCRIPTION_MAX_LENGTH, TITLE_MAX_LENGTH, TaskStatus

SCHEMA = "taskport"


def _time(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


class OwnerRow(SQLModel, table=True):
    """A user who owns anything here, or whose account was deleted. The first write adds the row."""

    __tablename__ = "owners"
    __table_args__ = (
        PrimaryKeyConstraint("id", name="owners_pkey"),
        {"schema": SCHEMA},
    )

    #: The id of the user, as text whatever its type in Better Auth's table.
    id: str = Field(sa_column=Column("id", Text, nullable=False))
    #: The time of creation of the user's row, to tell the user from a later one with the same id.
    created_at: datetime | None = Field(sa_column=_time("created_at", nullable=True))
    #: Set while the account is deleted, or after its tasks were moved to another user, by the
    #: database's clock.
    deleted_at: datetime | None = Field(sa_column=_time("deleted_at", nullable=True))
    #: The last deletion of an account with this id; stays if there is one again.
    last_deleted_at: datetime | None = Field(sa_column=_time("last_deleted_at", nullable=True))
    #: Whether the account was made by sign-up at this service.
    signed_up_here: bool = Field(
        sa_column=Column("signed_up_here", Boolean, server_default=false(), nullable=False)
    )


class TaskRow(SQLModel, table=True):
    """A task. The checks repeat rules of the domain, for clients that write SQL of their own."""

    __tablename__ = "tasks"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "id", name="tasks_pkey"),
        CheckConstraint(
            f"char_length(title) between 1 and {TITLE_MAX_LENGTH}", name="tasks_title_check"
        ),
        CheckConstraint(
            f"char_length(description) <= {DESCRIPTION_MAX_LENGTH}",
            name="tasks_description_check",
        ),
        CheckConstraint(
            f"status in ('{TaskStatus.PENDING}', '{TaskStatus.COMPLETED}')",
            name="tasks_status_check",
        ),
        CheckConstraint(
            f"(status = '{TaskStatus.COMPLETED}') = (completed_at is not null)",
            name="tasks_completed_at_check",
        ),
        # For the default order in both directions, for the count, and for every other list of a
        # user's tasks. An index on updated_at or status would make each update more expensive.
        Index("tasks_user_id_created_at_id_idx", "user_id", "created_at", "id"),
        # To tell a task of another user (403) from one that does not exist (404).
        Index("tasks_id_idx", "id"),
        {
            "schema": SCHEMA,
            # Free space in each page for the new version of a row (HOT updates), and an early
            # vacuum: many changes of recent tasks made a list cost half as much again.
            "postgresql_with": {
                "fillfactor": 90,
                "autovacuum_vacuum_scale_factor": 0.02,
                "autovacuum_vacuum_insert_scale_factor": 0.02,
            },
        },
    )

    id: int = Field(sa_column=Column("id", BigInteger, Identity(always=True)))
    user_id: str = Field(
        sa_column=Column(
            "user_id",
            Text,
            ForeignKey(f"{SCHEMA}.owners.id", name="tasks_user_id_fkey", ondelete="CASCADE"),
            nullable=False,
        )
    )
    title: str = Field(sa_column=Column("title", Text, nullable=False))
    description: str | None = Field(sa_column=Column("description", Text))
    status: str = Field(sa_column=Column("status", Text, nullable=False))
    completed_at: datetime | None = Field(sa_column=_time("completed_at", nullable=True))
    version: int = Field(sa_column=Column("version", Integer, nullable=False))
    created_at: datetime = Field(sa_column=_time("created_at"))
    updated_at: datetime = Field(sa_column=_time("updated_at"))


METADATA = SQLModel.metadata
OWNERS: Table = METADATA.tables[f"{SCHEMA}.owners"]
TASKS: Table = METADATA.tables[f"{SCHEMA}.tasks"]
