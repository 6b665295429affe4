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
    values = [value for name, value in pairs(header or "") if name == cookies.name]
    if not values or not values[0]:
        return name_error(cookies.name, header)
    if cookies.signatures.read(values[0]) is None:
        return cookies.signatures.error_of(values[0])
    return Unauthenticated(Reason.TOKEN_MALFORMED)


def name_error(expected: str, header: str | None) -> Unauthenticated:
    """The error for a header that has no session cookie of this name, or an empty one."""
    if header is None:
        return _missing(expected, "no cookie")
    names = [name for name, _ in pairs(header)]
    if expected in names:
        return _missing(expected, "a cookie of this name without a value")
    return _error_of_names(expected, names)


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
