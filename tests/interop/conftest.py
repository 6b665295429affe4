"""Fixtures of the tests against the real Better Auth."""

import uuid
from collections.abc import AsyncIterator

import pytest

from tests.interop import nodejs
from tests.interop.better_auth import VERSIONS
from tests.interop.layouts import LAYOUTS, sides_of_layout
from tests.interop.sides import SharedSides, Sides, both_sides
from tests.servers import PostgresServer


@pytest.fixture(scope="session")
def node_modules() -> None:
    """Better Auth is installed."""
    nodejs.node_modules()


@pytest.fixture(scope="session", params=VERSIONS)
async def sides(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Both sides, for each version of Better Auth. Tests share them, and their users."""
    async with both_sides(postgres_18_server, request.param) as sides:
        yield sides


@pytest.fixture(scope="session", params=LAYOUTS)
async def shared(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[SharedSides]:
    """Both sides, for each layout of Better Auth's tables. Tests share them, and their users."""
    async with sides_of_layout(postgres_18_server, request.param) as sides:
        yield sides


@pytest.fixture
def email() -> str:
    """An e-mail address that no user has."""
    return f"{uuid.uuid4().hex}@example.com"
