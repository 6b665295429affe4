"""A provider of keys, who asks it, and time that can be skipped."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable

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


@pytest.fixture
async def skip(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The event loop's time stands still, and moves by what is skipped."""
    loop = asyncio.get_running_loop()
    # A whole number, so that halves of seconds add up without a remainder.
    time = math.ceil(loop.time())
    skipped = 0.0

    def jump(seconds: float) -> None:
        nonlocal skipped
        skipped += seconds

    monkeypatch.setattr(loop, "time", lambda: time + skipped)
    return jump
