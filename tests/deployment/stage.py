"""Runs the services of `deploy/compose.yaml` without containers, with other paths and ports."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from adapters.postgres_server.binaries import PostgresBinaries
from adapters.postgres_server.loopback import free_port
from adapters.postgres_server.os_user import OsUser
from tests.deployment.files import DEPLOY, command, environment, filled, services
from tests.requirements import program
from tests.servers import passable_folder, wait_for
from tests.waiting import LIMIT_SECONDS, eventually


@dataclass(frozen=True)
class Database:
    """A PostgreSQL 18 server, initialized like the container."""

    port: int
    binaries: Path
    folder: Path

    def url(self, role: str, password: str = "", *, name: str = "taskport") -> str:
        secret = password or filled(f"${{{role.upper()}_PASSWORD:?}}")
        return f"postgresql://{role}:{secret}@127.0.0.1:{self.port}/{name}"

    @property
    def superuser_url(self) -> str:
        return self.url("postgres", filled("${POSTGRES_PASSWORD:?}"))

    @property
    def owner_url(self) -> str:
        return self.url("taskport_owner")

    @property
    def app_url(self) -> str:
        return self.url("taskport_app")

    def psql(self, *arguments: str, env: Mapping[str, str]) -> str:
        """Run psql with only this environment, and return its output."""
        done = subprocess.run(
            [self.binaries / "psql", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
            env={"PATH": os.defpath, **env},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def set_up(self) -> None:
        """Run the initialization script, as the image does once."""
        postgres = services()["postgres"]
        [script] = [s for s in postgres["volumes"] if "initdb.d" in s]
        self.psql(
            f"--file={DEPLOY / script.split(':')[0]}",
            f"--dbname={self.superuser_url}",
            env=environment(postgres),
        )

    def grant(self) -> None:
        """Run the command of the service `grants`."""
        grants = services()["grants"]
        name, *arguments = command(grants)
        assert name == "psql"
        self.psql(
            *(word.replace("/grants.sql", str(DEPLOY / "grants.sql")) for word in arguments),
            env={**environment(grants), "PGHOST": "127.0.0.1", "PGPORT": str(self.port)},
        )


@contextmanager
def database() -> Iterator[Database]:
    variables = environment(services()["postgres"])
    with passable_folder() as folder:
        binaries = PostgresBinaries.find(folder, OsUser.choose())
        data = folder / "data"
        binaries.initialise(
            data,
            superuser="postgres",
            password=variables["POSTGRES_PASSWORD"],
            locale=variables["POSTGRES_INITDB_ARGS"].split(),
        )
        port = free_port()
        server = binaries.serve(data, port, folder / "log")
        database = Database(port, binaries.folder, folder)
        url = database.url("postgres", variables["POSTGRES_PASSWORD"], name="postgres")
        try:
            wait_for(url, server)
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute(f"create database {variables['POSTGRES_DB']}")
            database.set_up()
            yield database
        finally:
            server.terminate()
            server.wait(LIMIT_SECONDS)


@contextmanager
def pooler(database: Database) -> Iterator[str]:
    """PgBouncer with the deployed configuration and command. Yields the URL of the workers."""
    pgbouncer = program("pgbouncer", "pgbouncer", "/usr/sbin")
    service = services()["pgbouncer"]
    port = free_port()
    with passable_folder() as folder:
        config = folder / "pgbouncer.ini"
        text = (DEPLOY / "pgbouncer.ini").read_text()
        text = text.replace("host=postgres port=5432", f"host=127.0.0.1 port={database.port}")
        text = text.replace("listen_addr = *", "listen_addr = 127.0.0.1")
        text = text.replace("listen_port = 6432", f"listen_port = {port}")
        config.write_text(text.replace("/tmp/", f"{folder}/"))
        words = command(service)
        words[-1] = words[-1].replace("/tmp/", f"{folder}/")
        words[-1] = words[-1].replace("/etc/taskport/pgbouncer.ini", str(config))
        user = OsUser.choose()
        user.own(folder)
        process = subprocess.Popen(
            words,
            stderr=subprocess.DEVNULL,
            **{
                **user.options,
                "env": {"PATH": f"{pgbouncer.parent}:{os.defpath}", **environment(service)},
            },
        )
        url = database.app_url.replace(f":{database.port}/", f":{port}/")
        try:
            wait_for(url, process)
            yield url
        finally:
            process.kill()
            process.wait(LIMIT_SECONDS)


@contextmanager
def shared_counters() -> Iterator[tuple[str, int, subprocess.Popen[bytes]]]:
    """Redis with the deployed command. Yields its URL, its port and its process."""
    program("redis-server", "redis-server")
    service = services()["redis"]
    variables = environment(service)
    port = free_port()
    with passable_folder() as folder:
        words = command(service)
        words[-1] = words[-1].replace("--port 6379", f"--bind 127.0.0.1 --port {port}")
        words[-1] = words[-1].replace("--dir /tmp", f"--dir {folder}")
        process = subprocess.Popen(
            words,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath), **variables},
        )
        try:
            eventually(lambda: _redis_is_healthy(port) or process.poll() is not None)
            assert process.poll() is None, "redis-server did not start"
            yield f"redis://:{variables['REDISCLI_AUTH']}@127.0.0.1:{port}/0", port, process
        finally:
            process.kill()
            process.wait(LIMIT_SECONDS)


def _redis_is_healthy(port: int) -> bool:
    service = services()["redis"]
    kind, check = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    done = subprocess.run(
        ["sh", "-c", check.replace("-p 6379", f"-p {port}")],
        capture_output=True,
        check=False,
        timeout=LIMIT_SECONDS,
        env={"PATH": os.environ.get("PATH", os.defpath), **environment(service)},
    )
    return done.returncode == 0
