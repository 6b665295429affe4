"""Whether the service is well, for machines that watch it."""

import asyncio
from time import perf_counter
from typing import Final

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response

from adapters.http import schemas
from adapters.http.openapi import documented
from adapters.http.problems import unavailable
from application.ports import StorageHealth
from domain.errors import Invalid, Unavailable

READY_SECONDS: Final = 2.0


def add_health_routes(app: FastAPI, storage: StorageHealth) -> None:
    """`/health`, `/health/db`, `/livez`, `/readyz`."""
    answers = documented(Invalid, protected=False)

    async def alive() -> Response:
        """Whether the process runs. The database is not asked."""
        return _ok()

    for path, operation_id in (("/health", "health"), ("/livez", "livez")):
        app.add_api_route(
            path,
            alive,
            operation_id=operation_id,
            response_model=schemas.Health,
            responses=answers,
            tags=["health"],
        )

    @app.get(
        "/health/db",
        operation_id="healthDatabase",
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
        response_model=schemas.Health,
        responses=answers,
        tags=["health"],
    )
    async def ready(request: Request) -> Response:
        """Whether requests may come here: the database answers, and its schema is not behind."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                behind = await storage.is_behind()
        except (Unavailable, TimeoutError):
            behind = True
        return unavailable(request.scope) if behind else _ok()


def _ok(**facts: float) -> Response:
    return Response(
        msgspec.json.encode({"status": "ok", **facts}),
        headers={"Cache-Control": "no-store"},
        media_type="application/json",
    )
