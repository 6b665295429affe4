"""Settings with a database: the configured one, or the embedded one."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.postgres_server.server import EmbeddedPostgres
from entrypoints.generated_secret import load_or_create_secret
from entrypoints.settings import Settings


@contextmanager
def with_database(settings: Settings, *, supervise: bool = False) -> Iterator[Settings]:
    """The settings with the configured database, or with an embedded one that runs in this block.

    For `supervise`, see `EmbeddedPostgres`. Raises `EmbeddedPostgresError`.
    """
    if settings.url is not None:
        yield settings
        return
    with EmbeddedPostgres(settings.taskport_data_dir, supervise=supervise) as server:
        yield _with_secret(settings.with_local_database(server.url))


def without_database(settings: Settings) -> Settings:
    """The settings without a database, but with a secret. Raises `EmbeddedPostgresError`."""
    return _with_secret(settings.with_local_database(None))


def _with_secret(settings: Settings) -> Settings:
    if settings.secrets:
        return settings
    return settings.with_secret(load_or_create_secret(settings))
