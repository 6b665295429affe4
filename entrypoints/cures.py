"""The cure of each reason for which a request is refused: one sentence each."""

from collections.abc import Mapping
from typing import Final

from domain.refusals import Reason, Refusal

_SECURE: Final = "__Secure-"
_ENDING: Final = ".session_token"

CURES: Final[Mapping[Reason, str]] = {
    Reason.COOKIE_MISSING: (
        "Sign in, and let the page send its credentials (`credentials: 'include'`); the host of"
        " this service must be one that the browser sends the cookie to, or else send a bearer. If"
        " Better Auth gives the cookie a name of its own, set BETTER_AUTH_COOKIES."
    ),
    Reason.COOKIE_NAME_UNEXPECTED: (
        "Set BETTER_AUTH_COOKIE_PREFIX to `advanced.cookiePrefix` of the Better Auth server,"
        " BETTER_AUTH_COOKIES to its `advanced.cookies`, and BETTER_AUTH_URL to its URL: the name"
        " begins with `__Secure-` if that is https."
    ),
    Reason.TWO_COOKIES: (
        "Delete the cookies of this site in the browser and sign in again; if it returns, both"
        " servers must have the same COOKIE_DOMAIN (`crossSubDomainCookies`)."
    ),
    Reason.SIGNATURE_MISSING: (
        "Send the value of the cookie as Better Auth set it: the token, a dot and its signature."
    ),
    Reason.ENCODED_TWICE: "Pass the value of the cookie on as it is, without encoding it again.",
    Reason.BAD_SIGNATURE: (
        "Set BETTER_AUTH_SECRET to the secret of the Better Auth server (`taskport check` prints"
        " its fingerprint); if it is, sign in again: the credential was changed on its way, or is"
        " from before a change of the secret or keys."
    ),
    Reason.TOKEN_MALFORMED: "Send the session token as Better Auth issued it, complete and alone.",
    Reason.TWO_AUTHORIZATION_HEADERS: (
        "Send one `Authorization` header; a proxy in front may have added another."
    ),
    Reason.SCHEME_NOT_BEARER: "Send `Authorization: Bearer TOKEN`, or the session cookie.",
    Reason.BEARER_MALFORMED: "Send `Authorization: Bearer TOKEN`: one space, and one token.",
    Reason.TOKEN_TOO_LONG: (
        "Put less into the token: `jwt.definePayload` of Better Auth chooses its claims."
    ),
    Reason.TWO_USERS: (
        "Sign out, so that the cookie of the former user is gone, or send the bearer without"
        " cookies (`credentials: 'omit'`)."
    ),
    Reason.NO_SUCH_SESSION: (
        "Sign in again; if that does not help, this service does not look where the Better Auth"
        " server keeps its sessions: compare DATABASE_URL and BETTER_AUTH_SCHEMA, set"
        " BETTER_AUTH_SESSIONS to the Redis of its secondaryStorage (with its keyPrefix in"
        " BETTER_AUTH_REDIS_PREFIX), or to remote. A bearer needs its bearer plugin there."
    ),
    Reason.SESSION_EXPIRED: "Sign in again.",
    Reason.SESSION_OF_ANOTHER_USER: "Sign in again.",
    Reason.SESSION_REQUIRED: (
        "Send the session cookie or the session token; instead of a refresh, get a new JWT from the"
        " Better Auth server."
    ),
    Reason.JWT_MALFORMED: "Send the JWT as issued: three parts in base64url, without padding.",
    Reason.JWT_TYPE_UNEXPECTED: (
        "Send a token of Better Auth's `jwt` plugin (`GET /api/auth/token`), not its cookie cache"
        " nor an ID token."
    ),
    Reason.JWT_CLAIM_MISSING: "Issue the token with this claim.",
    Reason.JWT_CLAIM_INVALID: (
        "Issue the token with `sub` as the text of the user's id, and with times in seconds."
    ),
    Reason.JWT_EXPIRED: (
        "Get a new token; if it is new, set the clocks of both servers, by NTP for instance."
    ),
    Reason.JWT_NOT_YET_VALID: "Set the clocks of both servers, by NTP for instance.",
    Reason.JWT_LIFETIME_TOO_LONG: (
        "Issue the token for a shorter time, or raise JWT_MAX_LIFETIME for a JWT of the plugin,"
        " else JWT_EXPIRY_DAYS."
    ),
    Reason.JWT_FOR_ANOTHER_PURPOSE: (
        "Send a token that was issued for a user of this service, not for an OAuth client, an"
        " e-mail address or a cookie."
    ),
    Reason.WRONG_ISSUER: (
        "Set BETTER_AUTH_URL to the origin of the Better Auth server, exactly as in `iss`: scheme,"
        " host and port, without a path."
    ),
    Reason.WRONG_AUDIENCE: (
        "Set BETTER_AUTH_URL to the origin of the Better Auth server, or leave `jwt.audience` of"
        " its plugin at its default."
    ),
    Reason.ALGORITHM_NOT_ALLOWED: (
        "Sign with the algorithm of the key: `jwks.keyPairConfig.alg` of Better Auth's plugin."
    ),
    Reason.KID_INVALID: "Send a token of Better Auth's `jwt` plugin, which names its key.",
    Reason.UNKNOWN_KID: (
        "Share the `jwks` table with the Better Auth server, or set BETTER_AUTH_JWKS_URL to where"
        " it publishes its keys (with the embedded database there is no default); after a change of"
        " keys, get a new token."
    ),
    Reason.KEY_UNUSABLE: "Delete the row of this key from the `jwks` table, and get a new token.",
    Reason.SHARED_SECRET_OFF: (
        "Set SHARED_SECRET_TOKENS=true, or send a token of Better Auth's `jwt` plugin."
    ),
    Reason.USER_UNKNOWN: (
        "Sign in again; if that does not help, the token names a user of another database, spells"
        " the id in another way than the table, or lacks the `email` without which the user cannot"
        " be created."
    ),
    Reason.USER_BANNED: "Lift the ban on the front end, with Better Auth's admin plugin.",
    Reason.INVALID_CREDENTIALS: "Use the right address and password, or reset the password.",
    Reason.EMAIL_NOT_VERIFIED: (
        "Verify the address on the front end, or set REQUIRE_EMAIL_VERIFICATION=false."
    ),
    Reason.SECOND_FACTOR_REQUIRED: "Sign in on the front end, which asks for the second factor.",
    Reason.SIGN_IN_ELSEWHERE: (
        "Sign in and change the account on the front end; or set EMAIL_AND_PASSWORD=true and, if"
        " Better Auth keeps its sessions in this database, BETTER_AUTH_SESSIONS=database."
    ),
    Reason.SIGN_UP_CLOSED: (
        "Sign up on the front end, or set SIGN_UP=true and EMAIL_AND_PASSWORD=true; `taskport"
        " check` names columns that only the front end can fill."
    ),
    Reason.DELETION_OFF: "Delete the account on the front end, or set DELETE_USER=true.",
    Reason.TASK_OF_ANOTHER_USER: "Sign in as the owner of the task.",
    Reason.ORIGIN_NOT_ALLOWED: "Add the origin of the page to CORS_ORIGINS, if it is yours.",
    Reason.PREFLIGHT_NOT_ALLOWED: (
        "Use the methods and headers that the API documents; the preflight named others."
    ),
}


def cure_of(refusal: Refusal) -> str:
    """The cure, as exactly as the names in the refusal allow."""
    if refusal.reason is Reason.COOKIE_NAME_UNEXPECTED and refusal.expected and refusal.seen:
        return _cure_of_name(refusal.expected, refusal.seen.partition(",")[0])
    return CURES[refusal.reason]


def _cure_of_name(expected: str, seen: str) -> str:
    steps = []
    if seen.startswith(_SECURE) != expected.startswith(_SECURE):
        scheme = "https" if seen.startswith(_SECURE) else "http"
        is_secure = str(scheme == "https").lower()
        steps.append(
            f"set BETTER_AUTH_URL to the {scheme} URL of the Better Auth server, or"
            f" BETTER_AUTH_USE_SECURE_COOKIES={is_secure}"
        )
    prefix = seen.removeprefix(_SECURE).removesuffix(_ENDING)
    if seen.endswith(_ENDING) and prefix != expected.removeprefix(_SECURE).removesuffix(_ENDING):
        steps.append(f"set BETTER_AUTH_COOKIE_PREFIX to {prefix}")
    cure = ", and ".join(steps)
    return f"{cure[0].upper()}{cure[1:]}." if cure else CURES[Reason.COOKIE_NAME_UNEXPECTED]
