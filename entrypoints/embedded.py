"""The settings of a process that may bring its own database."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from adapters.postgres.embedded import EmbeddedPostgres
from entrypoints.settings import SECRET_MIN_LENGTH, Settings

_SECRET_FILE: Final = "secret"  # noqa: S105


@contextmanager
def with_database(settings: Settings, *, stays: bool = False) -> Iterator[Settings]:
    """The settings with a database in them: the configured one, or the embedded one, which runs
    as long as the `with` block does; for `stays`, see `EmbeddedPostgres`.

    Raises `EmbeddedPostgresError`.
    """
    if settings.url is not None:
        yield settings
        return
    with EmbeddedPostgres(settings.taskport_data_dir, stays=stays) as server:
        yield settings.with_database(server.url, settings.secret or kept_secret(settings))


def kept_secret(settings: Settings) -> str:
    """The secret beside the data; made, at the first call, by whoever comes first."""
    path = secret_file(settings)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{_SECRET_FILE}.{os.getpid()}")
        partial.touch(mode=0o600, exist_ok=False)
        partial.write_text(f"{secrets.token_urlsafe(SECRET_MIN_LENGTH)}\n")
        try:
            # Unlike a rename, a link never replaces what somebody else was faster to make.
            os.link(partial, path)
        except FileExistsError:
            pass
        finally:
            partial.unlink()
    return path.read_text().strip()


def secret_file(settings: Settings) -> Path:
    return settings.taskport_data_dir.resolve() / _SECRET_FILE
