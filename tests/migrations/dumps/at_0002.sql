SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA taskport;
CREATE FUNCTION taskport.remember_deleted_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
        begin
            insert into taskport.deleted_users (id, deleted_at)
            values (old.id, clock_timestamp())
            on conflict (id) do update set deleted_at = excluded.deleted_at;
            return null;
        end
        $$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.account (
    id text NOT NULL,
    "accountId" text NOT NULL,
    "providerId" text NOT NULL,
    "userId" text NOT NULL,
    "accessToken" text,
    "refreshToken" text,
    "idToken" text,
    "accessTokenExpiresAt" timestamp with time zone,
    "refreshTokenExpiresAt" timestamp with time zone,
    scope text,
    password text,
    "createdAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    "updatedAt" timestamp with time zone NOT NULL
);
CREATE TABLE public.jwks (
    id text NOT NULL,
    "publicKey" text NOT NULL,
    "privateKey" text NOT NULL,
    "createdAt" timestamp with time zone NOT NULL,
    "expiresAt" timestamp with time zone,
    alg text,
    crv text
);
CREATE TABLE public.session (
    id text NOT NULL,
    "expiresAt" timestamp with time zone NOT NULL,
    token text NOT NULL,
    "createdAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    "updatedAt" timestamp with time zone NOT NULL,
    "ipAddress" text,
    "userAgent" text,
    "userId" text NOT NULL
);
CREATE TABLE public."user" (
    id text NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    "emailVerified" boolean NOT NULL,
    image text,
    "createdAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    "updatedAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL
);
CREATE TABLE public.verification (
    id text NOT NULL,
    identifier text NOT NULL,
    value text NOT NULL,
    "expiresAt" timestamp with time zone NOT NULL,
    "createdAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    "updatedAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL
);
CREATE TABLE taskport.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE taskport.deleted_users (
    id text NOT NULL,
    deleted_at timestamp with time zone NOT NULL
);
CREATE TABLE taskport.tasks (
    id bigint NOT NULL,
    user_id text NOT NULL,
    title text NOT NULL,
    description text,
    status text NOT NULL,
    completed_at timestamp with time zone,
    version integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT tasks_completed_at_check CHECK (((status = 'Completed'::text) = (completed_at IS NOT NULL))),
    CONSTRAINT tasks_description_check CHECK ((char_length(description) <= 1000)),
    CONSTRAINT tasks_status_check CHECK ((status = ANY (ARRAY['Pending'::text, 'Completed'::text]))),
    CONSTRAINT tasks_title_check CHECK (((char_length(title) >= 1) AND (char_length(title) <= 200)))
)
WITH (fillfactor='90', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_insert_scale_factor='0.02');
ALTER TABLE taskport.tasks ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME taskport.tasks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO public."user" VALUES ('ann', 'Ann', 'ann@example.com', true, NULL, '2026-01-02 03:04:05.678901+00', '2026-01-02 03:04:05.678901+00');
INSERT INTO public."user" VALUES ('carol', 'Carol', 'carol@example.com', false, NULL, '2026-03-01 00:00:00+00', '2026-03-01 00:00:00+00');
INSERT INTO public."user" VALUES ('Zoë O''Neil %s $1', 'Zoë', 'zoe@example.com', false, NULL, '2026-03-04 05:06:07+00', '2026-03-04 05:06:07+00');
INSERT INTO public."user" VALUES ('bob', 'Bob', 'bob@example.com', false, NULL, '2026-06-01 00:00:00+00', '2026-06-01 00:00:00+00');
INSERT INTO public."user" VALUES ('erin', 'Erin', 'erin@example.com', false, NULL, '2026-06-03 00:00:00+00', '2026-06-03 00:00:00+00');
INSERT INTO taskport.alembic_version VALUES ('0002');
INSERT INTO taskport.deleted_users VALUES ('bob', '2026-05-01 10:00:00+00');
INSERT INTO taskport.deleted_users VALUES ('dave', '2026-05-01 11:00:00+00');
INSERT INTO taskport.deleted_users VALUES ('erin', '2026-05-01 12:00:00+00');
INSERT INTO taskport.tasks OVERRIDING SYSTEM VALUE VALUES (1, 'ann', 'Water the plants', NULL, 'Pending', NULL, 1, '2026-01-03 00:00:00+00', '2026-01-03 00:00:00+00');
INSERT INTO taskport.tasks OVERRIDING SYSTEM VALUE VALUES (3, 'ann', 'Écrire', 'two
lines', 'Completed', '2026-01-05 00:00:00+00', 2, '2026-01-04 00:00:00+00', '2026-01-05 00:00:00+00');
INSERT INTO taskport.tasks OVERRIDING SYSTEM VALUE VALUES (4, 'Zoë O''Neil %s $1', 'It''s %', '', 'Pending', NULL, 7, '2026-03-05 00:00:00+00', '2026-03-06 00:00:00+00');
INSERT INTO taskport.tasks OVERRIDING SYSTEM VALUE VALUES (5, 'bob', 'Again', NULL, 'Pending', NULL, 1, '2026-06-02 00:00:00+00', '2026-06-02 00:00:00+00');
SELECT pg_catalog.setval('taskport.tasks_id_seq', 5, true);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.jwks
    ADD CONSTRAINT jwks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_token_key UNIQUE (token);
ALTER TABLE ONLY public."user"
    ADD CONSTRAINT user_email_key UNIQUE (email);
ALTER TABLE ONLY public."user"
    ADD CONSTRAINT user_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.verification
    ADD CONSTRAINT verification_pkey PRIMARY KEY (id);
ALTER TABLE ONLY taskport.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY taskport.deleted_users
    ADD CONSTRAINT deleted_users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY taskport.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);
CREATE INDEX "account_userId_idx" ON public.account USING btree ("userId");
CREATE INDEX "session_userId_idx" ON public.session USING btree ("userId");
CREATE INDEX verification_identifier_idx ON public.verification USING btree (identifier);
CREATE INDEX tasks_user_id_created_at_id_idx ON taskport.tasks USING btree (user_id, created_at, id);
CREATE TRIGGER taskport_remember_deleted_user AFTER DELETE ON public."user" FOR EACH ROW EXECUTE FUNCTION taskport.remember_deleted_user();
ALTER TABLE ONLY public.account
    ADD CONSTRAINT "account_userId_fkey" FOREIGN KEY ("userId") REFERENCES public."user"(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session
    ADD CONSTRAINT "session_userId_fkey" FOREIGN KEY ("userId") REFERENCES public."user"(id) ON DELETE CASCADE;
ALTER TABLE ONLY taskport.tasks
    ADD CONSTRAINT tasks_user_id_fkey FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;
