"""Rate limits of log-ins and sign-ups, against brute force."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NoReturn
from weakref import WeakValueDictionary

from application.limits import Limit, Limits, LimitStatus, network_of, window_keys
from application.ports.counters import Counters, WindowKey
from domain.errors import TooManyRequests, Unauthenticated

#: Failed log-ins of all clients together; and sign-ups, counted apart.
OVERALL: Final = (Limit(1000, 300),)


@dataclass(frozen=True, slots=True)
class _Attempt:
    #: The counters that it has incremented.
    keys: Sequence[WindowKey]
    #: One per subject, in their order; the last one is overall.
    statuses: Sequence[LimitStatus]


@dataclass(frozen=True)
class SignInLimits:
    """Limits how often passwords can be guessed and accounts be created.

    Failed log-ins count per account, per network, and overall. A network over its limit is
    rejected. Once an account is over its limit, only networks that have already failed on it are
    rejected; a first attempt from another network is allowed, so that an attacker cannot lock the
    owner out. Likewise, over the overall limit, only networks that have failed before are rejected.
    """

    #: Must never raise `Unavailable`.
    counters: Counters
    #: Per account and per network.
    limits: Limits
    overall: Limits = OVERALL
    _semaphores: WeakValueDictionary[str, asyncio.Semaphore] = field(
        default_factory=WeakValueDictionary, init=False, repr=False, compare=False
    )

    @asynccontextmanager
    async def attempt(self, email: str, address: str | None) -> AsyncIterator[None]:
        """Limit the log-in that runs inside the `async with`. Only `Unauthenticated` is a failure.

        A log-in counts from its start until it turns out not to fail, so that concurrent ones
        cannot exceed the limit. A network runs at most as many at once as its limit allows;
        further ones wait. Raises `TooManyRequests`.
        """
        if not self.limits:
            yield
            return
        network, account = network_of(address), hashlib.sha256(email.encode()).hexdigest()
        async with self._semaphore(network), self._counted_attempt(network, account):
            yield

    def _semaphore(self, network: str) -> asyncio.Semaphore:
        concurrency = min(limit.amount for limit in self.limits)
        return self._semaphores.setdefault(network, asyncio.Semaphore(concurrency))

    @asynccontextmanager
    async def _counted_attempt(self, network: str, account: str) -> AsyncIterator[None]:
        attempt = await self._count(
            f"log-in:address:{network}",
            f"log-in:account:{account}",
            f"log-in:both:{account}:{network}",
            overall="log-in",
        )
        by_network, by_account, by_both, overall = attempt.statuses
        if by_network.is_over:
            await self._reject(attempt, by_network)
        if by_account.is_over and by_both.has_earlier:
            await self._reject(attempt, by_account)
        if overall.is_over and by_network.has_earlier:
            await self._reject(attempt, overall)
        try:
            yield
        except Unauthenticated:
            raise
        except Exception:
            await self.counters.undo(attempt.keys)
            raise
        await self.counters.undo(attempt.keys)

    async def count_sign_up(self, address: str | None) -> None:
        """Count a sign-up, whether it succeeds or not. Raises `TooManyRequests`."""
        if not self.limits:
            return
        attempt = await self._count(f"sign-up:address:{network_of(address)}", overall="sign-up")
        by_network, overall = attempt.statuses
        if by_network.is_over:
            await self._reject(attempt, by_network)
        if overall.is_over and by_network.has_earlier:
            await self._reject(attempt, overall)

    async def _count(self, *subjects: str, overall: str) -> _Attempt:
        """Count each subject by `limits`, and all of them together by the overall limit."""
        parts = [(window_keys(subject, self.limits), self.limits) for subject in subjects]
        parts.append((window_keys(overall, self.overall), self.overall))
        keys = [key for part, _ in parts for key in part]
        counts = iter(await self.counters.add(keys))
        return _Attempt(keys, [LimitStatus(ls, [next(counts) for _ in ls]) for _, ls in parts])

    async def _reject(self, attempt: _Attempt, status: LimitStatus) -> NoReturn:
        """A rejected attempt does not count."""
        await self.counters.undo(attempt.keys)
        raise TooManyRequests(status.retry_after)
