"""The whole application in memory, and clients of it."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI

from adapters.memory.store import MemoryStore
from application.ports.clock import Clock
from application.ports.passwords import Passwords
from domain.sessions import Session
from entrypoints.container import Service
from tests.conftest import FixedClock
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, client_of
from tests.http.fakes import FakePasswords, FreezableClock
from tests.http.fields import FieldClient
from tests.http.rows import add_key, add_session, add_user


@pytest.fixture(scope="session")
def freezable_clock() -> FreezableClock:
    return FreezableClock()


@pytest.fixture(scope="session")
def shared_passwords() -> FakePasswords:
    return FakePasswords()


@pytest.fixture(scope="session")
def shared_backend(freezable_clock: FreezableClock, shared_passwords: FakePasswords) -> Backend:
    """Built once: FastAPI takes longer to examine the routes than most tests take."""
    replace = {Clock: freezable_clock, Passwords: shared_passwords}
    return build_backend(replace, cors_origins=ORIGIN)


@pytest.fixture
def backend(shared_backend: Backend) -> Backend:
    """An application with an empty store. Modules override it to swap parts."""
    shared_backend.store.clear()
    return shared_backend


@pytest.fixture
def app(backend: Backend) -> FastAPI:
    return backend.app


@pytest.fixture
def service(backend: Backend) -> Service:
    return backend.service


@pytest.fixture
def store(backend: Backend) -> MemoryStore:
    return backend.store


@pytest.fixture
def passwords(shared_passwords: FakePasswords) -> FakePasswords:
    """The passwords of the application, none of which has been hashed yet."""
    shared_passwords.hashed.clear()
    return shared_passwords


@pytest.fixture
def frozen_clock(clock: FixedClock, freezable_clock: FreezableClock) -> Iterator[FixedClock]:
    """The time of the application, frozen until a test advances it."""
    clock.time = datetime.now(UTC)
    freezable_clock.frozen = clock
    yield clock
    freezable_clock.frozen = None


@pytest.fixture
def session(store: MemoryStore) -> Session:
    """A session of Ann, and the key of a `jwt` plugin."""
    add_user(store)
    add_key(store)
    return add_session(store)


@pytest.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
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


@pytest.fixture
async def field_client(app: FastAPI, store: MemoryStore) -> FieldClient:
    client = FieldClient(app, store)
    await client.reset()
    return client
