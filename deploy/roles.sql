-- Creates the roles, and makes the first one the owner of the database. For psql, connected to the
-- database as a role that may create roles. Run again, it sets the passwords.
--   taskport_owner  migrates, and owns the tables; only if TASKPORT_OWNER_PASSWORD is set, because
--                   a hosted database has an owner already
--   taskport_app    serves; see grants.sql
-- Neither may be named "taskport": the schema of that name would come first in its search path.

\set ON_ERROR_STOP on
\getenv owner_password TASKPORT_OWNER_PASSWORD
\getenv app_password TASKPORT_APP_PASSWORD

select 'create role taskport_app login'
where not exists (select from pg_roles where rolname = 'taskport_app') \gexec
alter role taskport_app password :'app_password';
-- A worker cancels a statement after 5 s. These limits apply if its request to cancel is lost.
alter role taskport_app set statement_timeout = '6s';
alter role taskport_app set idle_in_transaction_session_timeout = '15s';

\if :{?owner_password}
select 'create role taskport_owner login'
where not exists (select from pg_roles where rolname = 'taskport_owner') \gexec
alter role taskport_owner password :'owner_password';
alter database :"DBNAME" owner to taskport_owner;
\endif
