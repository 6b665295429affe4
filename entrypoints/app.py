"""The ASGI application of a server process."""

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
from adapters.logs import process_log
from entrypoints.container import Service, build
from entrypoints.settings import Settings

_log = structlog.get_logger("taskport.service")

# The creation time of each series would double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]


def from_settings(settings: Settings) -> FastAPI:
    return from_service(build(settings), settings)


def from_service(service: Service, settings: Settings) -> FastAPI:
    """The application over a service, which it starts and stops."""
    draining = threading.Event()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            async with service.running():
                # Exempt what lives as long as the process from garbage collection.
                gc.collect()
                gc.freeze()
                gc.set_threshold(50_000, 20, 100)
                with _failing_readiness_first(draining, settings.drain_seconds):
                    yield
        except Exception:
            # The server itself logs no details of an exception in the lifespan.
            #: The process cannot start, or cannot stop in order.
            _log.exception("service_crashed")
            raise
        finally:
            flush()
            process_log.flush()

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
            passwords=settings.password_policy,
        ),
        lifespan,
        draining.is_set,
    )


def from_environment() -> FastAPI:
    """The application of a worker process, whose parent has set the environment."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    settings = Settings()
    process_log.configure(settings.effective_log_level, settings.effective_log_format)
    return from_settings(settings)


@contextmanager
def _failing_readiness_first(draining: threading.Event, seconds: float) -> Iterator[None]:
    """On SIGTERM, fail the readiness probe for `seconds` before the server stops.

    A load balancer needs this time to notice. A second SIGTERM stops the server at once.
    """
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


def _exit_with_parent() -> None:
    """Without this, a worker whose parent was killed would keep the port forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
