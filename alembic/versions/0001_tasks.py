"""Create `tasks` and `deleted_users`."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "taskport"


def upgrade() -> None:
    op.create_table(
        "deleted_users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="deleted_users_pkey"),
        schema=SCHEMA,
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="tasks_pkey"),
        sa.CheckConstraint("char_length(title) between 1 and 200", name="tasks_title_check"),
        sa.CheckConstraint("char_length(description) <= 1000", name="tasks_description_check"),
        sa.CheckConstraint("status in ('Pending', 'Completed')", name="tasks_status_check"),
        sa.CheckConstraint(
            "(status = 'Completed') = (completed_at is not null)", name="tasks_completed_at_check"
        ),
        schema=SCHEMA,
        postgresql_with={
            "fillfactor": 90,
            "autovacuum_vacuum_scale_factor": 0.02,
            "autovacuum_vacuum_insert_scale_factor": 0.02,
        },
    )
    op.create_index(
        "tasks_user_id_created_at_id_idx",
        "tasks",
        ["user_id", "created_at", "id"],
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("tasks", schema=SCHEMA)
    op.drop_table("deleted_users", schema=SCHEMA)
