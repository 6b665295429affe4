"""The system's clock, and delays between retries."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class SystemClock:
    """`Clock`: the current time in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class JitteredRetries:
    """`Retries`: exponential backoff with full jitter.

    Without jitter, writers that lost a race retry at the same moment and collide again: 50
    concurrent changes of one task took 47 attempts without jitter, and 8 with it.
    """

    #: Seconds from the first attempt to the last. Less than the deadline of a request, whose error
    #: would not name the cause.
    timeout: float = 8.0
    #: Upper bound of the first delay, in seconds; doubles with each attempt.
    first_bound: float = 0.01
    #: Upper bound of all delays, in seconds.
    last_bound: float = 0.5

    async def __call__(self) -> AsyncIterator[int]:
        deadline = asyncio.get_running_loop().time() + self.timeout
        bound = self.first_bound
        attempt = 1
        yield attempt
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            # Jitter needs no secure random numbers.
            await asyncio.sleep(min(left, random.uniform(0, bound)))  # noqa: S311
            bound = min(bound * 2, self.last_bound)
            attempt += 1
            yield attempt
