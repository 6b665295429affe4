"""Forged JWTs: of the `jwt` plugin, access tokens, and tokens of the shared secret."""

from datetime import UTC, datetime
from typing import Final

import jwt

from tests.better_auth.signer import encoded
from tests.better_auth.signer import signed as sign_token
from tests.http.client import ORIGIN, SECRET
from tests.http.credentials import access_claims, access_token, bearer, plugin_claims, plugin_token
from tests.http.forging import (
    ATTACKER_KEY,
    CACHE_AUDIENCE,
    CACHE_HEADER,
    CURVE_KEY,
    OLD_KEY,
    OTHER_SECRET,
    OWN_KEY,
    REMOTE_KEY,
    SECOND_KEY,
    UNKNOWN,
    Forgery,
    change_letter,
    cookie_cache,
    hs256,
    now,
    public_key_as,
    shared_claims,
    sign_with_secret,
    with_claims,
    with_header,
)
from tests.http.rows import KID

PLUGIN_TOKENS: Final[dict[str, Forgery]] = {
    "alg none": lambda _: bearer(
        sign_token({"alg": "none", "kid": KID}, plugin_claims(), lambda _: b"")
    ),
    "alg nOnE": lambda _: bearer(
        sign_token({"alg": "nOnE", "kid": KID}, plugin_claims(), lambda _: b"")
    ),
    "alg none with a valid signature": lambda _: bearer(with_header(plugin_token(), alg="none")),
    "no alg": lambda _: bearer(with_header(plugin_token(), alg=None)),
    "an alg that is a list": lambda _: bearer(with_header(plugin_token(), alg=["EdDSA"])),
    "HS256 with a valid signature": lambda _: bearer(with_header(plugin_token(), alg="HS256")),
    **{
        f"HS256 with the public key, {kind}": lambda _, kind=kind: bearer(  # type: ignore[misc]
            hs256(plugin_claims(), public_key_as(kind), kid=KID)
        )
        for kind in ("PEM", "DER", "JWK", "raw", "x", "OpenSSH")
    },
    "HS256 with an empty key": lambda _: bearer(hs256(plugin_claims(), b"", kid=KID)),
    "HS256 with the kid": lambda _: bearer(hs256(plugin_claims(), KID.encode(), kid=KID)),
    "another audience": lambda _: bearer(plugin_token(aud="http://localhost:3001")),
    "another of several audiences": lambda _: bearer(plugin_token(aud=["other", "taskport"])),
    "no audience": lambda _: bearer(plugin_token(aud=None)),
    "another issuer": lambda _: bearer(plugin_token(iss="http://localhost:3001")),
    "an issuer with a path": lambda _: bearer(plugin_token(iss=f"{ORIGIN}/api/auth")),
    "no issuer": lambda _: bearer(plugin_token(iss=None)),
    "an unknown kid": lambda _: bearer(ATTACKER_KEY.token(plugin_claims())),
    "the kid of our key, signed by an attacker": lambda _: bearer(
        ATTACKER_KEY.token(plugin_claims(), kid=KID)
    ),
    "the kid of another key of ours": lambda _: bearer(SECOND_KEY.token(plugin_claims(), kid=KID)),
    "the kid of a key of another family": lambda _: bearer(
        OWN_KEY.token(plugin_claims(), kid=CURVE_KEY.kid)
    ),
    "the kid of a key of the provider": lambda _: bearer(
        ATTACKER_KEY.token(plugin_claims(), kid=REMOTE_KEY.kid)
    ),
    "no kid": lambda _: bearer(OWN_KEY.token(plugin_claims(), kid=None)),
    "a kid that is a number": lambda _: bearer(OWN_KEY.token(plugin_claims(), kid=1)),
    "a kid that is a path": lambda _: bearer(
        hs256(plugin_claims(), b"", kid="../../../dev/null", alg="EdDSA")
    ),
    "a kid that is SQL": lambda _: bearer(OWN_KEY.token(plugin_claims(), kid="x' or '1'='1")),
    "a kid with NUL": lambda _: bearer(OWN_KEY.token(plugin_claims(), kid=f"{KID}\0")),
    "a kid that is too long": lambda _: bearer(OWN_KEY.token(plugin_claims(), kid="k" * 65)),
    "a key that was rotated away": lambda _: bearer(OLD_KEY.token(plugin_claims())),
    "expired": lambda _: bearer(plugin_token(iat=now() - 961, exp=now() - 61)),
    "no exp": lambda _: bearer(plugin_token(exp=None)),
    "an exp that is text": lambda _: bearer(plugin_token(exp=str(now() + 900))),
    "an exp at infinity": lambda _: bearer(plugin_token(exp=float("inf"))),
    "no sub": lambda _: bearer(plugin_token(sub=None)),
    "an empty sub": lambda _: bearer(plugin_token(sub="")),
    "a sub that is a list": lambda _: bearer(plugin_token(sub=["ann"])),
    "issued in the far future": lambda _: bearer(
        plugin_token(iat=now() + 86_400, exp=now() + 87_300)
    ),
    "not yet valid": lambda _: bearer(plugin_token(nbf=now() + 61)),
    "another user in the claims": lambda _: bearer(
        with_claims(plugin_token("bob"), plugin_claims("ann"))
    ),
    "the signature of another token": lambda _: bearer(
        with_claims(plugin_token(), plugin_claims(exp=now() + 901))
    ),
    "one letter changed": lambda _: bearer(change_letter(plugin_token())),
    "no signature": lambda _: bearer(plugin_token().rpartition(".")[0] + "."),
    "half a signature": lambda _: bearer(plugin_token()[:-43]),
    "a signature of zeros": lambda _: bearer(
        sign_token({"alg": "ES256", "kid": CURVE_KEY.kid}, plugin_claims(), lambda _: bytes(64))
    ),
    "another algorithm on the same kid": lambda _: bearer(
        CURVE_KEY.token(plugin_claims(), kid=CURVE_KEY.kid, alg="EdDSA")
    ),
    "an embedded jwk": lambda _: bearer(
        ATTACKER_KEY.token(plugin_claims(), jwk=ATTACKER_KEY.jwk())
    ),
    "an embedded jwk and our kid": lambda _: bearer(
        ATTACKER_KEY.token(plugin_claims(), kid=KID, jwk=ATTACKER_KEY.jwk(kid=KID))
    ),
    "an embedded jwk and no kid": lambda _: bearer(
        ATTACKER_KEY.token(plugin_claims(), kid=None, jwk=ATTACKER_KEY.jwk())
    ),
    "a jku": lambda _: bearer(ATTACKER_KEY.token(plugin_claims(), jku="http://evil.example/jwks")),
    "an x5u": lambda _: bearer(ATTACKER_KEY.token(plugin_claims(), x5u="http://evil.example/x5u")),
    "an x5c": lambda _: bearer(
        ATTACKER_KEY.token(plugin_claims(), x5c=[str(ATTACKER_KEY.jwk()["x"])])
    ),
    "a critical header": lambda _: bearer(OWN_KEY.token(plugin_claims(), crit=["exp"], exp=1)),
    "a critical header that PyJWT supports": lambda _: bearer(
        OWN_KEY.token(plugin_claims(), crit=["b64"], b64=True)
    ),
    "an unencoded payload": lambda _: bearer(
        OWN_KEY.token(plugin_claims(), crit=["b64"], b64=False)
    ),
    "100 KB": lambda _: bearer(plugin_token(filler="x" * 75_000)),
    "a session cache": lambda s: bearer(
        OWN_KEY.token(plugin_claims(**cookie_cache(s), aud=CACHE_AUDIENCE), **CACHE_HEADER)
    ),
    "a session cache by its typ": lambda _: bearer(OWN_KEY.token(plugin_claims(), **CACHE_HEADER)),
    "a session cache by its audience": lambda _: bearer(plugin_token(aud=CACHE_AUDIENCE)),
    "an access token of another user": lambda _: bearer(
        OWN_KEY.token(plugin_claims(), typ="at+jwt")
    ),
    "an access token that their key signed": lambda s: bearer(
        OWN_KEY.token(access_claims(s), typ="at+jwt")
    ),
    "issued to a third party": lambda _: bearer(plugin_token(azp="a-client")),
    "issued to a client of OAuth": lambda _: bearer(plugin_token(client_id="a-client")),
    "an unknown user": lambda _: bearer(plugin_token("stranger")),
    "an unknown user of the provider, without an email": lambda _: bearer(
        REMOTE_KEY.token(plugin_claims("stranger", email=None))
    ),
    "the email of another user": lambda _: bearer(
        REMOTE_KEY.token(plugin_claims("stranger", email="ann@example.com"))
    ),
}

ACCESS_TOKENS: Final[dict[str, Forgery]] = {
    "of a session that is over": lambda s: bearer(access_token(s, sid=UNKNOWN)),
    "of a session that expired": lambda s: bearer(
        access_token(s, sid="SessionOfAnnExpired".ljust(32, "0"))
    ),
    "with a session of another user": lambda s: bearer(
        access_token(s, sid="SessionOfBob".ljust(32, "0"))
    ),
    "by the token of its session": lambda s: bearer(access_token(s, sid=s.token)),
    "without a session": lambda s: bearer(access_token(s, sid=None)),
    "of a session that is a list": lambda s: bearer(access_token(s, sid=[s.id])),
    "of a session with NUL": lambda s: bearer(access_token(s, sid=f"{s.id}\0")),
    "of a session that is SQL": lambda s: bearer(access_token(s, sid="x' or '1'='1")),
    "without a user": lambda s: bearer(access_token(s, sub=None)),
    "signed with another secret": lambda s: bearer(access_token(s, OTHER_SECRET)),
    "one letter changed": lambda s: bearer(change_letter(access_token(s))),
    "alg none": lambda s: bearer(
        sign_token({"alg": "none", "typ": "at+jwt"}, access_claims(s), lambda _: b"")
    ),
    "another HMAC": lambda s: bearer(
        jwt.encode(access_claims(s), SECRET, "HS512", headers={"typ": "at+jwt"})
    ),
    "another issuer": lambda s: bearer(access_token(s, iss=ORIGIN)),
    "another audience": lambda s: bearer(access_token(s, aud=ORIGIN)),
    "several audiences": lambda s: bearer(access_token(s, aud=["taskport", "other"])),
    "no issuer": lambda s: bearer(access_token(s, iss=None)),
    "no audience": lambda s: bearer(access_token(s, aud=None)),
    "expired": lambda s: bearer(access_token(s, iat=now() - 900, exp=now() - 61)),
    "no exp": lambda s: bearer(access_token(s, exp=None)),
    "no iat": lambda s: bearer(access_token(s, iat=None)),
    "issued in the far future": lambda s: bearer(
        access_token(s, iat=now() + 86_400, exp=now() + 8 * 86_400)
    ),
    "with too long a lifetime": lambda s: bearer(access_token(s, exp=now() + 8 * 86_400)),
    "of 100 KB": lambda s: bearer(access_token(s, filler="x" * 75_000)),
    "with a critical header": lambda s: bearer(
        sign_with_secret(access_claims(s), typ="at+jwt", crit=["typ"])
    ),
    # Made of a valid token, without the secret:
    "without its typ": lambda s: bearer(with_header(access_token(s), typ=None)),
    "with another typ": lambda s: bearer(with_header(access_token(s), typ="JWT")),
    # Signed with the secret, and still an access token or nothing:
    "signed without its typ": lambda s: bearer(sign_with_secret(access_claims(s))),
    "signed with the typ of plain JWTs": lambda s: bearer(
        sign_with_secret(access_claims(s), typ="JWT")
    ),
    "signed with another typ": lambda s: bearer(
        sign_with_secret(access_claims(s), typ="application/at+jwt")
    ),
    "signed with a typ that is a list": lambda s: bearer(
        sign_with_secret(access_claims(s), typ=["at+jwt"])
    ),
    "of an unknown session, signed without its typ": lambda s: bearer(
        sign_with_secret(access_claims(s, sid=UNKNOWN))
    ),
    "without its session, signed without its typ": lambda s: bearer(
        sign_with_secret(access_claims(s, sid=None))
    ),
    "without issuer and audience, signed without its typ": lambda s: bearer(
        sign_with_secret(access_claims(s, iss=None, aud=None))
    ),
    "with the issuer and audience of the front end, signed without its typ": lambda s: bearer(
        sign_with_secret(access_claims(s, iss=ORIGIN, aud=ORIGIN))
    ),
    "by its typ alone": lambda _: bearer(sign_with_secret(shared_claims(), typ="at+jwt")),
    "by its typ alone, in capitals": lambda _: bearer(
        sign_with_secret(shared_claims(), typ="AT+JWT")
    ),
}

SHARED_SECRET_TOKENS: Final[dict[str, Forgery]] = {
    "signed with another secret": lambda _: bearer(jwt.encode(shared_claims(), OTHER_SECRET)),
    "signed with an empty key": lambda _: bearer(hs256(shared_claims(), b"")),
    "alg none": lambda _: bearer(
        sign_token({"alg": "none", "typ": "JWT"}, shared_claims(), lambda _: b"")
    ),
    "another HMAC": lambda _: bearer(jwt.encode(shared_claims(), SECRET, "HS384")),
    "one letter changed": lambda _: bearer(change_letter(sign_with_secret(shared_claims()))),
    "another user in the claims": lambda _: bearer(
        with_claims(
            sign_with_secret(shared_claims(sub="bob", email="bob@example.com")), shared_claims()
        )
    ),
    "another issuer": lambda _: bearer(
        sign_with_secret(shared_claims(iss="http://localhost:3001"))
    ),
    "another audience": lambda _: bearer(
        sign_with_secret(shared_claims(aud="http://localhost:3001"))
    ),
    "the issuer and audience of access tokens": lambda _: bearer(
        sign_with_secret(shared_claims(iss="taskport", aud="taskport"))
    ),
    "expired": lambda _: bearer(sign_with_secret(shared_claims(iat=now() - 961, exp=now() - 61))),
    "no exp": lambda _: bearer(sign_with_secret(shared_claims(exp=None))),
    "no sub": lambda _: bearer(sign_with_secret(shared_claims(sub=None))),
    "issued in the far future": lambda _: bearer(
        sign_with_secret(shared_claims(iat=now() + 86_400, exp=now() + 87_300))
    ),
    "with too long a lifetime": lambda _: bearer(
        sign_with_secret(shared_claims(exp=now() + 7 * 86_400 + 60))
    ),
    "100 KB": lambda _: bearer(sign_with_secret(shared_claims(filler="x" * 75_000))),
    "a critical header": lambda _: bearer(sign_with_secret(shared_claims(), crit=["exp"], exp=1)),
    "an embedded jwk": lambda _: bearer(
        hs256(shared_claims(), b"k" * 32, jwk={"kty": "oct", "k": encoded(b"k" * 32)})
    ),
    "an email verification": lambda _: bearer(
        sign_with_secret(shared_claims(sub=None, userId="ann"))
    ),
    "an email change": lambda _: bearer(
        sign_with_secret(shared_claims(sub=None, updateTo="new@example.com"))
    ),
    "an email change with a sub": lambda _: bearer(
        sign_with_secret(shared_claims(updateTo="new@example.com"))
    ),
    "a request type of an email with a sub": lambda _: bearer(
        sign_with_secret(shared_claims(requestType="change-email-verification"))
    ),
    "a cookie cache": lambda s: bearer(
        sign_with_secret({**cookie_cache(s), "iat": now(), "exp": now() + 300})
    ),
    "a cookie cache with a sub": lambda s: bearer(
        sign_with_secret(shared_claims(**cookie_cache(s)))
    ),
    "a cookie cache of the jwt plugin": lambda s: bearer(
        sign_with_secret(shared_claims(sid=s.token, aud=CACHE_AUDIENCE), **CACHE_HEADER)
    ),
    "a session cache by its typ": lambda _: bearer(
        sign_with_secret(shared_claims(), **CACHE_HEADER)
    ),
    "an unknown user without an email": lambda _: bearer(
        sign_with_secret(shared_claims(sub="stranger", email=None))
    ),
    "the email of another user": lambda _: bearer(sign_with_secret(shared_claims(sub="stranger"))),
    "a newer email of another user": lambda _: bearer(
        sign_with_secret(
            shared_claims(email="bob@example.com", updatedAt=datetime.now(UTC).isoformat())
        )
    ),
}
