"""A database cluster: one data directory, and the server that runs on it."""

import secrets
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres_server.binaries import PostgresBinaries
from adapters.postgres_server.errors import EmbeddedPostgresError
from adapters.postgres_server.loopback import free_port, is_free
from adapters.postgres_server.os_user import OsUser
from adapters.postgres_server.postmaster import Postmaster

MAJOR_VERSION: Final = 18
# A role with the name of our schema would find that before `public`, and so would Better Auth.
_ROLE: Final = "postgres"
_DATABASE: Final = "taskport"
_START_SECONDS: Final = 300.0
_REAP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05


class Cluster:
    """The data in a folder, the server on it, and the URL of its database."""

    def __init__(self, folder: Path, os_user: OsUser) -> None:
        self._folder = folder
        self._os_user = os_user
        self._data = folder / "postgres"
        self._log_file = folder / "postgres.log"
        self._url_file = folder / "database-url"
        self._postmaster = Postmaster(self._data)
        #: The server, if this process started it.
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self._url_file.read_text().strip()

    def is_running(self) -> bool:
        """Raises `EmbeddedPostgresError` if that cannot be determined."""
        return self._postmaster.pid() is not None

    def accepts_connections(self, database: str = _DATABASE) -> bool:
        try:
            self._connect(database).close()
        # The first start writes the file with the URL.
        except (FileNotFoundError, psycopg.OperationalError):
            return False
        return True

    def start(self) -> None:
        """Start the server, or adopt the one that an earlier owner has left running.

        A new folder gets its data first. Raises `EmbeddedPostgresError`.
        """
        binaries = PostgresBinaries.find(self._folder, self._os_user)
        try:
            version = self._read_version()
        except FileNotFoundError:
            self._initialise(binaries)
            version = self._read_version()
        if version != str(MAJOR_VERSION):
            raise EmbeddedPostgresError(
                f"{self._data} is of PostgreSQL {version}, and this is {MAJOR_VERSION}: dump the"
                " databases with the old version, and restore them here"
            )
        try:
            url = self.url
        except FileNotFoundError as error:
            raise EmbeddedPostgresError(
                f"{self._url_file}, with the password of the server, is missing: restore it, or"
                f" move {self._data} away to begin with an empty database"
            ) from error
        if not self._adopt():
            self._postmaster.remove_stale_lock_file()
            self._launch(binaries, url)
        self._create_database()

    def stop(self) -> None:
        """Stop the server, whichever process started it, and wait for its end."""
        self._postmaster.stop()
        if self._server is not None:
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(_REAP_SECONDS)

    def _read_version(self) -> str:
        return (self._data / "PG_VERSION").read_text().strip()

    def _initialise(self, binaries: PostgresBinaries) -> None:
        if not _is_empty(self._data):
            raise EmbeddedPostgresError(
                f"{self._data} has no PG_VERSION, so it is no PostgreSQL data directory, and it is"
                " not empty: restore the file, or move the folder away"
            )
        password = secrets.token_urlsafe(24)
        # Renamed when it is complete, so that an interrupted start leaves no incomplete data.
        partial = self._folder / "postgres.partial"
        binaries.initialise(partial, superuser=_ROLE, password=password)
        self._write_url(password, free_port())
        partial.rename(self._data)

    def _adopt(self) -> bool:
        """Wait until a running server accepts connections, or ends; whether one is running."""
        deadline = time.monotonic() + _START_SECONDS
        while (pid := self._postmaster.pid()) is not None:
            if self.accepts_connections("postgres"):
                return True
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"the server on {self._data}, process {pid}, does not accept connections"
                )
            time.sleep(_POLL_SECONDS)
        return False

    def _launch(self, binaries: PostgresBinaries, url: str) -> None:
        """Start a server process, on another port if its own is taken, and wait for it."""
        parameters = conninfo_to_dict(url)
        port = int(parameters["port"] or 0)
        if not is_free(port):
            port = free_port()
            self._write_url(str(parameters["password"]), port)
        self._server = binaries.serve(self._data, port, self._log_file)
        deadline = time.monotonic() + _START_SECONDS
        while not self.accepts_connections("postgres"):
            if self._server.poll() is not None or time.monotonic() > deadline:
                last_lines = self._log_file.read_text(errors="replace").splitlines()[-5:]
                raise EmbeddedPostgresError(
                    f"PostgreSQL did not start; its log, {self._log_file}, ends with:\n"
                    + "\n".join(last_lines)
                )
            time.sleep(_POLL_SECONDS)

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            query = "select 1 from pg_database where datname = %s"
            if connection.execute(query, (_DATABASE,)).fetchone() is None:
                connection.execute(f"create database {_DATABASE}")

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(self.url, dbname=database, autocommit=True, connect_timeout=10)

    def _write_url(self, password: str, port: int) -> None:
        partial = self._url_file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600, exist_ok=False)
        partial.write_text(f"postgresql://{_ROLE}:{password}@127.0.0.1:{port}/{_DATABASE}\n")
        partial.rename(self._url_file)


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True
