"""Delays between retries."""

import asyncio

from adapters.system import JitteredRetries


async def test_retries_are_spread_out_and_end_at_the_timeout() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    attempts = [n async for n in JitteredRetries(timeout=0.15, first_bound=0.02)()]
    assert attempts == list(range(1, len(attempts) + 1))
    assert len(attempts) >= 3
    assert loop.time() - started >= 0.15


async def test_first_attempt_is_not_delayed() -> None:
    async for attempt in JitteredRetries(timeout=60, first_bound=60)():
        assert attempt == 1
        return
