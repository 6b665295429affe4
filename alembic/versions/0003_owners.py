"""Replace `deleted_users` by `owners`, which tasks reference instead of Better Auth's table.

Nothing of ours depends on Better Auth's tables any more. The function that records a deletion is
made here; the triggers that call it are made by `adapters/postgres/deletion_trigger.py`, after
every migration. The function is `security definer`: the front end's role needs no privilege on our
schema.
"""

import sqlalchemy as sa
from alembic import op

from adapters.postgres.schema import SchemaError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "taskport"

# The arguments: the name of the id column; that of the time of creation, and whether it has a zone.
# The row is read by the names: a trigger must not break a deletion because a column was renamed.
_DELETE_OWNER = """
create or replace function taskport.delete_owner() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    moment constant timestamptz := clock_timestamp();
    users constant text := format('%I.%I', tg_table_schema, tg_table_name);
    created_column text := 'null::timestamptz';
    owner_id text;
    created timestamptz;
begin
    if tg_op = 'TRUNCATE' then
        if not exists (
            select from pg_catalog.pg_attribute
            where attrelid = tg_relid and attname = tg_argv[0] and not attisdropped
        ) then
            return null;
        end if;
        select case format_type(atttypid, null)
                   when 'timestamp with time zone' then format('%I', attname)
                   when 'timestamp without time zone' then
                       format('%I at time zone ''UTC''', attname)
               end
        into created_column
        from pg_catalog.pg_attribute
        where attrelid = tg_relid and attname = tg_argv[1] and not attisdropped;
        execute format(
            'insert into taskport.owners (id, created_at, deleted_at, last_deleted_at)'
            ' select %1$I::text, %2$s, $1, $1 from %3$s order by 1'
            ' on conflict (id) do update set created_at = excluded.created_at,'
            ' deleted_at = excluded.deleted_at, last_deleted_at = excluded.last_deleted_at',
            tg_argv[0], coalesce(created_column, 'null::timestamptz'), users
        ) using moment;
        execute format(
            'delete from taskport.tasks where user_id in (select %I::text from %s)',
            tg_argv[0], users
        );
        return null;
    end if;
    owner_id := to_jsonb(old) ->> tg_argv[0];
    if owner_id is null then
        return null;
    end if;
    begin
        created := case tg_argv[2]
            when 'with zone' then (to_jsonb(old) ->> tg_argv[1])::timestamptz
            else (to_jsonb(old) ->> tg_argv[1])::timestamp at time zone 'UTC'
        end;
    exception when data_exception then
        created := null;
    end;
    -- The owner first: this waits for a concurrent write of the owner's, whose task is then deleted
    -- as well, and a later write finds the account deleted.
    insert into taskport.owners (id, created_at, deleted_at, last_deleted_at)
    values (owner_id, created, moment, moment)
    on conflict (id) do update set created_at = excluded.created_at,
        deleted_at = excluded.deleted_at, last_deleted_at = excluded.last_deleted_at;
    delete from taskport.tasks where user_id = owner_id;
    return null;
end
$$
"""

# As `0002` of earlier releases made it, to the space.
_REMEMBER_DELETED_USER = """
        create or replace function taskport.remember_deleted_user() returns trigger
        language plpgsql security definer set search_path = '' as $$
        begin
            insert into taskport.deleted_users (id, deleted_at)
            values (old.id, clock_timestamp())
            on conflict (id) do update set deleted_at = excluded.deleted_at;
            return null;
        end
        $$
"""

_OLD_USER_TABLE = """
select conrelid::regclass::text, confrelid::regclass::text,
       (select format_type(atttypid, null) from pg_catalog.pg_attribute
        where attrelid = confrelid and attname = 'createdAt' and not attisdropped)
from pg_catalog.pg_constraint
where conrelid = 'taskport.tasks'::regclass and contype = 'f' and conname = 'tasks_user_id_fkey'
"""


def upgrade() -> None:
    connection = op.get_bind()
    op.create_table(
        "owners",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signed_up_here", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="owners_pkey"),
        schema=SCHEMA,
    )
    # None in a database that no earlier release has migrated.
    users = connection.execute(sa.text(_OLD_USER_TABLE)).one_or_none()
    # First the trigger, which locks their table and then ours: a deletion takes its locks in the
    # same order.
    op.execute("drop function taskport.remember_deleted_user() cascade")
    op.execute("lock table taskport.tasks in access exclusive mode")
    if users is not None:
        op.drop_constraint("tasks_user_id_fkey", "tasks", schema=SCHEMA)
    op.execute(_fill(users and users[1], users and users[2]))
    op.drop_table("deleted_users", schema=SCHEMA)
    op.drop_constraint("tasks_pkey", "tasks", schema=SCHEMA)
    op.create_primary_key("tasks_pkey", "tasks", ["user_id", "id"], schema=SCHEMA)
    op.create_index("tasks_id_idx", "tasks", ["id"], schema=SCHEMA)
    op.create_foreign_key(
        "tasks_user_id_fkey",
        "tasks",
        "owners",
        ["user_id"],
        ["id"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
        ondelete="CASCADE",
    )
    op.execute(_DELETE_OWNER)
    op.execute("revoke execute on function taskport.delete_owner() from public")


def _fill(users: str | None, created_type: str | None) -> str:
    """The owners: users with tasks, and deleted ones. A user who is there again is not deleted."""
    created = {
        "timestamp with time zone": '"createdAt"',
        "timestamp without time zone": "\"createdAt\" at time zone 'UTC'",
    }.get(created_type or "", "null::timestamptz")
    known = (
        f"(select id::text as id, {created} as created_at from {users})"  # noqa: S608
        if users
        else "(select distinct user_id as id, null::timestamptz as created_at from taskport.tasks)"
    )
    return f"""
        insert into taskport.owners (id, created_at, deleted_at, last_deleted_at)
        select id, known.created_at, case when known.id is null then deleted_users.deleted_at end,
               deleted_users.deleted_at
        from (select distinct user_id as id from taskport.tasks) owning
        full join taskport.deleted_users using (id)
        left join {known} known using (id)
    """  # noqa: S608


def downgrade() -> None:
    connection = op.get_bind()
    _check_user_table(connection)
    op.execute("drop function taskport.delete_owner() cascade")
    op.execute("lock table taskport.tasks in access exclusive mode")
    _check_owners(connection)
    op.create_table(
        "deleted_users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="deleted_users_pkey"),
        schema=SCHEMA,
    )
    op.execute(
        "insert into taskport.deleted_users (id, deleted_at)"
        " select id, last_deleted_at from taskport.owners where last_deleted_at is not null"
    )
    op.drop_constraint("tasks_user_id_fkey", "tasks", schema=SCHEMA)
    op.drop_index("tasks_id_idx", "tasks", schema=SCHEMA)
    op.drop_constraint("tasks_pkey", "tasks", schema=SCHEMA)
    op.create_primary_key("tasks_pkey", "tasks", ["id"], schema=SCHEMA)
    op.create_foreign_key(
        "tasks_user_id_fkey",
        "tasks",
        "user",
        ["user_id"],
        ["id"],
        source_schema=SCHEMA,
        referent_schema="public",
        ondelete="CASCADE",
    )
    op.drop_table("owners", schema=SCHEMA)
    op.execute(_REMEMBER_DELETED_USER)
    op.execute(
        'create trigger taskport_remember_deleted_user after delete on public."user"'
        " for each row execute function taskport.remember_deleted_user()"
    )


def _check_user_table(connection: sa.Connection) -> None:
    id_type = connection.scalar(
        sa.text(
            "select format_type(atttypid, null) from pg_catalog.pg_attribute"
            " where attrelid = to_regclass('public.\"user\"') and attname = 'id'"
            " and not attisdropped"
        )
    )
    if id_type not in ("text", "character varying"):
        raise SchemaError(
            'there is no table public."user" with a text id, which the older version needs:'
            " `drop schema taskport cascade` removes Taskport with all tasks"
        )


def _check_owners(connection: sa.Connection) -> None:
    owner = connection.scalar(
        sa.text(
            "select user_id from taskport.tasks where not exists"
            ' (select from public."user" u where u.id = tasks.user_id) limit 1'
        )
    )
    if owner is not None:
        raise SchemaError(
            f'there are tasks of users without a row in public."user", such as "{owner}", which the'
            " older version cannot keep: delete those tasks first"
        )
