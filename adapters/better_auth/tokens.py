"""What every signed token must stand, whoever signed it: one place for the common checks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import jwt

from domain.errors import Unauthenticated

LEEWAY_SECONDS = 30
"""How far two clocks may lie apart. RFC 8725 leaves it to us; our contract allows up to 60."""

_TOKEN_MAX_LENGTH = 8_192
_SUBJECT_MAX_LENGTH = 255

# The times, the issuer and the audience are ours to judge: PyJWT would read its own clock, and
# it cannot say "right where present".
_CHECKS: Any = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": True,
    "verify_jti": True,
    "require": ["sub", "exp"],
}


def bearer_token(authorization: str) -> str:
    """The token of an `Authorization` header (RFC 6750). Raises `Unauthenticated`."""
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _TOKEN_MAX_LENGTH:
        raise Unauthenticated
    return token


def unverified(
    token: str, *, types: Sequence[str | None], now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT that stands every check of `verified_claims` but its signature.

    Good to find a key with, and to refuse what no key could save. Raises `Unauthenticated`.
    """
    return _read(token, "", [], {**_CHECKS, "verify_signature": False}, types, now)


def verified_claims(
    token: str, *, key: Any, algorithm: str, types: Sequence[str | None], now: datetime
) -> dict[str, Any]:
    """The claims of a JWT that is signed with this key, alive, and of one of these `typ`s.

    `key` is whatever PyJWT takes for the algorithm. `sub` is a string and `exp` a number.
    Raises `Unauthenticated`.
    """
    return _read(token, key, [algorithm], {**_CHECKS, "verify_signature": True}, types, now)[1]


def _read(
    token: str,
    key: Any,
    algorithms: Sequence[str],
    options: Any,
    types: Sequence[str | None],
    now: datetime,
) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        said = jwt.decode_complete(token, key, algorithms, options)
        header, claims = said["header"], said["payload"]
        kind = header.get("typ")
        if (kind.lower() if isinstance(kind, str) else kind) not in types:
            raise Unauthenticated
        # PyJWT understands one extension of JWS, of which no credential makes use.
        if "crit" in header:
            raise Unauthenticated
        subject = claims["sub"]
        _check_times(claims, now.timestamp())
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        # Among them what PyJWT lets through of hostile numbers and broken Unicode.
        raise Unauthenticated from None
    # What cannot be printed cannot be stored either, or would break a line of the log.
    if not 0 < len(subject) <= _SUBJECT_MAX_LENGTH or not subject.isprintable():
        raise Unauthenticated
    return header, claims


def _check_times(claims: dict[str, Any], now: float) -> None:
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unauthenticated
        # Also a bound for the conversions that follow: no date lies beyond the year 9999.
        if not 0 <= value < 253_402_300_800:
            raise Unauthenticated
    if claims["exp"] + LEEWAY_SECONDS <= now:
        raise Unauthenticated
    if max(claims.get("nbf", 0), claims.get("iat", 0)) > now + LEEWAY_SECONDS:
        raise Unauthenticated
