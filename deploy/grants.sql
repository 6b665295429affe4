-- The privileges that a worker needs, and no others. For psql, as the owner, after each migration.

\set ON_ERROR_STOP on
begin;

grant usage on schema public, taskport to taskport_app;

grant select, insert, update, delete on taskport.tasks to taskport_app;
grant select, insert, update on taskport.owners to taskport_app;
grant select on taskport.alembic_version to taskport_app;

grant select, insert, update, delete on public."user", public."session" to taskport_app;
grant insert on public."account" to taskport_app;
-- All columns except secrets that a worker does not need: tokens of other providers, private keys.
select format('grant select (%I) on public.%I to taskport_app', column_name, table_name)
from information_schema.columns
where table_schema = 'public' and table_name in ('account', 'jwks')
  and column_name not in ('accessToken', 'refreshToken', 'idToken', 'privateKey') \gexec

commit;
