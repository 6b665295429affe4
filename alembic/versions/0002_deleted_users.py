"""Create the function that records the ids of deleted users.

No trigger calls it: `0003` replaces it. Earlier releases made a trigger here.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        create function taskport.remember_deleted_user() returns trigger
        language plpgsql security definer set search_path = '' as $$
        begin
            insert into taskport.deleted_users (id, deleted_at)
            values (old.id, clock_timestamp())
            on conflict (id) do update set deleted_at = excluded.deleted_at;
            return null;
        end
        $$
        """
    )


def downgrade() -> None:
    # `cascade` drops a trigger, too, even if the table belongs to another role.
    op.execute("drop function taskport.remember_deleted_user() cascade")
