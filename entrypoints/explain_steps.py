"""The checks of each kind of credential, in the order in which the service makes them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from application.ports.credentials import CredentialKind
from domain.refusals import Reason


@dataclass(frozen=True, slots=True)
class Step:
    """One check, and the reasons for which it refuses a request."""

    name: str
    reasons: Collection[Reason]


_BEARER: Final = Step(
    "Authorization header",
    (
        Reason.TWO_AUTHORIZATION_HEADERS,
        Reason.TWO_COOKIES,
        Reason.SCHEME_NOT_BEARER,
        Reason.BEARER_MALFORMED,
        Reason.TOKEN_TOO_LONG,
    ),
)
SIGNATURE: Final = Step(
    "signature", (Reason.SIGNATURE_MISSING, Reason.ENCODED_TWICE, Reason.BAD_SIGNATURE)
)
_FORM: Final = Step("form of the session token", (Reason.TOKEN_MALFORMED,))
_SESSION: Final = Step("session", (Reason.NO_SUCH_SESSION,))
_EXPIRY: Final = Step("session has not expired", (Reason.SESSION_EXPIRED,))
_SAME_USER: Final = Step("bearer and cookie of one user", (Reason.TWO_USERS,))
_BAN: Final = Step("user is not banned", (Reason.USER_BANNED,))
USER: Final = Step("user in the database", (Reason.USER_UNKNOWN,))
ORIGIN: Final = Step("origin, for changes", (Reason.ORIGIN_NOT_ALLOWED,))
_JWT: Final = Step("JWT can be read", (Reason.JWT_MALFORMED,))
_CLAIMS: Final = Step(
    "claims are there and of their types", (Reason.JWT_CLAIM_MISSING, Reason.JWT_CLAIM_INVALID)
)
_TYPE: Final = Step("typ", (Reason.JWT_TYPE_UNEXPECTED,))
_TIMES: Final = Step("exp, nbf and iat", (Reason.JWT_EXPIRED, Reason.JWT_NOT_YET_VALID))
_ALGORITHM: Final = Step("alg", (Reason.ALGORITHM_NOT_ALLOWED,))
_PURPOSE: Final = Step("purpose", (Reason.JWT_FOR_ANOTHER_PURPOSE,))
_ISSUER: Final = Step("iss", (Reason.WRONG_ISSUER,))
_AUDIENCE: Final = Step("aud", (Reason.WRONG_AUDIENCE,))
_KID: Final = Step("kid", (Reason.KID_INVALID,))
_KEY: Final = Step("key", (Reason.UNKNOWN_KID, Reason.KEY_UNUSABLE))
_LIFETIME: Final = Step("lifetime", (Reason.JWT_LIFETIME_TOO_LONG,))

_DECODED: Final = (_CLAIMS, _TYPE, _TIMES)
_CLAIMED: Final = (_ISSUER, _AUDIENCE, _LIFETIME)

STEPS: Final[Mapping[CredentialKind, tuple[Step, ...]]] = {
    CredentialKind.COOKIE: (
        Step(
            "session cookie",
            (Reason.COOKIE_MISSING, Reason.COOKIE_NAME_UNEXPECTED, Reason.TWO_COOKIES),
        ),
        SIGNATURE,
        _FORM,
        _SESSION,
        _EXPIRY,
        _BAN,
        ORIGIN,
    ),
    CredentialKind.SESSION_TOKEN: (
        _BEARER,
        SIGNATURE,
        _FORM,
        _SESSION,
        _EXPIRY,
        _SAME_USER,
        _BAN,
    ),
    CredentialKind.JWT: (
        _BEARER,
        _JWT,
        *_DECODED,
        _ALGORITHM,
        _PURPOSE,
        *_CLAIMED,
        _KID,
        _KEY,
        SIGNATURE,
        _SAME_USER,
        USER,
        _BAN,
    ),
    CredentialKind.ACCESS_TOKEN: (
        _BEARER,
        _JWT,
        SIGNATURE,
        *_DECODED,
        *_CLAIMED,
        _SAME_USER,
        _SESSION,
        _EXPIRY,
        Step("session of the user that the token names", (Reason.SESSION_OF_ANOTHER_USER,)),
        _BAN,
    ),
    CredentialKind.SHARED_SECRET: (
        _BEARER,
        _JWT,
        Step("tokens of the shared secret", (Reason.SHARED_SECRET_OFF,)),
        SIGNATURE,
        *_DECODED,
        _PURPOSE,
        *_CLAIMED,
        _SAME_USER,
        USER,
        _BAN,
    ),
}
"""A bearer that cannot be told apart from a session token is examined as one."""
