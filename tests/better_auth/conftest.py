"""A provider of keys, who asks it, and time that can be skipped."""

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
    """With the intervals that it has in service."""
    remote = RemoteKeys(provider.url)
    yield remote
    await remote.close()
