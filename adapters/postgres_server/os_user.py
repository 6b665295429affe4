"""The operating system user that the embedded server runs as."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from adapters.postgres_server.errors import EmbeddedPostgresError

USER: Final = "taskport-postgres"
# Not our own environment, which contains secrets.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class OsUser:
    """The user that the server runs as: the current one or, as root, a system user of its own."""

    #: None: the current user.
    uid: int | None
    gid: int | None

    @classmethod
    def choose(cls) -> Self:
        """As root, create the system user if it is missing. Raises `EmbeddedPostgresError`."""
        if os.geteuid() != 0:
            return cls(None, None)
        try:
            user = pwd.getpwnam(USER)
        except KeyError:
            command = ("useradd", "--system", "--user-group", "--no-create-home", USER)
            try:
                subprocess.run(command, check=True, capture_output=True)
                user = pwd.getpwnam(USER)
            except (OSError, subprocess.CalledProcessError, KeyError) as error:
                raise EmbeddedPostgresError(
                    f"PostgreSQL does not run as root, and the user {USER} could not be created:"
                    " create it, or run Taskport as an ordinary user"
                ) from error
        return cls(user.pw_uid, user.pw_gid)

    @property
    def folder_mode(self) -> int:
        """The mode of the folder above the data, which the user must be able to enter."""
        return 0o700 if self.uid is None else 0o711

    @property
    def options(self) -> dict[str, Any]:
        """Arguments with which `subprocess` runs a program as this user."""
        options: dict[str, Any] = {"cwd": "/", "env": _ENVIRONMENT, "umask": 0o077}
        if self.uid is not None:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def own(self, path: Path) -> None:
        """Make the user the owner of a file."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether the user can enter a folder, or execute a file."""
        if self.uid is None:
            return True
        command = ("test", "-x", str(path))
        return subprocess.run(command, check=False, **self.options).returncode == 0
