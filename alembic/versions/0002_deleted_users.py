"""An account that anybody deletes stays deleted, the front end's server included.

The trigger stands on Better Auth's table, and is all that ours adds to it. The function does its
work as its owner: the front end's role need not know of our schema.
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
    op.execute(
        """
        create trigger taskport_remember_deleted_user after delete on public."user"
        for each row execute function taskport.remember_deleted_user()
        """
    )


def downgrade() -> None:
    # The trigger goes with it, also where the table belongs to somebody else.
    op.execute("drop function taskport.remember_deleted_user() cascade")
