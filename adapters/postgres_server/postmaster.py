"""The postmaster: the PostgreSQL process that the lock file `postmaster.pid` names."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from adapters.postgres_server.errors import EmbeddedPostgresError

_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05


class Postmaster:
    """The server process of one data directory, whichever process started it."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._lock_file = data / "postmaster.pid"

    def pid(self) -> int | None:
        """The process id of the running server, or None if none is running.

        Raises `EmbeddedPostgresError` if that cannot be determined.
        """
        pid = self._pid_of_lock_file()
        if pid is None or not _is_running(pid):
            return None
        # The lock file of a server that crashed stays, and another process may have its id by now.
        pattern = rf"postgres.* -D {re.escape(str(self._data))}(\s|$)"
        return pid if re.search(pattern, _command_line(pid)) else None

    def remove_stale_lock_file(self) -> None:
        """Remove the lock file of a server that has crashed.

        PostgreSQL does that itself, unless another process of the same user has its id by now.
        """
        if self.pid() is None:
            self._lock_file.unlink(missing_ok=True)

    def stop(self) -> None:
        """Shut the server down, and wait for its end.

        First a fast shutdown, which rolls back open transactions and writes a checkpoint; an
        immediate one if that takes too long.
        """
        for number in (signal.SIGINT, signal.SIGQUIT):
            pid = self.pid()
            if pid is None:
                return
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + _STOP_SECONDS
            while self.pid() is not None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)

    def _pid_of_lock_file(self) -> int | None:
        try:
            first_line = self._lock_file.read_text().partition("\n")[0]
        except FileNotFoundError:
            return None
        if not first_line.isdecimal():
            raise EmbeddedPostgresError(
                f"{self._lock_file} names no process: remove it if no PostgreSQL server runs in"
                f" {self._data}"
            )
        return int(first_line)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It exists, and belongs to another user.
        return True
    return True


def _command_line(pid: int) -> str:
    """The command line of a process; empty if the process has ended.

    Raises `EmbeddedPostgresError` if the process runs and its command line cannot be read.
    """
    if sys.platform == "linux":
        # Not `ps`, which slim container images lack.
        with suppress(FileNotFoundError, ProcessLookupError):
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
    else:
        ps = ("ps", "-ww", "-p", str(pid), "-o", "args=")
        listed = subprocess.run(ps, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return listed.stdout
    if _is_running(pid):
        raise EmbeddedPostgresError(f"the command line of the process {pid} cannot be read")
    return ""
