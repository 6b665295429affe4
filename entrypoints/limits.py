"""The syntax of rate limits in settings: `600/minute`, `10 per 5 minutes; 100/hour`."""

import re
from typing import Final

from application.limits import Limit, Limits

_MAX_SECONDS: Final = 31 * 86_400
_SECONDS: Final = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "month": 30 * 86_400,
    "year": 360 * 86_400,
}
_LIMIT: Final = re.compile(
    r"\s*([0-9]+)\s*(?:/|per)\s*([0-9]*)\s*([a-z]+?)s?\s*", re.ASCII | re.IGNORECASE
)


def parse_limits(text: str) -> Limits:
    """Several limits are separated by `,`, `;` or `|`; no text is no limit.

    The syntax is that of the library `limits`, which Flask-Limiter and slowapi share. It would
    bring three more packages for these lines.
    """
    limits = []
    for part in re.split("[,;|]", text) if text.strip() else ():
        match = _LIMIT.fullmatch(part)
        seconds = _SECONDS.get(match[3].lower()) if match else None
        if match is None or seconds is None:
            raise ValueError("must be limits such as 600/minute, or empty for none")
        limits.append(Limit(int(match[1]), int(match[2] or 1) * seconds))
    if any(limit.amount < 1 or not 1 <= limit.seconds <= _MAX_SECONDS for limit in limits):
        raise ValueError("must allow at least 1, in a window of 1 second to 31 days")
    if len({limit.seconds for limit in limits}) < len(limits):
        raise ValueError("must not have two limits for one window")
    return tuple(limits)
