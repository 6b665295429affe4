"""Checks that all signed tokens have in common, independent of the signer."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
from jwt.exceptions import InvalidJTIError, InvalidSubjectError

from domain.errors import Unauthenticated
from domain.refusals import Reason, shown

#: Clock skew that is tolerated, in seconds. RFC 8725 sets no limit; our contract allows 60 at most.
LEEWAY_SECONDS: Final = 30
#: Of the tokens that are signed with a secret.
SECRET_ALGORITHM: Final = "HS256"  # noqa: S105

#: A session token, before its signature.
RAW_TOKEN: Final = re.compile(r"[A-Za-z0-9_~+/=-]{1,255}")
#: A bearer that is not followed by a space, or that a proxy joined to another credential.
_MALFORMED_BEARER: Final = re.compile(
    r"(?:^|,)\s*bearer(?![a-z0-9!#$%&'*+.^_`|~-])", re.ASCII | re.IGNORECASE
)
_TOKEN_MAX_LENGTH: Final = 8_192
_SUBJECT_MAX_LENGTH: Final = 255
#: Schemes that the log may name. Anything else may be a token without its scheme.
_KNOWN_SCHEMES: Final = frozenset({"apikey", "basic", "digest", "dpop", "jwt", "oauth", "token"})
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
            raise Unauthenticated(Reason.BEARER_MALFORMED, expected="Bearer, a space, one token")
        return None
    token = token.strip()
    if not token:
        raise Unauthenticated(Reason.BEARER_MALFORMED, seen="no token")
    if len(token) > _TOKEN_MAX_LENGTH:
        raise Unauthenticated(
            Reason.TOKEN_TOO_LONG,
            expected=f"at most {_TOKEN_MAX_LENGTH} characters",
            seen=f"{len(token)} characters",
        )
    return token


def scheme_error(authorization: str) -> Unauthenticated:
    """The error for an `Authorization` header of another scheme, if no cookie counts either."""
    scheme, _, rest = authorization.strip().partition(" ")
    is_known = bool(rest) and scheme.lower() in _KNOWN_SCHEMES
    return Unauthenticated(
        Reason.SCHEME_NOT_BEARER,
        expected="Bearer",
        seen=scheme.lower() if is_known else "no known scheme",
    )


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


def verified_by_secret(
    token: str, *, secrets: Sequence[str], types: Sequence[str | None], now: datetime
) -> dict[str, Any]:
    """`verified_claims` of a JWT that was signed with one of the secrets, the newest first.

    Raises `Unauthenticated`.
    """
    *others, last = secrets
    for secret in others:
        try:
            return verified_claims(
                token, key=secret, algorithm=SECRET_ALGORITHM, types=types, now=now
            )
        except Unauthenticated as error:
            if error.refusal.reason is not Reason.BAD_SIGNATURE:
                raise
    return verified_claims(token, key=last, algorithm=SECRET_ALGORITHM, types=types, now=now)


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
        _check_claims(claims)
        _check_header(header, types)
        _check_times(claims, now.timestamp())
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        # PyJWT does not catch all errors that hostile numbers and broken Unicode cause.
        raise _unauthenticated(error, algorithms) from None
    return header, claims


def _unauthenticated(error: Exception, algorithms: Sequence[str]) -> Unauthenticated:
    match error:
        case jwt.MissingRequiredClaimError():
            return Unauthenticated(Reason.JWT_CLAIM_MISSING, expected=error.claim)
        case jwt.InvalidSignatureError():
            return Unauthenticated(Reason.BAD_SIGNATURE, expected=", ".join(algorithms))
        case InvalidSubjectError():
            return Unauthenticated(Reason.JWT_CLAIM_INVALID, expected="sub as text")
        case InvalidJTIError():
            return Unauthenticated(Reason.JWT_CLAIM_INVALID, expected="jti as text")
        case _:
            return Unauthenticated(Reason.JWT_MALFORMED)


def _check_claims(claims: dict[str, Any]) -> None:
    # An unprintable id could not be stored, or would break a line of the log.
    subject = claims["sub"]
    if not 0 < len(subject) <= _SUBJECT_MAX_LENGTH or not subject.isprintable():
        raise Unauthenticated(
            Reason.JWT_CLAIM_INVALID,
            expected=f"sub of 1 to {_SUBJECT_MAX_LENGTH} printable characters",
            seen=f"{len(subject)} characters",
        )
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name, 0)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value < _END_OF_TIME:
            raise Unauthenticated(
                Reason.JWT_CLAIM_INVALID, expected=f"{name} in seconds since 1970"
            )


def _check_header(header: dict[str, Any], types: Sequence[str | None]) -> None:
    token_type = header.get("typ")
    if (token_type.lower() if isinstance(token_type, str) else token_type) not in types:
        raise Unauthenticated(
            Reason.JWT_TYPE_UNEXPECTED,
            expected=", or ".join(f"typ {name or 'absent'}" for name in types),
            seen=f"typ {shown(token_type)}",
        )
    # PyJWT supports one critical extension, which no credential uses.
    if "crit" in header:
        raise Unauthenticated(Reason.JWT_TYPE_UNEXPECTED, expected="no crit", seen="crit")


def _check_times(claims: dict[str, Any], now: float) -> None:
    if claims["exp"] + LEEWAY_SECONDS <= now:
        raise Unauthenticated(
            Reason.JWT_EXPIRED,
            expected=f"exp after {utc_text(now)}",
            seen=utc_text(claims["exp"]),
        )
    for name in ("nbf", "iat"):
        if claims.get(name, 0) > now + LEEWAY_SECONDS:
            raise Unauthenticated(
                Reason.JWT_NOT_YET_VALID,
                expected=f"{name} before {utc_text(now)}",
                seen=utc_text(claims[name]),
            )


def lifetime_too_long(seconds: float, allowed: timedelta) -> Unauthenticated:
    """The error for a token that is valid for longer than the settings allow."""
    return Unauthenticated(
        Reason.JWT_LIFETIME_TOO_LONG,
        expected=f"exp at most {allowed.total_seconds():.0f} seconds after iat",
        seen=f"{seconds:.0f} seconds",
    )


def utc_text(seconds: float) -> str:
    """A time in seconds since the epoch, as the log shows it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
