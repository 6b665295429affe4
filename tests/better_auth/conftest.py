"""Fixtures: a JWKS endpoint, and the adapter that fetches its keys."""

from collections.abc import AsyncIterator

import pytest

from adapters.better_auth.jwks import RemoteKeys
from tests.better_auth.provider import Provider


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
async def remote(provider: Provider) -> AsyncIterator[RemoteKeys]:
    """The adapter with its default intervals."""
    remote = RemoteKeys(provider.url)
    yield remote
    await remote.close()
