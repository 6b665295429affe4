"""Serves the application: settings for uvicorn, database and migration, then the server."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn

from adapters.postgres import schema
from adapters.uvicorn.listener import bound_listener
from adapters.uvicorn.protocol import BoundedHttpProtocol
from adapters.uvicorn.workers import Workers, multiprocess_metrics
from entrypoints import banner
from entrypoints.app import from_settings
from entrypoints.database import with_database, without_database
from entrypoints.settings import Settings

#: Seconds for the last requests on shutdown. Longer than the longest request.
GRACEFUL_SHUTDOWN_SECONDS: Final = 15
#: Seconds for an idle connection. Longer than the idle timeout of the usual load balancers: if the
#: service closed it first, a request that is under way would be lost.
KEEP_ALIVE_SECONDS: Final = 65
#: Seconds for a database that is starting.
_DATABASE_SECONDS: Final = 60.0
_DATABASE_RETRY_SECONDS: Final = 1.0
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def serve_memory(settings: Settings) -> None:
    """Serve from memory until a signal arrives. Raises `PortTaken`, `EmbeddedPostgresError`."""
    with _exiting_on_signals(), bound_listener(settings.api_host, settings.api_port) as listener:
        settings = without_database(settings)
        print(banner.in_memory(settings, listener.getsockname()[1]), flush=True)
        uvicorn.Server(server_config(settings, workers=1)).run(sockets=[listener])


def serve_database(configured: Settings, *, workers: int, migrate: bool) -> None:
    """Serve until a signal arrives. Raises `PortTaken`, `SchemaError`, `EmbeddedPostgresError`."""
    with (
        _exiting_on_signals(),
        bound_listener(configured.api_host, configured.api_port) as listener,
        with_database(configured, supervise=True) as settings,
        _ignoring_signals_on_exit(),
    ):
        if migrate:
            _migrate(settings)
        else:
            _check_layout(settings)
        print(banner.on_postgres(configured, settings, listener.getsockname()[1]), flush=True)
        config = server_config(settings, workers)
        if workers > 1 and configured.rate_limit_storage == "memory://":
            print(
                f"Limits       each of the {workers} workers counts for itself:"
                " set RATE_LIMIT_STORAGE=redis://... to share the counts",
                flush=True,
            )
        if workers == 1:
            uvicorn.Server(config).run(sockets=[listener])
        else:
            # Workers read their settings from the environment: pass on what was determined here.
            os.environ["DATABASE_URL"] = settings.url or ""
            if settings.secrets:
                os.environ["BETTER_AUTH_SECRET"] = settings.secrets[0]
            os.environ["BETTER_AUTH_JWKS_URL"] = settings.better_auth_jwks_url or ""
            with multiprocess_metrics():
                Workers(config, sockets=[listener]).run()


def server_config(settings: Settings, workers: int) -> uvicorn.Config:
    """uvicorn's configuration for one process or for several workers."""
    is_single = workers == 1
    return uvicorn.Config(
        from_settings(settings) if is_single else "entrypoints.app:from_environment",
        factory=not is_single,
        workers=workers,
        loop="adapters.uvicorn.loop:DrainingEventLoop",
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        # Client addresses are determined by TRUSTED_PROXIES; uvicorn trusts headers from loopback.
        proxy_headers=False,
        server_header=False,
        root_path=settings.api_root_path,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
    )


def _migrate(settings: Settings) -> None:
    """Migrate to head; retry for `_DATABASE_SECONDS` while the database is unreachable.

    Raises `SchemaError`.
    """
    assert settings.direct_url is not None
    give_up = time.monotonic() + _DATABASE_SECONDS
    while True:
        try:
            schema.migrate(settings.direct_url, options=settings.layout_options)
            return
        except schema.TriggerMissing as missing:
            # Requests succeed without the triggers; `taskport check` fails.
            print(missing, flush=True)
            return
        except schema.DatabaseUnreachable as error:
            if time.monotonic() > give_up:
                raise
            print(f"{error}; trying again", flush=True)
            time.sleep(_DATABASE_RETRY_SECONDS)


def _check_layout(settings: Settings) -> None:
    """Raises `SchemaError` if Better Auth's tables cannot be used; none if there is no database
    yet.
    """
    assert settings.url is not None
    with suppress(schema.DatabaseUnreachable):
        schema.check_layout(settings.url, settings.layout_options)


@contextmanager
def _exiting_on_signals() -> Iterator[None]:
    """Leave the block on SIGTERM or SIGINT, through every `finally`.

    This includes the signal that stopped uvicorn, which raises it again for the handler that was
    set before its own.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in _STOP_SIGNALS:
        signal.signal(number, interrupt)
    with suppress(KeyboardInterrupt):
        yield


@contextmanager
def _ignoring_signals_on_exit() -> Iterator[None]:
    """Ignore signals once the block is left, so that none interrupts the shutdown of PostgreSQL."""
    try:
        yield
    finally:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
