"""How often somebody may do something, and who is turned away."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil
from typing import Final, NoReturn
from weakref import WeakValueDictionary

from application.ports.counters import Counters, WindowCount, WindowKey
from domain.errors import TooManyRequests, Unauthenticated, Unavailable

_UNKNOWN: Final = "unknown"
_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` times in a window of `seconds`, which begins with the first."""

    amount: int
    seconds: int


Limits = Sequence[Limit]
"""All of them hold; where there are none, nothing is limited."""

OVERALL: Final = (Limit(1000, 300),)
"""Of failures to sign in from everywhere together, and of sign-ups."""


@dataclass(slots=True)
class LimitStatus:
    """How far some limits are used up, this time included."""

    limits: Limits
    counted: Sequence[WindowCount]

    @property
    def is_over(self) -> bool:
        """Whether this time was one too many."""
        # No generator: this is asked of each request.
        for limit, (times, _) in zip(self.limits, self.counted, strict=True):
            if times > limit.amount:
                return True
        return False

    @property
    def is_kept(self) -> bool:
        """Whether there are limits, and this time was within them."""
        return bool(self.counted) and not self.is_over

    @property
    def is_just_over(self) -> bool:
        """Whether it was the first of those."""
        pairs = zip(self.limits, self.counted, strict=True)
        return any(counted.times == limit.amount + 1 for limit, counted in pairs)

    @property
    def has_earlier(self) -> bool:
        """Whether there was another before."""
        return any(c.times > 1 for c in self.counted)

    @property
    def retry_after(self) -> int:
        """After how many seconds there is room again, where there is none; at least one."""
        pairs = zip(self.limits, self.counted, strict=True)
        waits = [counted.seconds_left for limit, counted in pairs if counted.times > limit.amount]
        return max(1, ceil(max(waits, default=1)))


@dataclass(frozen=True)
class RequestLimit:
    """How many requests a user may make, and an address on behalf of nobody."""

    counters: Counters
    limits: Limits

    def count_user(self, user_id: str) -> Awaitable[LimitStatus | None]:
        """One more request. None where nobody can count just now."""
        return self._count("user:" + user_id)

    def count_address(self, address: str | None) -> Awaitable[LimitStatus | None]:
        return self._count("address:" + network_of(address))

    def count_sign_in(self, address: str | None) -> Awaitable[LimitStatus | None]:
        """One more request to sign in or up. Apart from all others, of which a page of somebody
        else can make its visitors send as many as it likes."""
        return self._count("sign-in:" + network_of(address))

    async def _count(self, who: str) -> LimitStatus | None:
        limits = self.limits
        if not limits:
            return LimitStatus(limits, ())
        try:
            return LimitStatus(limits, await self.counters.add(_keys(who, limits)))
        except Unavailable:
            # Better no limit than no service.
            return None


@dataclass(frozen=True)
class SignInLimits:
    """How often passwords may be guessed, and accounts be made.

    Failures count against the account and against the address. Past the limit of the account, who
    has failed on it before is turned away, and whoever has not still gets an attempt: a stranger
    who guesses does not lock the owner out. Past the limit of all accounts together it is the
    same with addresses. `counters` must never be `Unavailable`.
    """

    counters: Counters
    limits: Limits
    overall: Limits = OVERALL
    _turns: WeakValueDictionary[str, asyncio.Semaphore] = field(
        default_factory=WeakValueDictionary, init=False, repr=False, compare=False
    )

    @asynccontextmanager
    async def attempt(self, email: str, address: str | None) -> AsyncIterator[None]:
        """Around one attempt, which counts unless it turns out not to be a failure.

        It counts from its beginning, so that attempts at the same time do not slip through; so
        many from one address that they alone would reach its limit wait for each other.
        Raises `TooManyRequests`.
        """
        if not self.limits:
            yield
            return
        network, account = network_of(address), hashlib.sha256(email.encode()).hexdigest()
        async with self._turn(network), self._counted_attempt(network, account):
            yield

    def _turn(self, network: str) -> asyncio.Semaphore:
        at_once = min(limit.amount for limit in self.limits)
        return self._turns.setdefault(network, asyncio.Semaphore(at_once))

    @asynccontextmanager
    async def _counted_attempt(self, network: str, account: str) -> AsyncIterator[None]:
        attempt = await self._begin(
            f"log-in:address:{network}",
            f"log-in:account:{account}",
            f"log-in:both:{account}:{network}",
            overall="log-in",
        )
        by_address, by_account, by_both, overall = attempt.statuses
        if by_address.is_over:
            await self._refuse(attempt, by_address)
        if by_account.is_over and by_both.has_earlier:
            await self._refuse(attempt, by_account)
        if overall.is_over and by_address.has_earlier:
            await self._refuse(attempt, overall)
        try:
            yield
        except Unauthenticated:
            raise
        except Exception:
            await self.counters.undo(attempt.keys)
            raise
        await self.counters.undo(attempt.keys)

    async def count_sign_up(self, address: str | None) -> None:
        """Before each attempt, which counts whatever becomes of it. Raises `TooManyRequests`."""
        if not self.limits:
            return
        attempt = await self._begin(f"sign-up:address:{network_of(address)}", overall="sign-up")
        by_address, overall = attempt.statuses
        if by_address.is_over:
            await self._refuse(attempt, by_address)
        if overall.is_over and by_address.has_earlier:
            await self._refuse(attempt, overall)

    async def _begin(self, *subjects: str, overall: str) -> "_Attempt":
        """Count against each subject by `limits`, and against all together by `overall`."""
        parts = [(_keys(s, self.limits), self.limits) for s in subjects]
        parts.append((_keys(overall, self.overall), self.overall))
        keys = [key for part, _ in parts for key in part]
        counted = iter(await self.counters.add(keys))
        return _Attempt(keys, [LimitStatus(ls, [next(counted) for _ in ls]) for _, ls in parts])

    async def _refuse(self, attempt: "_Attempt", spent: LimitStatus) -> NoReturn:
        await self.counters.undo(attempt.keys)
        raise TooManyRequests(spent.retry_after)


@dataclass(frozen=True, slots=True)
class _Attempt:
    keys: Sequence[WindowKey]
    statuses: Sequence[LimitStatus]


@dataclass(frozen=True)
class FallbackCounters:
    """`Counters` that others stand in for, as long as they are unavailable."""

    counters: Counters
    substitute: Counters

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        try:
            return await self.counters.add(keys)
        except Unavailable:
            return await self.substitute.add(keys)

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        try:
            await self.counters.undo(keys)
        except Unavailable:
            await self.substitute.undo(keys)


@lru_cache(maxsize=10_000)
def network_of(address: str | None) -> str:
    """What one customer of a provider usually has: an address, or in IPv6 a /64."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return _UNKNOWN
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), _NETWORK_BITS), strict=False))


def _keys(subject: str, limits: Limits) -> Sequence[WindowKey]:
    return [(subject, limit.seconds) for limit in limits]
