"""The settings of a process that may bring its own database."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from adapters.postgres_server.binaries import EmbeddedPostgresError
from adapters.postgres_server.server import EmbeddedPostgres
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
        yield settings.with_database(server.url, settings.secret or load_or_create_secret(settings))


def without_database(settings: Settings) -> Settings:
    """The settings with no database in them, and with a secret all the same.

    Raises `EmbeddedPostgresError`.
    """
    return settings.model_copy(
        update={
            "database_url": None,
            "neon_db_url": None,
            "better_auth_secret": SecretStr(settings.secret or load_or_create_secret(settings)),
        }
    )


def load_or_create_secret(settings: Settings) -> str:
    """The secret beside the data; made, at the first call, by whoever comes first.

    Raises `EmbeddedPostgresError`.
    """
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
    secret = path.read_text().strip()
    if len(secret) < SECRET_MIN_LENGTH:
        raise EmbeddedPostgresError(
            f"the secret in {path} has fewer than {SECRET_MIN_LENGTH} characters: remove the file,"
            " and a new one is made"
        )
    return secret


def secret_file(settings: Settings) -> Path:
    return settings.taskport_data_dir.resolve() / _SECRET_FILE
