"""The response headers `RateLimit-Policy` and `RateLimit`."""

from math import ceil

from application.limits import Limits, LimitStatus


class RateLimitHeaders:
    """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10)."""

    def __init__(self, limits: Limits) -> None:
        policies = ", ".join(
            f'"{limit.seconds}s";q={limit.amount};w={limit.seconds}' for limit in limits
        )
        self._policy = (b"ratelimit-policy", policies.encode())

    def __call__(self, limit_status: LimitStatus) -> list[tuple[bytes, bytes]]:
        states = []
        for limit, (count, seconds) in zip(limit_status.limits, limit_status.counts, strict=True):
            remaining = limit.amount - count if count < limit.amount else 0
            states.append(f'"{limit.seconds}s";r={remaining};t={ceil(seconds)}')
        return [self._policy, (b"ratelimit", ", ".join(states).encode())]
