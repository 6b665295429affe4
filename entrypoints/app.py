"""The ASGI application, as each server process makes it."""

import asyncio
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
from fastapi import FastAPI
from prometheus_client import disable_created_metrics

from adapters.asgi.access_log import flush
from adapters.http.app import HttpOptions, create_app
from adapters.logs import configuration as logs
from entrypoints.container import build
from entrypoints.settings import Settings

_log = structlog.get_logger("taskport.service")

# Nobody asks when a series began, and each would be two.
disable_created_metrics()  # type: ignore[no-untyped-call]


def from_settings(settings: Settings) -> FastAPI:
    service = build(settings)
    draining = threading.Event()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            async with service.running():
                # What lives until the end need not be looked at by each collection.
                gc.collect()
                gc.freeze()
                gc.set_threshold(50_000, 20, 100)
                with _draining_first(draining, settings.drain_seconds):
                    yield
        except Exception:
            # Of what is raised here the server tells no more than that it was.
            _log.exception("service_crashed")
            raise
        finally:
            flush()
            logs.flush()

    return create_app(
        service.use_cases,
        service.health,
        service.cookies,
        service.request_limit,
        HttpOptions(
            cors_origins=settings.cors_origins,
            better_auth_origin=settings.better_auth_url,
            root_path=settings.api_root_path,
            hide_foreign_tasks=settings.hide_foreign_tasks,
            allowed_hosts=settings.allowed_hosts,
            trusted_proxies=settings.trusted_proxies,
        ),
        lifespan,
        draining.is_set,
    )


def from_environment() -> FastAPI:
    """What a worker process serves; its parent has put into the environment what it must know."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    settings = Settings()
    logs.configure(settings.effective_log_level, settings.effective_log_format)
    return from_settings(settings)


@contextmanager
def _draining_first(draining: threading.Event, seconds: float) -> Iterator[None]:
    """Let SIGTERM first make the service say that it is not ready, for as long as a load balancer
    needs to see it, and only then make the server stop; a second one does so at once."""
    stop = signal.getsignal(signal.SIGTERM)
    is_served = callable(stop) and threading.current_thread() is threading.main_thread()
    loop = asyncio.get_running_loop()

    def drain(number: int, frame: object) -> None:
        assert callable(stop)
        if draining.is_set() or not seconds:
            draining.set()
            stop(number, None)
        else:
            draining.set()
            loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, None)

    if is_served:
        signal.signal(signal.SIGTERM, drain)
    try:
        yield
    finally:
        if is_served:
            signal.signal(signal.SIGTERM, stop)


def _end_with_parent() -> None:
    """A worker whose parent was killed would hold the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
