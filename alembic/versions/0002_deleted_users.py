"""Record the ids of deleted users with a trigger, whichever side deletes them.

The trigger is the only thing that we add to Better Auth's table. Its function is `security
definer`: the front end's role needs no privilege on our schema.
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
    # `cascade` drops the trigger, too, even if the table belongs to another role.
    op.execute("drop function taskport.remember_deleted_user() cascade")
