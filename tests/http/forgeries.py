"""All forgeries, and the valid credentials that they are made of.

A forgery is well formed and names a live session or an existing user, so that only the check that
it is aimed at can reject it. Bob is signed in as well; Ann also has an expired session.
"""

from typing import Final

from tests.http.client import ORIGIN
from tests.http.credentials import (
    HEADERS_OF,
    access_claims,
    access_token,
    bearer,
    cookie,
    plugin_claims,
    signed,
)
from tests.http.forged_cookies import COMBINATIONS, COOKIES, SESSION_TOKENS
from tests.http.forged_tokens import ACCESS_TOKENS, PLUGIN_TOKENS, SHARED_SECRET_TOKENS
from tests.http.forging import (
    ATTACKER_KEY,
    CURVE_KEY,
    OTHER_SECRET,
    OWN_KEY,
    REMOTE_KEY,
    UNKNOWN,
    Forgery,
    shared_claims,
    sign_with_secret,
)

FORGERIES: Final = {
    f"{kind}: {name}": row
    for kind, rows in (
        ("jwt", PLUGIN_TOKENS),
        ("access token", ACCESS_TOKENS),
        ("shared secret", SHARED_SECRET_TOKENS),
        ("session token", SESSION_TOKENS),
        ("cookie", COOKIES),
        ("together", COMBINATIONS),
    )
    for name, row in rows.items()
}
EXPECTED_ERRORS: Final = {
    "jwt: an unknown user": (401, "UNKNOWN_USER"),
    "jwt: an unknown user of the provider, without an email": (401, "UNKNOWN_USER"),
    "jwt: the email of another user": (409, "EMAIL_TAKEN"),
    "shared secret: an unknown user without an email": (401, "UNKNOWN_USER"),
    "shared secret: the email of another user": (409, "EMAIL_TAKEN"),
    "shared secret: a newer email of another user": (409, "EMAIL_TAKEN"),
}
"""The errors that are more specific than `UNAUTHENTICATED`."""

VALID: Final[dict[str, Forgery]] = {
    **HEADERS_OF,
    "a key of another family": lambda _: bearer(CURVE_KEY.token(plugin_claims())),
    "a key of the provider": lambda _: bearer(REMOTE_KEY.token(plugin_claims())),
    "embedded keys that must be ignored": lambda _: bearer(
        OWN_KEY.token(plugin_claims(), jwk=ATTACKER_KEY.jwk(), jku="http://evil.example/", x5u="x")
    ),
    "a typ in capitals": lambda _: bearer(OWN_KEY.token(plugin_claims(), typ="JWT")),
    "an access token with its typ in capitals": lambda s: bearer(
        sign_with_secret(access_claims(s), typ="AT+JWT")
    ),
    "a shared secret token signed by hand": lambda _: bearer(
        sign_with_secret(shared_claims(iss=ORIGIN, aud=[ORIGIN, "x"]))
    ),
    "a cookie of an unknown session and a valid bearer": lambda s: (
        bearer(access_token(s)) + cookie(signed(UNKNOWN))
    ),
    "a cookie signed with another secret and a valid bearer": lambda s: (
        bearer(s.token) + cookie(signed("TokenOfBob".ljust(32, "0"), OTHER_SECRET))
    ),
}
