"""What every signed token must stand, whoever signed it: one place for the common checks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import jwt

from domain.errors import Unauthenticated

LEEWAY_SECONDS = 30
"""How far two clocks may lie apart. RFC 8725 leaves it to us; our contract allows up to 60."""

_TOKEN_MAX_LENGTH = 8_192
_SUBJECT_MAX_LENGTH = 255

# The times, the issuer and the audience are ours to judge: PyJWT would read its own clock, and
# it cannot say "right where present".
_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "require": ["sub", "exp"],
}


def bearer_token(authorization: str) -> str:
    """The token of an `Authorization` header (RFC 6750). Raises `Unauthenticated`."""
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _TOKEN_MAX_LENGTH:
        raise Unauthenticated
    return token


def verified_claims(
    token: str, *, key: str, algorithm: str, types: Sequence[str | None], now: datetime
) -> dict[str, Any]:
    """The claims of a JWT that is signed with this key, alive, and of one of these `typ`s.

    `sub` is a string and `exp` a number. Raises `Unauthenticated`.
    """
    try:
        header = jwt.get_unverified_header(token)
        kind = header.get("typ")
        if (kind.lower() if isinstance(kind, str) else kind) not in types:
            raise Unauthenticated
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[algorithm], options=_SIGNATURE_ONLY
        )
        subject = claims["sub"]
        _check_times(claims, now.timestamp())
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        # Among them what PyJWT lets through of hostile numbers and broken Unicode.
        raise Unauthenticated from None
    # What cannot be printed cannot be stored either, or would break a line of the log.
    if not 0 < len(subject) <= _SUBJECT_MAX_LENGTH or not subject.isprintable():
        raise Unauthenticated
    return claims


def issued_at(claims: dict[str, Any]) -> datetime | None:
    return datetime.fromtimestamp(claims["iat"], UTC) if "iat" in claims else None


def names(expected: str, claim: object) -> bool:
    """Whether an `iss` or `aud` claim names what is expected; an `aud` may be a list."""
    return expected in claim if isinstance(claim, list) else claim == expected


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
