"""Health, for machines that watch."""

import asyncio

import httpx
import pytest

from adapters.http.health import READY_SECONDS
from application.ports.health import StorageHealth
from tests.conftest import Skip
from tests.http.backend import build_backend
from tests.http.client import client_of, code
from tests.http.fakes import FakeHealth


@pytest.fixture
def storage() -> FakeHealth:
    return FakeHealth()


@pytest.fixture
def client(storage: FakeHealth) -> httpx.AsyncClient:
    return client_of(build_backend({StorageHealth: storage}).app)


async def test_all_is_well(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/livez", "/readyz"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers["cache-control"] == "no-store"
    body = (await client.get("/health/db")).json()
    assert body["status"] == "ok"
    assert 0 <= body["latency_ms"] < 1_000


async def test_the_database_does_not_answer(
    client: httpx.AsyncClient, storage: FakeHealth, skip: Skip
) -> None:
    """Readiness fails in time, and liveness does not even ask."""
    storage.is_hanging = True
    for path in ("/health/db", "/readyz"):
        request = asyncio.create_task(client.get(path))
        await storage.started.wait()
        storage.started.clear()
        skip(READY_SECONDS)
        await assert_unavailable(client, await request)


async def test_the_database_is_unavailable(client: httpx.AsyncClient, storage: FakeHealth) -> None:
    storage.is_unavailable = True
    for path in ("/health/db", "/readyz"):
        await assert_unavailable(client, await client.get(path))


async def assert_unavailable(client: httpx.AsyncClient, answer: httpx.Response) -> None:
    assert code(answer) == (503, "UNAVAILABLE")
    assert "retry-after" in answer.headers
    for path in ("/health", "/livez"):
        assert (await client.get(path)).status_code == 200


async def test_a_schema_that_is_behind_is_not_ready(
    client: httpx.AsyncClient, storage: FakeHealth
) -> None:
    storage.is_old = True
    assert code(await client.get("/readyz")) == (503, "UNAVAILABLE")
    assert (await client.get("/health/db")).status_code == 200
