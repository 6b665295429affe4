"""Add `move_tasks`, which gives the tasks of a guest to the user that the guest became.

Better Auth deletes the row of a guest (its plugin `anonymous`) after `onLinkAccount`, and with it
go the tasks. The front end's server calls the function there, on its own connection: so it works
whether this service runs or not, and needs no credential of the service. Like `delete_owner`, it is
`security definer`: the front end's role needs no privilege on our tables, only to execute it. It
finds the table of users by the trigger that `adapters/postgres/deletion_trigger.py` has created.

`pg_temp` is named last in the search path of both functions. If it is not named, it is searched
first for types, and the constraints of a domain that the caller made there would be checked with
the privileges of the owner.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOVE_TASKS = """
create or replace function taskport.move_tasks(from_user text, to_user text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    moment constant timestamptz := clock_timestamp();
    second constant interval := '1 second';
    users record;
    account record;
    owner record;
    names text[];
    rest bytea;
    cut integer;
    id_type text;
    from_created timestamptz;
    to_created timestamptz;
    from_exists boolean := false;
    to_exists boolean := false;
    created timestamptz;
    is_same boolean;
    moved bigint;
begin
    -- A stricter transaction does not see a task that is written after it began: that task would
    -- stay with the guest, and be deleted.
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise invalid_transaction_state using
            message = 'taskport.move_tasks: the transaction must be READ COMMITTED';
    end if;
    if from_user = to_user then
        return 0;
    end if;
    for users in
        select tgrelid, tgargs from pg_catalog.pg_trigger
        where tgname = 'taskport_delete_owner' and tgenabled in ('O', 'A')
          and tgfoid = to_regprocedure('taskport.delete_owner()')
        order by tgrelid desc
    loop
        from_exists := false;
        to_exists := false;
        names := '{}';
        rest := users.tgargs;
        while length(rest) > 0 loop
            cut := position(decode('00', 'hex') in rest);
            names := names || convert_from(substring(rest for cut - 1), getdatabaseencoding());
            rest := substring(rest from cut + 1);
        end loop;
        select format_type(atttypid, null) into id_type from pg_catalog.pg_attribute
        where attrelid = users.tgrelid and attname = names[1] and not attisdropped;
        continue when id_type is null;
        for account in execute format(
            'select %1$I::text as id, %2$s as created from %3$s'
            ' where %1$I = any (array[$1, $2]::%4$s[])',
            names[1],
            case names[3]
                when 'with zone' then format('%I', names[2])
                when 'without zone' then format('%I at time zone ''UTC''', names[2])
                else 'null::timestamptz'
            end,
            users.tgrelid::regclass,
            id_type
        ) using from_user, to_user
        loop
            if account.id = from_user then
                from_exists := true;
                from_created := account.created;
            elsif account.id = to_user then
                to_exists := true;
                to_created := account.created;
            end if;
        end loop;
        exit when from_exists and to_exists;
    end loop;
    if not (from_exists and to_exists) then
        raise no_data_found using message = format(
            'taskport.move_tasks: there is no user "%s"',
            case when from_exists then to_user else from_user end
        ), hint = 'The names of the table are those of the last `taskport migrate`.';
    end if;
    -- In the order of the ids, so that no two moves deadlock. A deletion of either account that is
    -- under way locks its owner as well: it is waited for, and then seen.
    insert into taskport.owners (id, created_at)
    select * from (values (from_user, from_created), (to_user, to_created)) new (id) order by id
    on conflict (id) do nothing;
    perform from taskport.owners where id in (from_user, to_user) order by id for no key update;
    for owner in select * from taskport.owners where id in (from_user, to_user) loop
        created := case owner.id when from_user then from_created else to_created end;
        is_same := coalesce(
            owner.created_at > created - second and owner.created_at < created + second,
            owner.created_at is null and created is null
        );
        if (owner.deleted_at is null) = is_same then
            -- A former account with this id, if it is deleted.
            if owner.deleted_at is not null then
                delete from taskport.tasks where user_id = owner.id;
            end if;
        elsif owner.id = from_user and is_same
            and owner.deleted_at is distinct from owner.last_deleted_at
        then
            -- Moved before: nothing is left.
            return 0;
        else
            raise object_not_in_prerequisite_state using message = format(
                'taskport.move_tasks: the id "%s" belonged to another account', owner.id
            ), hint = 'Run `taskport check`.';
        end if;
    end loop;
    update taskport.owners set created_at = to_created, deleted_at = null
    where id = to_user and deleted_at is not null;
    -- No later write of the guest, whose account is about to be deleted, is lost with it: it finds
    -- the account deleted.
    update taskport.owners set created_at = from_created, deleted_at = moment where id = from_user;
    update taskport.tasks
    set user_id = to_user, version = version + 1, updated_at = greatest(updated_at, moment)
    where user_id = from_user;
    get diagnostics moved = row_count;
    return moved;
end
$$
"""


def upgrade() -> None:
    op.execute(_MOVE_TASKS)
    op.execute("revoke execute on function taskport.move_tasks(text, text) from public")
    # Databases at `0003` have the function with an empty search path.
    op.execute("alter function taskport.delete_owner() set search_path = pg_catalog, pg_temp")


def downgrade() -> None:
    # The search path of `delete_owner` stays: the older version works with it.
    op.execute("drop function taskport.move_tasks(text, text)")
