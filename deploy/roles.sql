-- The roles, and the database in the hands of the first. For psql, connected to the database as
-- somebody who may create roles; may be run again, and then sets the passwords anew.
--   taskport_owner  migrates, and owns what it makes; only where TASKPORT_OWNER_PASSWORD is set,
--                   for a hosted database has an owner already
--   taskport_app    serves; see grants.sql
-- Neither may be called "taskport": that is the name of a schema, which would then come first.

\set ON_ERROR_STOP on
\getenv owner_password TASKPORT_OWNER_PASSWORD
\getenv app_password TASKPORT_APP_PASSWORD

select 'create role taskport_app login'
where not exists (select from pg_roles where rolname = 'taskport_app') \gexec
alter role taskport_app password :'app_password';
-- A worker gives a statement up after 5 s; these end it where the word of that is lost.
alter role taskport_app set statement_timeout = '6s';
alter role taskport_app set idle_in_transaction_session_timeout = '15s';

\if :{?owner_password}
select 'create role taskport_owner login'
where not exists (select from pg_roles where rolname = 'taskport_owner') \gexec
alter role taskport_owner password :'owner_password';
alter database :"DBNAME" owner to taskport_owner;
\endif
