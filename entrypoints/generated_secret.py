"""The generated secret, in a file beside the data of the embedded database."""

import os
import secrets
from pathlib import Path
from typing import Final

from adapters.postgres_server.errors import EmbeddedPostgresError
from entrypoints.secret_types import SECRET_MIN_LENGTH
from entrypoints.settings import Settings

_SECRET_FILE: Final = "secret"  # noqa: S105


def load_or_create_secret(settings: Settings) -> str:
    """Read the secret; create it at the first call. Raises `EmbeddedPostgresError`.

    Several processes that start at once all get the same secret.
    """
    path = secret_file(settings)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{_SECRET_FILE}.{os.getpid()}")
        partial.touch(mode=0o600, exist_ok=False)
        partial.write_text(f"{secrets.token_urlsafe(SECRET_MIN_LENGTH)}\n")
        try:
            # Unlike a rename, a link never replaces the file of a process that was faster.
            os.link(partial, path)
        except FileExistsError:
            pass
        finally:
            partial.unlink()
    secret = path.read_text().strip()
    if len(secret) < SECRET_MIN_LENGTH:
        raise EmbeddedPostgresError(
            f"the secret in {path} has fewer than {SECRET_MIN_LENGTH} characters: remove the file"
            " to generate a new one"
        )
    return secret


def secret_file(settings: Settings) -> Path:
    return settings.taskport_data_dir.resolve() / _SECRET_FILE
