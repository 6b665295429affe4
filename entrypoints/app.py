"""The ASGI application, as each server process makes it."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from adapters.http.app import HttpOptions, create_app
from entrypoints.container import build
from entrypoints.settings import Settings


def from_settings(settings: Settings) -> FastAPI:
    service = build(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            # What lives until the end need not be looked at by each collection.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            yield

    return create_app(
        service.use_cases,
        service.health,
        service.cookies,
        HttpOptions(
            cors_origins=settings.cors_origins,
            better_auth_origin=settings.better_auth_url,
            root_path=settings.api_root_path,
            hide_foreign_tasks=settings.hide_foreign_tasks,
        ),
        lifespan,
    )


def from_environment() -> FastAPI:
    """What a worker process serves; its parent has put into the environment what it must know."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return from_settings(Settings())


def _end_with_parent() -> None:
    """A worker whose parent was killed would hold the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
