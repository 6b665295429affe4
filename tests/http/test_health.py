"""Health, for machines that watch."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from adapters.http import health
from adapters.http.app import HttpOptions, create_app
from adapters.memory.counters import MemoryCounters
from application.limits import RequestLimit
from application.use_cases import UseCases
from domain.errors import Unavailable
from tests.http.client import COOKIES, client_of, code


class Storage:
    """A `StorageHealth` that is as well as it is told to be."""

    def __init__(self) -> None:
        self.is_down = self.is_slow = self.behind = False

    async def ping(self) -> None:
        if self.is_slow:
            await asyncio.sleep(30)
        if self.is_down:
            raise Unavailable

    async def is_behind(self) -> bool:
        await self.ping()
        return self.behind


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def client(app: FastAPI, storage: Storage) -> httpx.AsyncClient:
    use_cases: UseCases = app.state.dependencies.use_cases
    return client_of(
        create_app(use_cases, storage, COOKIES, RequestLimit(MemoryCounters(), ()), HttpOptions())
    )


async def test_all_is_well(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/livez", "/readyz"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers["cache-control"] == "no-store"
    body = (await client.get("/health/db")).json()
    assert body["status"] == "ok"
    assert 0 <= body["latency_ms"] < 1_000


@pytest.mark.parametrize("trouble", ["is_down", "is_slow"])
async def test_the_database_does_not_answer(
    client: httpx.AsyncClient, storage: Storage, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readiness fails in time, and liveness does not even ask."""
    monkeypatch.setattr(health, "READY_SECONDS", 0.1)
    setattr(storage, trouble, True)
    for path in ("/health/db", "/readyz"):
        answer = await client.get(path)
        assert code(answer) == (503, "UNAVAILABLE")
        assert "retry-after" in answer.headers
    for path in ("/health", "/livez"):
        assert (await client.get(path)).status_code == 200


async def test_a_schema_that_is_behind_is_not_ready(
    client: httpx.AsyncClient, storage: Storage
) -> None:
    storage.behind = True
    assert code(await client.get("/readyz")) == (503, "UNAVAILABLE")
    assert (await client.get("/health/db")).status_code == 200
