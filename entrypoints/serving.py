"""Running the server processes, and the database where they bring one."""

import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import uvicorn
from prometheus_client.multiprocess import mark_process_dead

from adapters.postgres import schema
from adapters.uvicorn.protocol import BoundedHttpProtocol
from adapters.uvicorn.uvicorn_internals import Multiprocess
from entrypoints import banner
from entrypoints.app import from_settings
from entrypoints.database import with_database, without_database
from entrypoints.settings import Settings

_PATIENCE_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 1.0
_SIGNAL_SECONDS: Final = 0.05
# Longer than the longest request, so that a stop cuts none off.
_DRAIN_SECONDS: Final = 15
# Longer than the idle timeout of the usual load balancers, which must be the first to hang up.
_KEEP_ALIVE_SECONDS: Final = 65
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class PortTaken(Exception):
    """Somebody else listens there."""


def serve_memory(settings: Settings) -> None:
    """Serve until a signal comes; then everything is gone. Raises `PortTaken`."""
    with _stopping_in_order(), _listening(settings) as listener:
        settings = without_database(settings)
        print(banner.in_memory(settings, listener.getsockname()[1]), flush=True)
        uvicorn.Server(_config(settings, workers=1)).run(sockets=[listener])


def serve_database(configured: Settings, *, workers: int, migrate: bool) -> None:
    """Serve until a signal comes. Raises `PortTaken`, `SchemaError`, `EmbeddedPostgresError`."""
    with (
        _stopping_in_order(),
        _listening(configured) as listener,
        with_database(configured, stays=True) as settings,
        _ignoring_signals_on_exit(),
    ):
        if migrate:
            _migrate(settings)
        print(banner.on_postgres(configured, settings, listener.getsockname()[1]), flush=True)
        config = _config(settings, workers)
        if workers > 1 and configured.rate_limit_storage == "memory://":
            print(
                f"Limits       each of the {workers} workers counts for itself:"
                " set RATE_LIMIT_STORAGE=redis://... to count together",
                flush=True,
            )
        if workers == 1:
            uvicorn.Server(config).run(sockets=[listener])
        else:
            # The workers read settings of their own: what the parent found out goes with them.
            os.environ["DATABASE_URL"] = settings.url or ""
            os.environ["BETTER_AUTH_SECRET"] = settings.secret
            with _multiprocess_metrics():
                _Workers(config, sockets=[listener]).run()


class _Workers(Multiprocess):
    def join_all(self) -> None:
        """Wait for the workers, and pass on to them whoever gets impatient: uvicorn looks at no
        signal while it waits. The door is theirs to close, when nobody stands in it."""
        for listener in self.sockets:
            listener.close()
        self.signal_queue.clear()
        while any(worker.process.is_alive() for worker in self.processes):
            if self.signal_queue:
                self.signal_queue.clear()
                self.terminate_all()
            time.sleep(_SIGNAL_SECONDS)
        super().join_all()


@contextmanager
def _multiprocess_metrics() -> Iterator[None]:
    """A folder in which the workers keep what they count, so that each can tell it of all."""
    ended = threading.Event()
    with tempfile.TemporaryDirectory(prefix="taskport-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        forgetting = threading.Thread(target=_remove_dead_gauges, args=(Path(folder), ended))
        forgetting.start()
        try:
            yield
        finally:
            ended.set()
            forgetting.join()


def _remove_dead_gauges(folder: Path, ended: threading.Event) -> None:
    """What a worker has done stays counted; what it had on its way when it died does not."""
    while not ended.wait(_LOOK_SECONDS):
        for file in folder.glob("gauge_live*_*.db"):
            pid = int(file.stem.rpartition("_")[2])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _migrate(settings: Settings) -> None:
    """Bring the schema to head; a database that is just starting gets a minute for it."""
    assert settings.direct_url is not None
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            schema.migrate(settings.direct_url)
            return
        except schema.DatabaseUnreachable as error:
            if time.monotonic() > give_up:
                raise
            print(f"{error}; trying again", flush=True)
            time.sleep(_RETRY_SECONDS)


def _config(settings: Settings, workers: int) -> uvicorn.Config:
    one = workers == 1
    return uvicorn.Config(
        from_settings(settings) if one else "entrypoints.app:from_environment",
        factory=not one,
        workers=workers,
        loop="adapters.uvicorn.loop:DrainingEventLoop",
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        # Who the client is, is ours to find out: uvicorn believes any header from loopback.
        proxy_headers=False,
        server_header=False,
        root_path=settings.api_root_path,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The port, taken before anything else is started."""
    host, port = settings.api_host, settings.api_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer waits 40 ms
    # for the client's delayed acknowledgement.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"cannot listen on {host} port {port} ({error.strerror}):"
                " choose another with --host or --port"
            ) from error
        yield listener


@contextmanager
def _stopping_in_order() -> Iterator[None]:
    """Let SIGTERM end this process as Ctrl-C does: through every `finally`.

    uvicorn raises the signal that stopped it once more, for whatever handler stood before.
    """

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in _STOP_SIGNALS:
        signal.signal(number, stop)
    with suppress(KeyboardInterrupt):
        yield


@contextmanager
def _ignoring_signals_on_exit() -> Iterator[None]:
    """No second signal may cut short the stopping of the database."""
    try:
        yield
    finally:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
