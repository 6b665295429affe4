"""The whole application over memory, and clients of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI

from adapters.better_auth import passwords
from adapters.memory.store import MemoryStore
from adapters.system import SystemClock
from domain.sessions import Session
from entrypoints.app import from_settings
from entrypoints.settings import Settings
from tests.conftest import FixedClock
from tests.http.client import ORIGIN, SECRET, client_of
from tests.http.people import add_key, add_session, add_user, cheap_key, store_of


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real hash takes longer than a hundred tests."""
    monkeypatch.setattr(passwords, "derive", cheap_key)


@pytest.fixture(scope="session")
def built_app() -> FastAPI:
    """Made once: FastAPI takes longer to look at the routes than most tests take."""
    return from_settings(Settings(better_auth_secret=SECRET, cors_origins=ORIGIN))


@pytest.fixture
def app(built_app: FastAPI) -> FastAPI:
    """The application, with nothing in it."""
    store_of(built_app).clear()
    return built_app


@pytest.fixture
def store(app: FastAPI) -> MemoryStore:
    """All that the application keeps."""
    return store_of(app)


@pytest.fixture
def moment(clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> FixedClock:
    """The time of the application, which stands still until it is told to move."""
    clock.time = datetime.now(UTC)
    monkeypatch.setattr(SystemClock, "now", lambda _: clock.time)
    return clock


@pytest.fixture
def session(store: MemoryStore) -> Session:
    """Ann, who is signed in, and the key of a `jwt` plugin."""
    add_user(store)
    add_key(store)
    return add_session(store)


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
