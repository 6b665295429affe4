-- What a worker needs, and no more. For psql, as the owner; after each migration.

\set ON_ERROR_STOP on
begin;

grant usage on schema public, taskport to taskport_app;

grant select, insert, update, delete on taskport.tasks to taskport_app;
-- A trigger writes it, as its owner.
grant select on taskport.deleted_users to taskport_app;
grant select on taskport.alembic_version to taskport_app;

grant select, insert, update, delete on public."user", public."session" to taskport_app;
grant insert on public."account" to taskport_app;
-- Of these, all that is there but what opens other doors: other providers' tokens, private keys.
select format('grant select (%I) on public.%I to taskport_app', column_name, table_name)
from information_schema.columns
where table_schema = 'public' and table_name in ('account', 'jwks')
  and column_name not in ('accessToken', 'refreshToken', 'idToken', 'privateKey') \gexec

commit;
