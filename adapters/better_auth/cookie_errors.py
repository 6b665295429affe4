"""Why a `Cookie` header proves no session: examined only after that is known."""

import re
from typing import Final

from adapters.better_auth.cookie_header import pairs
from adapters.better_auth.cookies import BetterAuthCookies
from domain.errors import Unauthenticated
from domain.refusals import Reason

_SESSION_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{0,40}session[_-]?token")
_MAX_NAMES: Final = 3


def cookie_error(cookies: BetterAuthCookies, header: str | None) -> Unauthenticated:
    """The error for a header that proves no session, but does not have two session cookies."""
    if header is None:
        return _missing(cookies.name, "no cookie")
    found = list(pairs(header))
    values = [value for name, value in found if name == cookies.name]
    if not values:
        return _error_of_names(cookies.name, [name for name, _ in found])
    if not values[0]:
        return _missing(cookies.name, "a cookie of this name without a value")
    if cookies.signatures.read(values[0]) is None:
        return cookies.signatures.error_of(values[0])
    return Unauthenticated(Reason.TOKEN_MALFORMED)


def _error_of_names(expected: str, names: list[str]) -> Unauthenticated:
    """Only names that look like that of a session cookie are shown: others may be private."""
    similar = list(dict.fromkeys(filter(_SESSION_NAME.fullmatch, names)))
    if similar:
        return Unauthenticated(
            Reason.COOKIE_NAME_UNEXPECTED,
            expected=expected,
            seen=", ".join(similar[:_MAX_NAMES]),
        )
    return _missing(expected, f"{len(names)} other cookies")


def _missing(expected: str, seen: str) -> Unauthenticated:
    return Unauthenticated(Reason.COOKIE_MISSING, expected=expected, seen=seen)
