"""The whole application over memory, and clients of it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from entrypoints.app import from_settings
from entrypoints.settings import Settings
from tests.http.client import ORIGIN, SECRET, client_of


@pytest.fixture
def settings() -> Settings:
    return Settings(better_auth_secret=SECRET, cors_origins=ORIGIN)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return from_settings(settings)


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
