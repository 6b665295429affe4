"""The response headers `RateLimit-Policy` and `RateLimit`."""

from math import ceil

from application.limits import Limits, LimitStatus


class RateLimitHeaders:
    """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10)."""

    def __init__(self, limits: Limits) -> None:
        said = ", ".join(
            f'"{limit.seconds}s";q={limit.amount};w={limit.seconds}' for limit in limits
        )
        self._policy = (b"ratelimit-policy", said.encode())

    def __call__(self, limit_status: LimitStatus) -> list[tuple[bytes, bytes]]:
        left = []
        for limit, (times, seconds) in zip(limit_status.limits, limit_status.counted, strict=True):
            remaining = limit.amount - times if times < limit.amount else 0
            left.append(f'"{limit.seconds}s";r={remaining};t={ceil(seconds)}')
        return [self._policy, (b"ratelimit", ", ".join(left).encode())]
