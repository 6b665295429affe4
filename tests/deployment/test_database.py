"""The database as `deploy/` sets it up: two roles, and a pooler in front of it."""

import time
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest
import redis as client
from psycopg import errors, sql

from adapters.postgres.better_auth_tables import statements
from entrypoints.settings import Settings
from tests import deadlines
from tests.better_auth.signer import signer
from tests.deployment import stage
from tests.deployment.files import DEPLOY, FILLED
from tests.deployment.stage import Database, pooler, shared_counters
from tests.processes.service import Home, error_message, new_home, signed_token
from tests.servers import JWKS_TABLE
from tests.waiting import LIMIT_SECONDS, eventually

pytestmark = [pytest.mark.process, pytest.mark.postgres, pytest.mark.debian, pytest.mark.slow]

SECRET: Final = FILLED["BETTER_AUTH_SECRET"]
FORBIDDEN: Final = [
    "create table public.mine (id int)",
    "create table taskport.mine (id int)",
    "drop table taskport.tasks",
    "alter table taskport.tasks add column mine int",
    "truncate taskport.tasks",
    "delete from taskport.owners",
    "truncate taskport.owners",
    "update taskport.alembic_version set version_num = '0'",
    'select "privateKey" from public.jwks',
    "insert into public.jwks values ('a', 'b', 'c', now())",
    'select "accessToken" from public.account',
    "update public.account set password = ''",
    "select * from public.verification",
    'alter table public."user" disable trigger all',
]


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """A database that the owner has migrated, with the grants of the workers."""
    with stage.database() as database, new_home() as home:
        # Before the migration, `check` advises to run it.
        early = home.run("check", env=settings(database.app_url))
        assert "run `taskport migrate`" in error_message(early)
        done = home.run("migrate", env=settings(database.owner_url))
        assert done.code == 0, done.err
        with psycopg.connect(database.owner_url) as conn:
            conn.execute(JWKS_TABLE)
        database.grant()
        yield database


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


def settings(url: str, **more: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "BETTER_AUTH_SECRET": SECRET, **deadlines.environment(), **more}


def test_role_of_the_workers_can_run_all_statements(database: Database, home: Home) -> None:
    """Through the pooler, with the limits in Redis. Covers each use case with own statements."""
    with pooler(database) as url, shared_counters() as (redis_url, _, _):
        env = settings(url, RATE_LIMIT="600/minute", RATE_LIMIT_STORAGE=redis_url)
        env["AUTH_RATE_LIMIT"] = "10/5minutes"
        checked = home.run("check", env=env)
        assert checked.code == 0, checked.err
        assert "database    fine, the schema is at head" in checked.out.splitlines()
        seeded = home.run("seed", "--users=2", "--tasks=3", env=env)
        assert seeded.code == 0, seeded.err
        with home.serving("--no-migrate", env=env) as service:
            person = {"email": "ann@example.com", "password": "correct horse battery"}
            signed_up = service.request("POST", "/api/auth/signup", json=person)
            assert signed_up.status_code == 201, signed_up.text
            logged_in = service.request("POST", "/api/auth/login", json=person)
            assert logged_in.status_code == 200, logged_in.text
            token = logged_in.json()["access_token"]
            task = service.request("POST", "/api/tasks", token=token, json={"title": "One"}).json()
            for method, path, body, status in (
                ("GET", f"/api/tasks/{task['id']}", None, 200),
                ("GET", "/api/tasks", None, 200),
                ("PATCH", f"/api/tasks/{task['id']}", {"title": "Two"}, 200),
                ("PATCH", f"/api/tasks/{task['id']}/complete", None, 200),
                ("DELETE", f"/api/tasks/{task['id']}", None, 204),
                ("POST", "/api/tasks", {"title": "Three"}, 201),
                ("GET", "/api/auth/me", None, 200),
                ("GET", "/api/auth/session/validate", None, 200),
                ("POST", "/api/auth/refresh", None, 200),
                ("GET", "/api/users/me", None, 200),
                ("PATCH", "/api/users/me", {"name": "Ann"}, 200),
                ("GET", "/api/users/me/sessions", None, 200),
                ("POST", "/api/auth/logout", None, 204),
                ("GET", "/health/db", None, 200),
            ):
                response = service.request(method, path, token=token, json=body)
                assert response.status_code == status, (method, path, response.text)
            again = service.request("POST", "/api/auth/login", json=person).json()["access_token"]
            deleted = service.request("DELETE", "/api/users/me", token=again)
            assert deleted.status_code == 204, deleted.text
            # A user unknown to the service, then the same user by a key of Better Auth's.
            service.create(signed_token("bob", SECRET), "of Bob")
            assert service.titles(jwt_plugin_token(database, "bob")) == {"of Bob"}
            assert service.problems == []
    with psycopg.connect(database.owner_url) as conn:
        row = conn.execute(
            "select count(*) from taskport.owners where deleted_at is not null"
        ).fetchone()
    assert row == (1,)


def jwt_plugin_token(database: Database, user_id: str) -> str:
    """A token as Better Auth's `jwt` plugin signs it; the key is in its table."""
    key, now = signer("a-key-of-the-plugin"), int(time.time())
    with psycopg.connect(database.owner_url) as conn:
        conn.execute(
            'insert into public.jwks (id, "publicKey", "privateKey", "createdAt")'
            " values (%s, %s, 'encrypted', now())",
            (key.kid, key.row()),
        )
    origin = Settings.model_fields["better_auth_url"].default
    claims = {"sub": user_id, "iss": origin, "aud": origin, "iat": now, "exp": now + 900}
    return key.token(claims)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_role_of_the_workers_can_run_no_other_statement(database: Database, statement: str) -> None:
    with psycopg.connect(database.app_url) as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement.encode())


def test_missing_grant_is_unavailable(database: Database, home: Home) -> None:
    """As after a migration that adds a table: 503, and log and `check` have the reason."""
    with psycopg.connect(database.owner_url, autocommit=True) as conn:
        conn.execute("revoke insert on taskport.tasks from taskport_app")
    try:
        checked = home.run("check", env=settings(database.app_url))
        assert "taskport grants" in error_message(checked)
        with home.serving("--no-migrate", env=settings(database.app_url)) as service:
            token, task = signed_token("eve", SECRET), {"title": "of Eve"}
            response = service.request("POST", "/api/tasks", token=token, json=task)
            assert response.status_code == 503, response.text
            eventually(lambda: '"InsufficientPrivilege"' in service.err)
    finally:
        database.grant()


def test_role_of_the_workers_has_statement_timeouts(database: Database) -> None:
    """They end the statements of a worker that died."""
    with psycopg.connect(database.app_url) as conn:
        assert conn.execute("show statement_timeout").fetchone() == ("6s",)
        row = conn.execute("show idle_in_transaction_session_timeout").fetchone()
        assert row == ("15s",)


def test_grants_can_be_repeated(database: Database) -> None:
    """After each migration, and to change passwords."""
    database.grant()
    database.set_up()
    with psycopg.connect(database.app_url):
        pass


def test_front_end_with_a_role_of_its_own_deletes_users(database: Database, home: Home) -> None:
    """Their tasks are deleted and their ids recorded, without privileges on our schema."""
    seed = ("seed", "--users=1", "--tasks=2", "--yes")
    seeded = home.run(*seed, env=settings(database.owner_url))
    assert seeded.code == 0, seeded.err
    with psycopg.connect(database.superuser_url, autocommit=True) as conn:
        conn.execute("create role better_auth login password 'of-the-front-end'")
    with psycopg.connect(database.owner_url, autocommit=True) as conn:
        for table in ("user", "session", "account", "verification", "jwks"):
            conn.execute(
                sql.SQL("grant select, insert, update, delete on public.{} to better_auth").format(
                    sql.Identifier(table)
                )
            )
    url = database.url("better_auth", "of-the-front-end")
    with psycopg.connect(url, autocommit=True) as conn:
        found = conn.execute("""select id from public."user" limit 1""").fetchone()
        assert found is not None
        conn.execute("""delete from public."user" where id = %s""", found)
    with psycopg.connect(database.owner_url) as conn:
        query = "select count(*) from taskport.owners where id = %s and deleted_at is not null"
        assert conn.execute(query, found).fetchone() == (1,)
        query = "select count(*) from taskport.tasks where user_id = %s"
        assert conn.execute(query, found).fetchone() == (0,)


def test_hosted_database_without_a_superuser(database: Database, home: Home) -> None:
    """As at Neon: a role owns the database, and may create other roles."""
    with psycopg.connect(database.superuser_url, autocommit=True) as conn:
        conn.execute("create role hosted_owner login createrole password 'of-the-host'")
        conn.execute("create database hosted owner hosted_owner")
        # Roles exist in all databases of a server; here there must be none yet.
        conn.execute("drop owned by taskport_app")
        conn.execute("drop role taskport_app")
    url = database.url("hosted_owner", "of-the-host", name="hosted")
    password = {"TASKPORT_APP_PASSWORD": FILLED["TASKPORT_APP_PASSWORD"]}
    try:
        database.psql(f"--file={DEPLOY / 'roles.sql'}", f"--dbname={url}", env=password)
        assert home.run("migrate", env=settings(url)).code == 0
        database.psql(f"--file={DEPLOY / 'grants.sql'}", f"--dbname={url}", env={})
        app_url = database.url("taskport_app", name="hosted")
        checked = home.run("check", env=settings(app_url))
        assert checked.code == 0, checked.err
        with home.serving("--no-migrate", env=settings(app_url)) as service:
            service.create(signed_token("bob", SECRET), "of Bob")
    finally:
        database.set_up()
        database.grant()


def test_tables_that_the_front_end_owns(database: Database, home: Home) -> None:
    """Their owner grants privileges to ours, and a superuser those of the workers."""
    owner = database.url("taskport_owner", name="shared")
    with psycopg.connect(database.superuser_url, autocommit=True) as conn:
        conn.execute("create role front_end login password 'of-the-front-end'")
        conn.execute("create database shared owner front_end")
        conn.execute("grant create on database shared to taskport_owner")
    front_end = database.url("front_end", "of-the-front-end", name="shared")
    with psycopg.connect(front_end, autocommit=True) as conn:
        for statement in statements("public"):
            conn.execute(statement.encode())
        early = home.run("migrate", env=settings(owner))
        assert "grant trigger on" in error_message(early)
        conn.execute("grant select on all tables in schema public to taskport_owner")
        conn.execute("""grant trigger on public."user" to taskport_owner""")
    migrated = home.run("migrate", env=settings(owner))
    assert migrated.code == 0, migrated.err
    superuser = database.url("postgres", FILLED["POSTGRES_PASSWORD"], name="shared")
    database.psql(f"--file={DEPLOY / 'grants.sql'}", f"--dbname={superuser}", env={})
    app_url = database.url("taskport_app", name="shared")
    with home.serving("--no-migrate", env=settings(app_url)) as service:
        service.create(signed_token("bob", SECRET), "of Bob")
        assert service.problems == []


def test_role_named_like_our_schema_is_rejected(database: Database, home: Home) -> None:
    with psycopg.connect(database.superuser_url, autocommit=True) as conn:
        conn.execute("create role taskport login superuser password 'called-taskport'")
        conn.execute("create database without_tables")
    url = database.url("taskport", "called-taskport", name="without_tables")
    assert "alter role" in error_message(home.run("migrate", env=settings(url)))


def test_redis_accepts_two_passwords_during_a_change() -> None:
    with shared_counters() as (url, port, _):
        old = url.split(":")[2].split("@")[0]
        with client.Redis("127.0.0.1", port, password=old) as connection:
            connection.execute_command("acl", "setuser", "default", ">another-password")
        for password in (old, "another-password"):
            with client.Redis("127.0.0.1", port, password=password) as connection:
                assert connection.ping()
        with client.Redis("127.0.0.1", port, password="another-password") as connection:
            connection.execute_command("acl", "setuser", "default", f"<{old}")
        with (
            client.Redis("127.0.0.1", port, password=old) as connection,
            pytest.raises(client.AuthenticationError),
        ):
            connection.ping()


def test_sigterm_stops_redis() -> None:
    """The shell of its command runs it with `exec`."""
    with shared_counters() as (_, _, process):
        process.terminate()
        assert process.wait(LIMIT_SECONDS) == 0


def test_number_of_connections_of_a_worker(database: Database, home: Home) -> None:
    """17 after its start, and at most as many as in the guide."""
    with (
        home.serving("--no-migrate", env=settings(database.app_url)),
        psycopg.connect(database.superuser_url, autocommit=True) as conn,
    ):

        def connections() -> int:
            row = conn.execute(
                "select count(*) from pg_stat_activity where application_name = 'taskport'"
            ).fetchone()
            assert row is not None
            return int(row[0])

        eventually(lambda: connections() >= 17)
        assert connections() <= 19
