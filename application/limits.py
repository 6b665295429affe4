"""Rate limits of requests, and what all rate limits have in common."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil
from typing import Final

from application.ports.counters import Counters, WindowCount, WindowKey
from domain.errors import Unavailable

_UNKNOWN: Final = "unknown"
_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` counts in a window of `seconds`, which begins with the first one."""

    amount: int
    seconds: int


#: All of them apply. Empty: there is no limit.
Limits = Sequence[Limit]


@dataclass(slots=True)
class LimitStatus:
    """The counters of some limits, after a count."""

    limits: Limits
    #: One for each limit. Empty if there are no limits.
    counts: Sequence[WindowCount]

    @property
    def is_over(self) -> bool:
        """Whether a limit is exceeded."""
        # A loop is faster than `any` with a generator, and this runs for each request.
        for limit, (times, _) in zip(self.limits, self.counts, strict=True):
            if times > limit.amount:
                return True
        return False

    @property
    def is_within(self) -> bool:
        """Whether there are limits and none is exceeded."""
        return bool(self.counts) and not self.is_over

    @property
    def is_just_over(self) -> bool:
        """Whether a limit is exceeded for the first time in its window."""
        pairs = zip(self.limits, self.counts, strict=True)
        return any(count.times == limit.amount + 1 for limit, count in pairs)

    @property
    def has_earlier(self) -> bool:
        """Whether this is not the first count of a window."""
        return any(count.times > 1 for count in self.counts)

    @property
    def retry_after(self) -> int:
        """The seconds until no limit is exceeded any more; at least one."""
        pairs = zip(self.limits, self.counts, strict=True)
        waits = [count.seconds_left for limit, count in pairs if count.times > limit.amount]
        return max(1, ceil(max(waits, default=1)))


@dataclass(frozen=True)
class RequestLimit:
    """Limits the requests of each user, and the anonymous requests of each client address.

    Each method counts one request. It returns None if the counters are unavailable: the service
    then accepts requests without a limit.
    """

    counters: Counters
    limits: Limits

    def count_user(self, user_id: str) -> Awaitable[LimitStatus | None]:
        """Count an authenticated request."""
        return self._count("user:" + user_id)

    def count_address(self, address: str | None) -> Awaitable[LimitStatus | None]:
        """Count an anonymous request."""
        return self._count("address:" + network_of(address))

    def count_sign_in(self, address: str | None) -> Awaitable[LimitStatus | None]:
        """Count a request to log in or sign up.

        Apart from anonymous requests: any web page can make its visitors send those.
        """
        return self._count("sign-in:" + network_of(address))

    async def _count(self, subject: str) -> LimitStatus | None:
        limits = self.limits
        if not limits:
            return LimitStatus(limits, ())
        try:
            return LimitStatus(limits, await self.counters.add(window_keys(subject, limits)))
        except Unavailable:
            return None


@lru_cache(maxsize=10_000)
def network_of(address: str | None) -> str:
    """The network that one customer of a provider usually has: an address, or in IPv6 a /64."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return _UNKNOWN
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), _NETWORK_BITS), strict=False))


def window_keys(subject: str, limits: Limits) -> Sequence[WindowKey]:
    """The keys of the counters of a subject, one for each limit."""
    return [(subject, limit.seconds) for limit in limits]
