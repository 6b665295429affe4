"""Whether the service is well, for machines that watch it."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Final

import msgspec
from fastapi import FastAPI, Request
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

from adapters.asgi.access_log import flush
from adapters.asgi.problems import unavailable
from adapters.asgi.responses import NO_STORE
from adapters.http import schemas
from adapters.http.openapi import documented
from application.ports.health import StorageHealth
from domain.errors import Invalid, Unavailable

# Whoever watches gets an answer within two seconds, on a machine that is busy as well.
READY_SECONDS: Final = 1.5

_METRICS: Final = ("text/plain", "application/openmetrics-text")


def add_health_routes(
    app: FastAPI, storage: StorageHealth, is_draining: Callable[[], bool]
) -> None:
    """`/health`, `/health/db`, `/livez`, `/readyz`, `/metrics`."""
    answers = documented(Invalid, protected=False, limited=False)

    async def alive() -> Response:
        """Whether the process runs. The database is not asked."""
        return _ok()

    for path, operation_id in (("/health", "health"), ("/livez", "livez")):
        app.add_api_route(
            path,
            alive,
            operation_id=operation_id,
            summary="Whether the process runs",
            response_model=schemas.Health,
            responses=answers,
            tags=["health"],
        )

    @app.get(
        "/health/db",
        operation_id="healthDatabase",
        summary="Ask the database",
        response_model=schemas.DatabaseHealth,
        responses=answers,
        tags=["health"],
    )
    async def database(request: Request) -> Response:
        """Whether the database answers, and how long that took."""
        started = perf_counter()
        try:
            async with asyncio.timeout(READY_SECONDS):
                await storage.ping()
        except (Unavailable, TimeoutError):
            return unavailable(request.scope)
        return _ok(latency_ms=round((perf_counter() - started) * 1000, 3))

    @app.get(
        "/readyz",
        operation_id="readyz",
        summary="Whether requests may come here",
        response_model=schemas.Health,
        responses=answers,
        tags=["health"],
    )
    async def ready(request: Request) -> Response:
        """Whether requests may come here: the database answers, its schema is not behind, and the
        service is not about to stop."""
        if is_draining():
            return unavailable(request.scope)
        try:
            async with asyncio.timeout(READY_SECONDS):
                behind = await storage.is_behind()
        except (Unavailable, TimeoutError):
            behind = True
        return unavailable(request.scope) if behind else _ok()

    @app.get(
        "/metrics",
        operation_id="metrics",
        summary="Read the metrics",
        response_class=Response,
        responses={
            200: {"content": {kind: {"schema": {"type": "string"}} for kind in _METRICS}},
            **answers,
        },
        tags=["health"],
    )
    async def metrics(request: Request) -> Response:
        """What this service has counted, for Prometheus."""
        flush()
        try:
            encode, media_type = choose_encoder(request.headers.get("accept", ""))
        except (TypeError, ValueError):
            # It takes the versions there for numbers.
            encode, media_type = choose_encoder("")
        # It takes milliseconds, and reads files where there are several workers.
        text = await asyncio.to_thread(lambda: encode(_registry()))
        return Response(text, headers=NO_STORE, media_type=media_type)


def _ok(**facts: float) -> Response:
    return Response(
        msgspec.json.encode({"status": "ok", **facts}),
        headers=NO_STORE,
        media_type="application/json",
    )


def _registry() -> CollectorRegistry:
    """All that this process has counted; and the other workers, where it is one of several."""
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:
        # No folder is named in which workers count together.
        return REGISTRY
    return registry
