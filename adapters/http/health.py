"""Probes: liveness, readiness, the health of the database, and the metrics."""

import asyncio
from time import perf_counter
from typing import Final, Literal

import msgspec
from fastapi import Request
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import ConfigDict
from starlette.responses import Response

from adapters.asgi.access_log import flush
from adapters.asgi.problems import unavailable
from adapters.asgi.responses import NO_STORE
from adapters.http.dependencies import Deps
from adapters.http.operations import Operations
from adapters.http.schema import Schema
from domain.errors import Unavailable

# A probe gets its response within two seconds, on a busy machine as well.
READY_SECONDS: Final = 1.5
_METRICS: Final = ("text/plain", "application/openmetrics-text")

health: Final = Operations("health")


class Health(Schema):
    """The result of a probe."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"]


class DatabaseHealth(Health):
    """The result of a query to the database, and its latency."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok", "latency_ms": 0.7}]})

    latency_ms: float


@health.get("/health", returns=Health, is_limited=False, operation_id="health")
@health.get("/livez", returns=Health, is_limited=False, operation_id="livez")
async def liveness() -> Response:
    """Whether the process runs.

    It does not query the database.
    """
    return _ok()


@health.get("/health/db", returns=DatabaseHealth, is_limited=False, operation_id="healthDatabase")
async def database(request: Request, deps: Deps) -> Response:
    """Query the database.

    The result includes the latency.
    """
    started = perf_counter()
    try:
        async with asyncio.timeout(READY_SECONDS):
            await deps.storage.ping()
    except (Unavailable, TimeoutError):
        return unavailable(request.scope)
    return _ok(latency_ms=round((perf_counter() - started) * 1000, 3))


@health.get("/readyz", returns=Health, is_limited=False, operation_id="readyz")
async def readiness(request: Request, deps: Deps) -> Response:
    """Whether the service is ready for requests.

    The database responds, its schema is not behind, its tables can be read, and the service is not
    about to stop.
    """
    if deps.is_draining():
        return unavailable(request.scope)
    try:
        async with asyncio.timeout(READY_SECONDS):
            is_ready = await deps.storage.is_ready()
    except (Unavailable, TimeoutError):
        is_ready = False
    return _ok() if is_ready else unavailable(request.scope)


@health.get(
    "/metrics",
    is_limited=False,
    responses={200: {"content": {kind: {"schema": {"type": "string"}} for kind in _METRICS}}},
    response_class=Response,
)
async def metrics(request: Request) -> Response:
    """Read the metrics.

    In the format of Prometheus.
    """
    flush()
    try:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
    except (TypeError, ValueError):
        # prometheus_client parses the version parameter as a number.
        encode, media_type = choose_encoder("")
    # Encoding takes milliseconds, and with several workers it reads files.
    text = await asyncio.to_thread(lambda: encode(_registry()))
    return Response(text, headers=NO_STORE, media_type=media_type)


def _ok(**facts: float) -> Response:
    return Response(
        msgspec.json.encode({"status": "ok", **facts}),
        headers=NO_STORE,
        media_type="application/json",
    )


def _registry() -> CollectorRegistry:
    """The metrics of this process, or of all workers if there are several."""
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:
        # PROMETHEUS_MULTIPROC_DIR is not set.
        return REGISTRY
    return registry
