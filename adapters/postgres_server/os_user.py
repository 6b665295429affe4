"""The operating system user that the embedded server runs as."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from adapters.postgres_server.errors import EmbeddedPostgresError

USER: Final = "taskport-postgres"
# Nothing of our own environment is the server's business, and there are secrets in it.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


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
            user = pwd.getpwnam(USER)
        except KeyError:
            command = ("useradd", "--system", "--user-group", "--no-create-home", USER)
            try:
                subprocess.run(command, check=True, capture_output=True)
                user = pwd.getpwnam(USER)
            except (OSError, subprocess.CalledProcessError, KeyError) as error:
                raise EmbeddedPostgresError(
                    f"PostgreSQL does not run as root, and the user {USER} could not be made:"
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
