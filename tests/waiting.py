"""Waiting for conditions.

A test asserts outcomes and their order, never how fast they come: a loaded machine may be tens of
times slower than an idle one. Whatever a test waits for gets `LIMIT_SECONDS`, which only a test
that fails uses up.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, overload

LIMIT_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.02

T = TypeVar("T")


def eventually(condition: Callable[[], T], expected: str = "") -> T:
    """Poll a condition until it is true, and return its value.

    Raises `AssertionError`, with what was expected, after `LIMIT_SECONDS`.
    """
    give_up = time.monotonic() + LIMIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < give_up, _failure(expected, value)
        time.sleep(_POLL_SECONDS)
    return value


@overload
async def eventually_async(condition: Callable[[], Awaitable[T]], expected: str = "") -> T: ...


@overload
async def eventually_async(condition: Callable[[], T], expected: str = "") -> T: ...


async def eventually_async(condition: Callable[[], Any], expected: str = "") -> Any:
    """`eventually` on the event loop; the condition may be a coroutine function."""
    give_up = time.monotonic() + LIMIT_SECONDS
    while True:
        found = condition()
        value = await found if inspect.isawaitable(found) else found
        if value:
            return value
        assert time.monotonic() < give_up, _failure(expected, value)
        await asyncio.sleep(_POLL_SECONDS)


def _failure(expected: str, value: object) -> str:
    return f"not within {LIMIT_SECONDS:.0f} s: {expected or 'the condition'}; last value: {value!r}"
