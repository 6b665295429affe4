"""Waiting between attempts."""

import asyncio

from adapters.system import JitteredRetries


async def test_attempts_come_apart_and_come_to_an_end() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    attempts = [n async for n in JitteredRetries(patience=0.15, first_bound=0.02)()]
    assert attempts == list(range(1, len(attempts) + 1))
    assert len(attempts) >= 3
    assert loop.time() - started >= 0.15


async def test_the_first_attempt_does_not_wait() -> None:
    async for attempt in JitteredRetries(patience=60, first_bound=60)():
        assert attempt == 1
        return
