"""`taskport serve`: what it needs, what it says, and how it ends."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from adapters.postgres_server.loopback import free_port
from tests.processes.service import (
    SECRET,
    Environment,
    Home,
    error_message,
    new_home,
    signed_token,
)
from tests.waiting import eventually

WITH_SECRET = {"BETTER_AUTH_SECRET": SECRET}
PASSWORD = "canary-Xq7-password"


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


@pytest.fixture
def unreachable() -> Environment:
    """Settings that name a database where nobody listens."""
    url = f"postgresql://ann:{PASSWORD}@127.0.0.1:{free_port()}/app"
    return {"DATABASE_URL": url, **WITH_SECRET}


@pytest.fixture
def configured(database_url: str) -> Environment:
    """Settings that name a migrated database."""
    return {"DATABASE_URL": database_url, **WITH_SECRET}


def test_memory_needs_no_database(home: Home, unreachable: Environment) -> None:
    """Not even one that is configured; users are told apart there, too."""
    token = signed_token("ann")
    with home.serving("--memory", env=unreachable) as service:
        service.create(token, "not for long")
        assert service.titles(token) == {"not for long"}
        assert service.titles(signed_token("bob")) == set()
        assert service.terminate() == 0
        assert service.problems == []
        assert "in memory" in service.out
        assert PASSWORD not in service.out
        assert SECRET not in service.out
        assert not home.data.exists()


def test_memory_without_a_secret_keeps_one(home: Home) -> None:
    """As beside the embedded database. Ctrl-C is how it ends: nothing to complain about."""
    with home.serving("--memory") as service:
        service.create(home.kept_token(), "by the kept secret")
        os.kill(service.pid, signal.SIGINT)
        assert service.wait() == 0
        assert service.problems == []
        assert not home.postgres_pids()


def test_memory_refuses_workers(home: Home) -> None:
    """Each would have tasks of its own."""
    said = error_message(home.run("serve", "--memory", "--workers", "2"))

    assert "--workers" in said


def test_a_taken_port_is_said_in_one_sentence(home: Home) -> None:
    """Before anything else is started; the environment and the command line may name it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = {
            error_message(home.run("serve", "--host=127.0.0.1", f"--port={port}")),
            error_message(home.run("serve", env={"API_HOST": "127.0.0.1", "API_PORT": port})),
        }

    assert len(said) == 1
    assert f"127.0.0.1 port {port}" in said.pop()
    assert not home.data.exists()


@pytest.mark.postgres
def test_sigterm_lets_a_request_in_flight_finish(home: Home, configured: Environment) -> None:
    """It is answered, and what it wrote is there."""
    with home.serving(env=configured) as service:
        with service.idle_connection() as idle, service.holding(signed_token(), "late") as held:
            os.kill(service.pid, signal.SIGTERM)
            # Who stops hangs up where there is nothing to do.
            assert idle.recv(1) == b""
            # Long enough to be cut off by a stop that has no patience.
            time.sleep(0.3)
            status, task = held.finish()
        assert status == 201
        assert service.wait() == 0

    with psycopg.connect(configured["DATABASE_URL"]) as connection:
        row = connection.execute("select title from taskport.tasks where id = %s", [task["id"]])
        assert row.fetchone() == ("late",)


@pytest.mark.postgres
def test_no_migrate_leaves_the_schema_alone(home: Home, empty_database_url: str) -> None:
    """Alive but not ready, until somebody migrates."""
    settings = {"DATABASE_URL": empty_database_url, **WITH_SECRET}
    with home.serving("--no-migrate", ready=False, env=settings) as service:
        assert service.request("GET", "/livez").status_code == 200
        assert service.request("GET", "/health/db").status_code == 200
        unready = service.request("GET", "/readyz")
        assert unready.status_code == 503
        assert unready.headers["retry-after"].isdigit()
        with psycopg.connect(empty_database_url) as connection:
            found = connection.execute("select to_regclass('taskport.tasks')").fetchone()
            assert found == (None,)

        migrated = home.run("migrate", env=settings)

        assert migrated.code == 0, migrated.err
        assert service.request("GET", "/readyz").status_code == 200
        service.create(signed_token(), "on the new schema")


def test_an_unreachable_database_is_no_reason_not_to_start(
    home: Home, unreachable: Environment
) -> None:
    """With --no-migrate: whatever needs it says soon that it is not there."""
    with home.serving("--no-migrate", ready=False, env=unreachable) as service:
        assert service.request("GET", "/livez").status_code == 200
        with ThreadPoolExecutor() as threads:
            started = time.monotonic()
            answers = list(
                threads.map(
                    lambda path: service.request("GET", path, token=signed_token()),
                    ("/readyz", "/health/db", "/api/tasks"),
                )
            )
            took = time.monotonic() - started
        for answer in answers:
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["retry-after"].isdigit()
            assert answer.json()["error_code"] == "UNAVAILABLE"
        assert took < 4.5
        assert service.terminate() == 0
        assert PASSWORD not in service.out + service.err
        assert SECRET not in service.out + service.err


@pytest.mark.postgres
def test_a_database_that_is_just_starting_is_waited_for(home: Home) -> None:
    """As where both are started together; what is wrong is said in the meantime."""
    with new_home() as elsewhere, ThreadPoolExecutor(1) as threads:
        elsewhere.make_database()
        settings = {"DATABASE_URL": elsewhere.database_url(), **WITH_SECRET}

        def start_when_missed() -> None:
            out = home.folder / "serve-0.out"
            eventually(lambda: out.exists() and "trying again" in out.read_text())
            elsewhere.start_postgres()

        started = threads.submit(start_when_missed)
        with home.serving(env=settings) as service:
            service.create(signed_token(), "after the wait")
            assert "does not respond" in service.out
        started.result()


def test_waiting_for_a_database_can_be_interrupted(home: Home, unreachable: Environment) -> None:
    """SIGTERM ends it at once."""
    with home.starting(env=unreachable) as service:
        eventually(lambda: service.has_ended() or "trying again" in service.out)
        assert not service.has_ended(), service.err
        service.process.terminate()
        assert service.wait() == 0
        assert PASSWORD not in service.out + service.err


@pytest.mark.postgres
def test_a_database_that_hangs_up_is_found_again(home: Home, configured: Environment) -> None:
    """As after its restart: all connections are gone, and new ones are made by themselves."""
    token = signed_token()
    with home.serving(env=configured) as service:
        service.create(token, "before")
        for _ in range(2):
            hang_up(configured["DATABASE_URL"])
            assert service.responds("/livez")
            eventually(lambda: service.responds("/readyz"))
            assert service.titles(token) == {"before"}
        assert "Traceback" not in service.err
        assert service.terminate() == 0


def hang_up(url: str) -> None:
    """What the server does to every connection when it stops."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


def test_an_answer_waits_for_no_delayed_acknowledgement(home: Home) -> None:
    """Without TCP_NODELAY on the accepted connections each takes 40 ms."""
    headers = {"Authorization": f"Bearer {signed_token()}"}
    with (
        home.serving("--memory", env=WITH_SECRET) as service,
        service.client(headers=headers) as client,
    ):
        assert client.post("/api/tasks", json={"title": "first"}).status_code == 201
        started = time.monotonic()
        for _ in range(20):
            assert client.get("/api/tasks").status_code == 200
        assert time.monotonic() - started < 0.6
