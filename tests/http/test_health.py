"""Probes: liveness, readiness, and the health of the database."""

import asyncio

import httpx
import pytest

from adapters.http.health import READY_SECONDS
from application.ports.health import StorageHealth
from tests.conftest import AdvanceTime
from tests.http.backend import build_backend
from tests.http.client import client_of, error_of
from tests.http.fakes import FakeHealth


@pytest.fixture
def health() -> FakeHealth:
    return FakeHealth()


@pytest.fixture
def client(health: FakeHealth) -> httpx.AsyncClient:
    return client_of(build_backend({StorageHealth: health}).app)


async def test_all_probes_succeed(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/livez", "/readyz"):
        response = await client.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
        assert response.headers["cache-control"] == "no-store"
    body = (await client.get("/health/db")).json()
    assert body["status"] == "ok"
    assert body["latency_ms"] >= 0


async def test_probes_of_the_database_time_out(
    client: httpx.AsyncClient, health: FakeHealth, advance_time: AdvanceTime
) -> None:
    """Liveness does not query the database, and succeeds."""
    health.is_hanging = True
    for path in ("/health/db", "/readyz"):
        request = asyncio.create_task(client.get(path))
        await health.started.wait()
        health.started.clear()
        advance_time(READY_SECONDS)
        await assert_unavailable(client, await request)


async def test_probes_of_an_unavailable_database_fail(
    client: httpx.AsyncClient, health: FakeHealth
) -> None:
    health.is_unavailable = True
    for path in ("/health/db", "/readyz"):
        await assert_unavailable(client, await client.get(path))


async def assert_unavailable(client: httpx.AsyncClient, response: httpx.Response) -> None:
    assert error_of(response) == (503, "UNAVAILABLE")
    assert "retry-after" in response.headers
    for path in ("/health", "/livez"):
        assert (await client.get(path)).status_code == 200


async def test_an_outdated_schema_is_not_ready(
    client: httpx.AsyncClient, health: FakeHealth
) -> None:
    health.is_old = True
    assert error_of(await client.get("/readyz")) == (503, "UNAVAILABLE")
    assert (await client.get("/health/db")).status_code == 200
