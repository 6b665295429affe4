"""The whole application over memory, and clients of it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from adapters.memory.store import MemoryStore
from entrypoints.app import from_settings
from entrypoints.settings import Settings
from tests.http.client import ORIGIN, SECRET, client_of


@pytest.fixture(scope="session")
def built_app() -> FastAPI:
    """Made once: FastAPI takes longer to look at the routes than most tests take."""
    return from_settings(Settings(better_auth_secret=SECRET, cors_origins=ORIGIN))


@pytest.fixture
def app(built_app: FastAPI) -> FastAPI:
    """The application, with nothing in it."""
    store: MemoryStore = built_app.state.use_cases.get_task.tasks.store
    store.clear()
    return built_app


@pytest.fixture
async def nobody(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def ann(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, "ann") as client:
        yield client


@pytest.fixture
async def bob(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, "bob") as client:
        yield client
