"""The settings of a process that may bring its own database."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from adapters.postgres_server.server import EmbeddedPostgres
from entrypoints.generated_secret import load_or_create_secret
from entrypoints.settings import Settings


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
