"""Checks that all signed tokens have in common, independent of the signer."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import jwt

from domain.errors import Unauthenticated

#: Clock skew that is tolerated, in seconds. RFC 8725 sets no limit; our contract allows 60 at most.
LEEWAY_SECONDS: Final = 30

#: A bearer that is not followed by a space, or that a proxy joined to another credential.
_MALFORMED_BEARER: Final = re.compile(
    r"(?:^|,)\s*bearer(?![a-z0-9!#$%&'*+.^_`|~-])", re.ASCII | re.IGNORECASE
)
_TOKEN_MAX_LENGTH: Final = 8_192
_SUBJECT_MAX_LENGTH: Final = 255
#: The first second of the year 10000, which a `datetime` cannot represent.
_END_OF_TIME: Final = 253_402_300_800

# Times, issuer and audience are checked here: PyJWT would read the system's clock, and cannot
# require that a claim is right only if it is present.
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


def bearer_token(authorization: str) -> str | None:
    """The token of an `Authorization` header (RFC 6750); None if its scheme is not Bearer.

    A proxy in front may have a password of its own (`Basic`). Raises `Unauthenticated` for a bearer
    without a usable token.
    """
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer":
        if _MALFORMED_BEARER.search(authorization):
            raise Unauthenticated
        return None
    token = token.strip()
    if not token or len(token) > _TOKEN_MAX_LENGTH:
        raise Unauthenticated
    return token


def unverified(
    token: str, *, types: Sequence[str | None], now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT, after all checks of `verified_claims` but that of the signature.

    To find its key, and to reject it without a key. Raises `Unauthenticated`.
    """
    return _decode(token, "", [], {**_CHECKS, "verify_signature": False}, types, now)


def verified_claims(
    token: str, *, key: Any, algorithm: str, types: Sequence[str | None], now: datetime
) -> dict[str, Any]:
    """The claims of a JWT that was signed with this key, is valid now, and has one of these `typ`s.

    `key` is what PyJWT takes for the algorithm. `sub` is a string and `exp` a number.
    Raises `Unauthenticated`.
    """
    return _decode(token, key, [algorithm], {**_CHECKS, "verify_signature": True}, types, now)[1]


def _decode(
    token: str,
    key: Any,
    algorithms: Sequence[str],
    options: Any,
    types: Sequence[str | None],
    now: datetime,
) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        decoded = jwt.decode_complete(token, key, algorithms, options)
        header, claims = decoded["header"], decoded["payload"]
        token_type = header.get("typ")
        if (token_type.lower() if isinstance(token_type, str) else token_type) not in types:
            raise Unauthenticated
        # PyJWT supports one critical extension, which no credential uses.
        if "crit" in header:
            raise Unauthenticated
        subject = claims["sub"]
        _check_times(claims, now.timestamp())
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        # PyJWT does not catch all errors that hostile numbers and broken Unicode cause.
        raise Unauthenticated from None
    # An unprintable id could not be stored, or would break a line of the log.
    if not 0 < len(subject) <= _SUBJECT_MAX_LENGTH or not subject.isprintable():
        raise Unauthenticated
    return header, claims


def _check_times(claims: dict[str, Any], now: float) -> None:
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unauthenticated
        if not 0 <= value < _END_OF_TIME:
            raise Unauthenticated
    if claims["exp"] + LEEWAY_SECONDS <= now:
        raise Unauthenticated
    if max(claims.get("nbf", 0), claims.get("iat", 0)) > now + LEEWAY_SECONDS:
        raise Unauthenticated
