"""`taskport serve`: what it needs, what it prints, and how it stops."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from adapters.postgres_server.loopback import free_port
from adapters.uvicorn.listener import bound_listener
from tests import deadlines
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
    """Settings with a database URL that refuses connections."""
    url = f"postgresql://ann:{PASSWORD}@127.0.0.1:{free_port()}/app"
    return {"DATABASE_URL": url, **WITH_SECRET}


@pytest.fixture
def configured(database_url: str) -> Environment:
    """Settings with the URL of a migrated database."""
    return {"DATABASE_URL": database_url, **WITH_SECRET}


def test_memory_needs_no_database(home: Home, unreachable: Environment) -> None:
    """Not even a configured one. Users are isolated there, too."""
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


def test_memory_without_a_secret_stores_one(home: Home) -> None:
    """As beside the embedded database. Ctrl-C stops it, without an error."""
    with home.serving("--memory") as service:
        service.create(home.kept_token(), "by the kept secret")
        os.kill(service.pid, signal.SIGINT)
        assert service.wait() == 0
        assert service.problems == []
        assert not home.postgres_pids()


def test_memory_allows_no_workers(home: Home) -> None:
    """Each would have tasks of its own."""
    message = error_message(home.run("serve", "--memory", "--workers", "2"))

    assert "--workers" in message


def test_taken_port_is_an_error_of_one_line(home: Home) -> None:
    """Before anything else starts. The port is from the command line or the environment."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        messages = {
            error_message(home.run("serve", "--host=127.0.0.1", f"--port={port}")),
            error_message(home.run("serve", env={"API_HOST": "127.0.0.1", "API_PORT": port})),
        }

    assert len(messages) == 1
    assert f"127.0.0.1 port {port}" in messages.pop()
    assert not home.data.exists()


@pytest.mark.postgres
def test_request_in_flight_is_finished_after_sigterm(home: Home, configured: Environment) -> None:
    """Its response is sent, and its write is committed."""
    with home.serving(env={**configured, **deadlines.environment()}) as service:
        with service.idle_connection() as idle, service.holding(signed_token(), "late") as held:
            os.kill(service.pid, signal.SIGTERM)
            # The service closes idle connections and its listener as soon as it stops.
            assert idle.recv(1) == b""
            eventually(lambda: not service.is_listening())
            assert not service.has_ended()
            status, task = held.finish()
        assert status == 201
        assert service.wait() == 0

    with psycopg.connect(configured["DATABASE_URL"]) as connection:
        row = connection.execute("select title from taskport.tasks where id = %s", [task["id"]])
        assert row.fetchone() == ("late",)


@pytest.mark.postgres
def test_no_migrate_leaves_the_schema_alone(home: Home, empty_database_url: str) -> None:
    """It is alive but not ready until the schema is migrated."""
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


def test_service_starts_without_its_database(home: Home, unreachable: Environment) -> None:
    """With --no-migrate. Requests that need the database get 503."""
    with home.serving("--no-migrate", ready=False, env=unreachable) as service:
        assert service.request("GET", "/livez").status_code == 200
        with ThreadPoolExecutor() as threads:
            responses = list(
                threads.map(
                    lambda path: service.request("GET", path, token=signed_token()),
                    ("/readyz", "/health/db", "/api/tasks"),
                )
            )
        for response in responses:
            assert response.status_code == 503
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["retry-after"].isdigit()
            assert response.json()["error_code"] == "UNAVAILABLE"
        assert service.terminate() == 0
        assert PASSWORD not in service.out + service.err
        assert SECRET not in service.out + service.err


@pytest.mark.postgres
def test_service_waits_for_a_database_that_is_starting(home: Home) -> None:
    """As if both are started together. It prints what it waits for."""
    with new_home() as elsewhere, ThreadPoolExecutor(1) as threads:
        elsewhere.make_database()
        settings = {"DATABASE_URL": elsewhere.database_url(), **WITH_SECRET}

        def start_once_missed() -> None:
            out = home.folder / "serve-0.out"
            eventually(lambda: out.exists() and "trying again" in out.read_text())
            elsewhere.start_postgres()

        started = threads.submit(start_once_missed)
        with home.serving(env=settings) as service:
            service.create(signed_token(), "after the wait")
            assert "does not respond" in service.out
        started.result()


def test_waiting_for_a_database_can_be_interrupted(home: Home, unreachable: Environment) -> None:
    """SIGTERM stops it with exit code 0."""
    with home.starting(env=unreachable) as service:
        eventually(lambda: service.has_ended() or "trying again" in service.out)
        assert not service.has_ended(), service.err
        service.process.terminate()
        assert service.wait() == 0
        assert PASSWORD not in service.out + service.err


@pytest.mark.postgres
def test_service_reconnects_to_its_database(home: Home, configured: Environment) -> None:
    """After a restart of the database all connections are gone."""
    token = signed_token()
    with home.serving(env=configured) as service:
        service.create(token, "before")
        for _ in range(2):
            close_all_connections(configured["DATABASE_URL"])
            assert service.responds("/livez")
            eventually(lambda: service.responds("/readyz"))
            assert service.titles(token) == {"before"}
        assert "Traceback" not in service.err
        assert service.terminate() == 0


def close_all_connections(url: str) -> None:
    """Close every connection, as the server does when it stops."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


async def test_accepted_connections_have_tcp_nodelay() -> None:
    """Without it, each response waits 40 ms for the delayed acknowledgement of the client."""
    accepted: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.set_result(transport.get_extra_info("socket"))

    with bound_listener("127.0.0.1", 0) as listener:
        server = await asyncio.get_running_loop().create_server(Protocol, sock=listener)
        with socket.create_connection(listener.getsockname()):
            connection = await accepted
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        server.close()
