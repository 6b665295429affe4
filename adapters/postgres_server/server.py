"""An embedded PostgreSQL server, for use without a database of one's own.

The processes that use the same folder share one server. One of them is its owner: it has acquired
`owner.lock`, starts the server (or adopts one that an earlier owner has left running), and stops it
at its end. The others join: they wait until the server is ready, and never stop it.

An owner that exits waits some seconds for the others, then stops the server. A process that
entered with `supervise=True` takes over from an owner that has exited, and restarts a server that
has died.

The server listens on loopback and requires the password in `database-url`, which only the user who
started it can read. As root it runs as a system user of its own, because PostgreSQL refuses to run
as root.
"""

import logging
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from adapters.postgres_server.cluster import Cluster
from adapters.postgres_server.errors import EmbeddedPostgresError
from adapters.postgres_server.locks import FileLock
from adapters.postgres_server.os_user import OsUser

_JOIN_SECONDS: Final = 60.0
_QUIET_SECONDS: Final = 2.0
_EXIT_SECONDS: Final = 5.0
_SUPERVISE_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.05

_log = logging.getLogger("taskport.postgres")


class EmbeddedPostgres:
    """The server of one data folder, for the duration of a `with` block.

    Enter it in the main thread: on Linux, the kernel stops the server when the thread that started
    it ends. Raises `EmbeddedPostgresError`.
    """

    def __init__(self, folder: Path, *, supervise: bool = False) -> None:
        self._folder = folder.resolve()
        self._is_supervisor = supervise
        self._is_owner = False
        self._exiting, self._exited = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return self._cluster.url

    def __enter__(self) -> Self:
        os_user = OsUser.choose()
        self._folder.mkdir(parents=True, exist_ok=True, mode=os_user.folder_mode)
        self._cluster = Cluster(self._folder, os_user)
        self._owner_lock = FileLock(self._folder / "owner.lock")
        #: Shared by all processes that use the server.
        self._users_lock = FileLock(self._folder / "users.lock")
        self._users_lock.acquire_shared()
        try:
            self._own_or_join()
            if self._is_supervisor:
                threading.Thread(target=self._supervise, daemon=True).start()
        except BaseException:
            self._exit()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit()

    def _own_or_join(self) -> None:
        """Start the server as its owner, or wait until the owner has started it."""
        started = time.monotonic()
        has_warned = False
        while not self._acquire_ownership():
            if self._cluster.accepts_connections():
                return
            waited = time.monotonic() - started
            if waited > _JOIN_SECONDS:
                raise EmbeddedPostgresError(f"the server of {self._folder} does not respond")
            if waited > _QUIET_SECONDS and not has_warned:
                _log.warning("waiting for the server of %s", self._folder)
                has_warned = True
            time.sleep(_POLL_SECONDS)
        self._cluster.start()

    def _acquire_ownership(self) -> bool:
        """Become the owner, unless another process is; whether this process is the owner."""
        self._is_owner = self._is_owner or self._owner_lock.try_acquire()
        return self._is_owner

    def _supervise(self) -> None:
        """Take over from an owner that has exited, and restart a server that has died."""
        while not self._exiting.wait(_SUPERVISE_SECONDS):
            try:
                if self._acquire_ownership() and not self._cluster.is_running():
                    _log.warning("the server of %s has ended; starting it again", self._folder)
                    self._cluster.start()
            except Exception:
                # To be tried again. If this thread ended, so would the server that it started.
                _log.exception("the server of %s cannot be started", self._folder)
        self._exited.wait()

    def _exit(self) -> None:
        """Stop the embedded server if this process owns it, after a wait for the others."""
        self._exiting.set()
        if self._is_owner:
            deadline = time.monotonic() + _EXIT_SECONDS
            while not self._users_lock.try_acquire() and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            self._cluster.stop()
        self._exited.set()
        self._owner_lock.release()
        self._users_lock.release()
