"""The reasons for which requests are refused with 401 or 403.

They are for the operator, in the log and in the metrics; responses never contain them.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_MAX_LENGTH: Final = 200
#: Names of cookies, keys and algorithms, and URLs without user and query.
_NAME: Final = re.compile(r"[A-Za-z0-9_.+*:/\[\]~-]{1,64}")


class Reason(StrEnum):
    """Why a request is refused."""

    #: The request has neither a session cookie nor an `Authorization` header.
    COOKIE_MISSING = "cookie_missing"
    #: The session cookie has another name than the settings tell.
    COOKIE_NAME_UNEXPECTED = "cookie_name_unexpected"
    #: Two cookies with the name of the session cookie contradict each other.
    TWO_COOKIES = "two_cookies"
    #: The session cookie, or a session token with a dot, has no signature.
    SIGNATURE_MISSING = "signature_missing"
    #: The session cookie was percent-encoded twice.
    ENCODED_TWICE = "encoded_twice"
    #: The signature of a cookie or token was not made with our secret, or with the key it names.
    BAD_SIGNATURE = "bad_signature"
    #: The session token has characters that no session token has, or too many.
    TOKEN_MALFORMED = "token_malformed"  # noqa: S105
    #: The request has more than one `Authorization` header.
    TWO_AUTHORIZATION_HEADERS = "two_authorization_headers"
    #: The scheme of the `Authorization` header is not Bearer, and there is no session cookie.
    SCHEME_NOT_BEARER = "scheme_not_bearer"
    #: `Bearer` is not followed by one token.
    BEARER_MALFORMED = "bearer_malformed"
    #: The token is longer than any that is accepted.
    TOKEN_TOO_LONG = "token_too_long"  # noqa: S105
    #: Bearer and cookie are valid, and of different users.
    TWO_USERS = "two_users"
    #: No session has this token or id, or the session has ended, or its user does not exist.
    NO_SUCH_SESSION = "no_such_session"
    #: `expiresAt` of the session is past.
    SESSION_EXPIRED = "session_expired"
    #: The session of an access token belongs to another user than the token names.
    SESSION_OF_ANOTHER_USER = "session_of_another_user"
    #: A refresh with a credential that has no session; also a list of sessions, if Better Auth
    #: alone can list them.
    SESSION_REQUIRED = "session_required"
    #: A token with two dots is not a JWT that can be read.
    JWT_MALFORMED = "jwt_malformed"
    #: `typ` of the JWT is that of another kind of token, such as Better Auth's cookie cache, or its
    #: header has an extension.
    JWT_TYPE_UNEXPECTED = "jwt_type_unexpected"
    #: The JWT lacks a claim.
    JWT_CLAIM_MISSING = "jwt_claim_missing"
    #: A claim of the JWT has a value that cannot be right.
    JWT_CLAIM_INVALID = "jwt_claim_invalid"
    #: `exp` of the JWT is past.
    JWT_EXPIRED = "jwt_expired"
    #: `nbf` or `iat` of the JWT is in the future.
    JWT_NOT_YET_VALID = "jwt_not_yet_valid"
    #: The JWT is valid for longer than the settings allow.
    JWT_LIFETIME_TOO_LONG = "jwt_lifetime_too_long"
    #: A claim shows that the JWT was issued for another purpose, or to a third party.
    JWT_FOR_ANOTHER_PURPOSE = "jwt_for_another_purpose"
    #: `iss` of the JWT is not the origin of the Better Auth server.
    WRONG_ISSUER = "wrong_issuer"
    #: `aud` of the JWT is not the origin of the Better Auth server.
    WRONG_AUDIENCE = "wrong_audience"
    #: `alg` of the JWT is not one of Better Auth's, or does not fit the key.
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    #: The JWT does not name its key, or not as Better Auth does.
    KID_INVALID = "kid_invalid"
    #: Neither the key table nor the Better Auth server has the key of the JWT.
    UNKNOWN_KID = "unknown_kid"
    #: The key of the JWT is in the key table, but cannot verify signatures.
    KEY_UNUSABLE = "key_unusable"
    #: The JWT was signed with the shared secret, and such tokens are turned off.
    SHARED_SECRET_OFF = "shared_secret_off"  # noqa: S105
    #: The user of the credential does not exist, was deleted, or cannot be created.
    USER_UNKNOWN = "user_unknown"
    #: The user is banned.
    USER_BANNED = "user_banned"
    #: A log-in with a wrong e-mail address or password.
    INVALID_CREDENTIALS = "invalid_credentials"
    #: A log-in before the e-mail address was verified.
    EMAIL_NOT_VERIFIED = "email_not_verified"
    #: A log-in to an account with a second factor.
    SECOND_FACTOR_REQUIRED = "second_factor_required"
    #: A log-in while `EMAIL_AND_PASSWORD` is off; a change of a session or an account that only
    #: Better Auth may make, by `BETTER_AUTH_SESSIONS`.
    SIGN_IN_ELSEWHERE = "sign_in_elsewhere"
    #: A sign-up that the settings or the tables do not allow.
    SIGN_UP_CLOSED = "sign_up_closed"
    #: Deleting an account while `DELETE_USER` is off.
    DELETION_OFF = "deletion_off"
    #: The task belongs to another user.
    TASK_OF_ANOTHER_USER = "task_of_another_user"
    #: A page of an origin that is not trusted sent the request, or its preflight.
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    #: The preflight asks for a method or a header that CORS does not allow.
    PREFLIGHT_NOT_ALLOWED = "preflight_not_allowed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one request is refused, for the operator.

    `expected` and `seen` are names, origins or words of ours; never a token, the value of a cookie
    or an e-mail address. Whatever a client chose goes through `shown` first.
    """

    reason: Reason
    expected: str | None = None
    seen: str | None = None

    def __post_init__(self) -> None:
        for name in ("expected", "seen"):
            text = getattr(self, name)
            if text is not None and len(text) > _MAX_LENGTH:
                object.__setattr__(self, name, f"{text[: _MAX_LENGTH - 1]}…")


def shown(value: object) -> str:
    """A value that a client chose, as the log may show it: a name or an origin, or what it is."""
    if isinstance(value, str):
        return value if _NAME.fullmatch(value) else f"a text of {len(value)} characters"
    if isinstance(value, list):
        return ", ".join(map(shown, value[:3])) + (", …" if len(value) > 3 else "") or "nothing"
    return "nothing" if value is None else "no text"
