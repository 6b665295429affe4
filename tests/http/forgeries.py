"""Everything that could be shown by who is not who they say, and what it is made of.

What is forged is well formed and names a live session or a user that exists, so that the check
that a row is aimed at is the one that refuses it. A row is given the session of Ann; Bob is
signed in as well, and so was Ann, long ago.
"""

import base64
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.sessions import Session
from tests.better_auth.signer import encoded, signer
from tests.better_auth.signer import signed as forged
from tests.http.client import ORIGIN, SECRET, token
from tests.http.people import (
    COOKIE,
    KID,
    PROOFS,
    Headers,
    access_claims,
    access_token,
    bearer,
    cookie,
    cookie_of,
    plugin_claims,
    plugin_token,
    signature,
    signed,
)

ANOTHER: Final = "another secret, which is as long as the one that it is not: 64..."
UNKNOWN: Final = "U" * 32
BITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

OURS = signer(KID, "EdDSA")
SECOND = signer("another-key-of-our-table", "EdDSA")
CURVE = signer("a-key-of-another-family", "ES256")
OLD = signer("a-key-that-was-rotated-away", "EdDSA")
REMOTE = signer("a-key-of-the-provider", "EdDSA")
THIEF = signer("a-key-of-nobody", "EdDSA")

Row = Callable[[Session], Headers]


def now() -> int:
    return int(time.time())


def hs256(claims: dict[str, Any], key: bytes, **header: Any) -> str:
    said = {"alg": "HS256", **header}
    return forged(said, claims, lambda text: hmac.digest(key, text, "sha256"))


def ours(claims: dict[str, Any], **header: Any) -> str:
    """Signed with the secret, whatever it is."""
    return hs256(claims, SECRET.encode(), **header)


def shared(**changes: Any) -> dict[str, Any]:
    """The claims of credential 5."""
    claims = {"sub": "ann", "email": "ann@example.com", "iat": now(), "exp": now() + 900}
    return {k: v for k, v in {**claims, **changes}.items() if v is not None}


def with_header(shown: str, **changes: Any) -> str:
    """Another header before the claims and the signature of a good token; None takes one out."""
    header, claims, signature = shown.split(".")
    said = {**json.loads(base64.urlsafe_b64decode(header + "==")), **changes}
    text = json.dumps({k: v for k, v in said.items() if v is not None})
    return f"{encoded(text.encode())}.{claims}.{signature}"


def with_claims(shown: str, claims: dict[str, Any]) -> str:
    header, _, signature = shown.split(".")
    return f"{header}.{encoded(json.dumps(claims).encode())}.{signature}"


def one_letter_off(shown: str) -> str:
    """The same but for one letter in the middle of a signature in base64."""
    place = -20
    turned = "B" if shown[place] == "A" else "A"
    return shown[:place] + turned + shown[place + 1 :]


def spare_bits(text: str) -> str:
    """A signature whose last letter differs where no bit of it counts."""
    last = BITS[BITS.index(text[-2]) ^ 1]
    return f"{text[:-2]}{last}{text[-1]}"


def raw_cookie(session: Session, text: str) -> Headers:
    """The token of the session, with this as its signature, as it stands."""
    return cookie(f"{session.token}.{text}")


def as_public(kind: str) -> bytes:
    """Our public key in a form that somebody could take for a secret."""
    if kind == "JWK":
        return OURS.row().encode()
    if kind == "x":
        return str(OURS.jwk()["x"]).encode()
    encoding, layout = {
        "PEM": (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "raw": (Encoding.Raw, PublicFormat.Raw),
        "OpenSSH": (Encoding.OpenSSH, PublicFormat.OpenSSH),
    }[kind]
    key: bytes = OURS.public.public_bytes(encoding, layout)
    return key


def cache_of(session: Session) -> dict[str, Any]:
    """What Better Auth's cookie cache says of a session."""
    return {
        "session": {"id": session.id, "token": session.token, "userId": session.user_id},
        "user": {"id": session.user_id, "email": "ann@example.com"},
        "updatedAt": now() * 1_000,
        "version": "1",
    }


def compact_cache(session: Session) -> str:
    expires_at = (now() + 300) * 1_000
    text = json.dumps({**cache_of(session), "expiresAt": expires_at}, separators=(",", ":"))
    digest = encoded(hmac.digest(SECRET.encode(), text.encode(), "sha256"))
    cache = {"session": cache_of(session), "expiresAt": expires_at, "signature": digest}
    return encoded(json.dumps(cache, separators=(",", ":")).encode())


SESSION_CACHE: Final = {"typ": "better-auth.session-cache+jwt"}
FOR_CACHES: Final = "better-auth:session-cache"

PLUGIN_TOKENS: Final[dict[str, Row]] = {
    "alg none": lambda _: bearer(
        forged({"alg": "none", "kid": KID}, plugin_claims(), lambda _: b"")
    ),
    "alg nOnE": lambda _: bearer(
        forged({"alg": "nOnE", "kid": KID}, plugin_claims(), lambda _: b"")
    ),
    "alg none on a good signature": lambda _: bearer(with_header(plugin_token(), alg="none")),
    "no alg": lambda _: bearer(with_header(plugin_token(), alg=None)),
    "an alg that is a list": lambda _: bearer(with_header(plugin_token(), alg=["EdDSA"])),
    "HS256 on a good signature": lambda _: bearer(with_header(plugin_token(), alg="HS256")),
    **{
        f"HS256 with the public key, {kind}": lambda _, kind=kind: bearer(  # type: ignore[misc]
            hs256(plugin_claims(), as_public(kind), kid=KID)
        )
        for kind in ("PEM", "DER", "JWK", "raw", "x", "OpenSSH")
    },
    "HS256 with nothing": lambda _: bearer(hs256(plugin_claims(), b"", kid=KID)),
    "HS256 with the kid": lambda _: bearer(hs256(plugin_claims(), KID.encode(), kid=KID)),
    "another audience": lambda _: bearer(plugin_token(aud="http://localhost:3001")),
    "another of several audiences": lambda _: bearer(plugin_token(aud=["other", "taskport"])),
    "no audience": lambda _: bearer(plugin_token(aud=None)),
    "another issuer": lambda _: bearer(plugin_token(iss="http://localhost:3001")),
    "an issuer with a path": lambda _: bearer(plugin_token(iss=f"{ORIGIN}/api/auth")),
    "no issuer": lambda _: bearer(plugin_token(iss=None)),
    "an unknown kid": lambda _: bearer(THIEF.token(plugin_claims())),
    "the kid of another's key": lambda _: bearer(THIEF.token(plugin_claims(), kid=KID)),
    "the kid of another key of ours": lambda _: bearer(SECOND.token(plugin_claims(), kid=KID)),
    "the kid of a key of another family": lambda _: bearer(
        OURS.token(plugin_claims(), kid=CURVE.kid)
    ),
    "the kid of a key of the provider": lambda _: bearer(
        THIEF.token(plugin_claims(), kid=REMOTE.kid)
    ),
    "no kid": lambda _: bearer(OURS.token(plugin_claims(), kid=None)),
    "a kid that is a number": lambda _: bearer(OURS.token(plugin_claims(), kid=1)),
    "a kid that is a path": lambda _: bearer(
        hs256(plugin_claims(), b"", kid="../../../dev/null", alg="EdDSA")
    ),
    "a kid that is SQL": lambda _: bearer(OURS.token(plugin_claims(), kid="x' or '1'='1")),
    "a kid with NUL": lambda _: bearer(OURS.token(plugin_claims(), kid=f"{KID}\0")),
    "a kid that is too long": lambda _: bearer(OURS.token(plugin_claims(), kid="k" * 65)),
    "a key that was rotated away": lambda _: bearer(OLD.token(plugin_claims())),
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
    "somebody else in the claims": lambda _: bearer(
        with_claims(plugin_token("bob"), plugin_claims("ann"))
    ),
    "the signature of another token": lambda _: bearer(
        with_claims(plugin_token(), plugin_claims(exp=now() + 901))
    ),
    "one letter off": lambda _: bearer(one_letter_off(plugin_token())),
    "no signature": lambda _: bearer(plugin_token().rpartition(".")[0] + "."),
    "half a signature": lambda _: bearer(plugin_token()[:-43]),
    "a signature of zeros": lambda _: bearer(
        forged({"alg": "ES256", "kid": CURVE.kid}, plugin_claims(), lambda _: bytes(64))
    ),
    "another algorithm on the same kid": lambda _: bearer(
        CURVE.token(plugin_claims(), kid=CURVE.kid, alg="EdDSA")
    ),
    "an embedded jwk": lambda _: bearer(THIEF.token(plugin_claims(), jwk=THIEF.jwk())),
    "an embedded jwk and our kid": lambda _: bearer(
        THIEF.token(plugin_claims(), kid=KID, jwk=THIEF.jwk(kid=KID))
    ),
    "an embedded jwk and no kid": lambda _: bearer(
        THIEF.token(plugin_claims(), kid=None, jwk=THIEF.jwk())
    ),
    "a jku": lambda _: bearer(THIEF.token(plugin_claims(), jku="http://evil.example/jwks")),
    "an x5u": lambda _: bearer(THIEF.token(plugin_claims(), x5u="http://evil.example/x5u")),
    "an x5c": lambda _: bearer(THIEF.token(plugin_claims(), x5c=[str(THIEF.jwk()["x"])])),
    "a critical header": lambda _: bearer(OURS.token(plugin_claims(), crit=["exp"], exp=1)),
    "a critical header that PyJWT knows": lambda _: bearer(
        OURS.token(plugin_claims(), crit=["b64"], b64=True)
    ),
    "an unencoded payload": lambda _: bearer(OURS.token(plugin_claims(), crit=["b64"], b64=False)),
    "100 KB": lambda _: bearer(plugin_token(filler="x" * 75_000)),
    "a session cache": lambda s: bearer(
        OURS.token(plugin_claims(**cache_of(s), aud=FOR_CACHES), **SESSION_CACHE)
    ),
    "a session cache by its typ": lambda _: bearer(OURS.token(plugin_claims(), **SESSION_CACHE)),
    "a session cache by its audience": lambda _: bearer(plugin_token(aud=FOR_CACHES)),
    "an access token of somebody else": lambda _: bearer(OURS.token(plugin_claims(), typ="at+jwt")),
    "an access token that their key signed": lambda s: bearer(
        OURS.token(access_claims(s), typ="at+jwt")
    ),
    "issued to a third party": lambda _: bearer(plugin_token(azp="a-client")),
    "issued to a client of OAuth": lambda _: bearer(plugin_token(client_id="a-client")),
    "somebody who does not exist": lambda _: bearer(plugin_token("stranger")),
    "somebody whom the provider names without an address": lambda _: bearer(
        REMOTE.token(plugin_claims("stranger", email=None))
    ),
    "an address of another user": lambda _: bearer(
        REMOTE.token(plugin_claims("stranger", email="ann@example.com"))
    ),
}

ACCESS_TOKENS: Final[dict[str, Row]] = {
    "of a session that is over": lambda s: bearer(access_token(s, sid=UNKNOWN)),
    "of a session that expired": lambda s: bearer(
        access_token(s, sid="SessionOfAnnExpired".ljust(32, "0"))
    ),
    "of somebody else's session": lambda s: bearer(
        access_token(s, sid="SessionOfBob".ljust(32, "0"))
    ),
    "by the token of its session": lambda s: bearer(access_token(s, sid=s.token)),
    "of no session": lambda s: bearer(access_token(s, sid=None)),
    "of a session that is a list": lambda s: bearer(access_token(s, sid=[s.id])),
    "of a session with NUL": lambda s: bearer(access_token(s, sid=f"{s.id}\0")),
    "of a session that is SQL": lambda s: bearer(access_token(s, sid="x' or '1'='1")),
    "of nobody": lambda s: bearer(access_token(s, sub=None)),
    "signed with another secret": lambda s: bearer(access_token(s, ANOTHER)),
    "one letter off": lambda s: bearer(one_letter_off(access_token(s))),
    "alg none": lambda s: bearer(
        forged({"alg": "none", "typ": "at+jwt"}, access_claims(s), lambda _: b"")
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
    "living too long": lambda s: bearer(access_token(s, exp=now() + 8 * 86_400)),
    "of 100 KB": lambda s: bearer(access_token(s, filler="x" * 75_000)),
    "with a critical header": lambda s: bearer(ours(access_claims(s), typ="at+jwt", crit=["typ"])),
    # What anybody can make of one:
    "without its typ": lambda s: bearer(with_header(access_token(s), typ=None)),
    "with the typ of others": lambda s: bearer(with_header(access_token(s), typ="JWT")),
    # What takes the secret, and is still this credential or none:
    "signed without its typ": lambda s: bearer(ours(access_claims(s))),
    "signed with the typ of others": lambda s: bearer(ours(access_claims(s), typ="JWT")),
    "signed with another typ": lambda s: bearer(ours(access_claims(s), typ="application/at+jwt")),
    "signed with a typ that is a list": lambda s: bearer(ours(access_claims(s), typ=["at+jwt"])),
    "of a dead session, signed without its typ": lambda s: bearer(
        ours(access_claims(s, sid=UNKNOWN))
    ),
    "without its session, signed without its typ": lambda s: bearer(
        ours(access_claims(s, sid=None))
    ),
    "without its names, signed without its typ": lambda s: bearer(
        ours(access_claims(s, iss=None, aud=None))
    ),
    "with the front end's names, signed without its typ": lambda s: bearer(
        ours(access_claims(s, iss=ORIGIN, aud=ORIGIN))
    ),
    "by its typ alone": lambda _: bearer(ours(shared(), typ="at+jwt")),
    "by its typ alone, in capitals": lambda _: bearer(ours(shared(), typ="AT+JWT")),
}

SHARED_SECRET_TOKENS: Final[dict[str, Row]] = {
    "signed with another secret": lambda _: bearer(jwt.encode(shared(), ANOTHER)),
    "signed with nothing": lambda _: bearer(hs256(shared(), b"")),
    "alg none": lambda _: bearer(forged({"alg": "none", "typ": "JWT"}, shared(), lambda _: b"")),
    "another HMAC": lambda _: bearer(jwt.encode(shared(), SECRET, "HS384")),
    "one letter off": lambda _: bearer(one_letter_off(ours(shared()))),
    "somebody else in the claims": lambda _: bearer(
        with_claims(ours(shared(sub="bob", email="bob@example.com")), shared())
    ),
    "another issuer": lambda _: bearer(ours(shared(iss="http://localhost:3001"))),
    "another audience": lambda _: bearer(ours(shared(aud="http://localhost:3001"))),
    "our own names": lambda _: bearer(ours(shared(iss="taskport", aud="taskport"))),
    "expired": lambda _: bearer(ours(shared(iat=now() - 961, exp=now() - 61))),
    "no exp": lambda _: bearer(ours(shared(exp=None))),
    "no sub": lambda _: bearer(ours(shared(sub=None))),
    "issued in the far future": lambda _: bearer(
        ours(shared(iat=now() + 86_400, exp=now() + 87_300))
    ),
    "living too long": lambda _: bearer(ours(shared(exp=now() + 7 * 86_400 + 60))),
    "100 KB": lambda _: bearer(ours(shared(filler="x" * 75_000))),
    "a critical header": lambda _: bearer(ours(shared(), crit=["exp"], exp=1)),
    "an embedded jwk": lambda _: bearer(
        hs256(shared(), b"k" * 32, jwk={"kty": "oct", "k": encoded(b"k" * 32)})
    ),
    "a mail verification": lambda _: bearer(ours(shared(sub=None, userId="ann"))),
    "a mail change": lambda _: bearer(ours(shared(sub=None, updateTo="new@example.com"))),
    "a mail change with a sub": lambda _: bearer(ours(shared(updateTo="new@example.com"))),
    "a request by mail with a sub": lambda _: bearer(
        ours(shared(requestType="change-email-verification"))
    ),
    "a cookie cache": lambda s: bearer(ours({**cache_of(s), "iat": now(), "exp": now() + 300})),
    "a cookie cache with a sub": lambda s: bearer(ours(shared(**cache_of(s)))),
    "a cookie cache of the jwt plugin": lambda s: bearer(
        ours(shared(sid=s.token, aud=FOR_CACHES), **SESSION_CACHE)
    ),
    "a session cache by its typ": lambda _: bearer(ours(shared(), **SESSION_CACHE)),
    "somebody unknown without an address": lambda _: bearer(
        ours(shared(sub="stranger", email=None))
    ),
    "an address of another user": lambda _: bearer(ours(shared(sub="stranger"))),
    "an address of another user, as news": lambda _: bearer(
        ours(shared(email="bob@example.com", updatedAt=datetime.now(UTC).isoformat()))
    ),
}

SESSION_TOKENS: Final[dict[str, Row]] = {
    "unknown": lambda _: bearer(UNKNOWN),
    "the id of a session": lambda s: bearer(s.id),
    "the id of a user": lambda s: bearer(s.user_id),
    "expired": lambda _: bearer("TokenOfAnnExpired".ljust(32, "0")),
    "in capitals": lambda s: bearer(s.token.upper()),
    "cut short": lambda s: bearer(s.token[:-1]),
    "with more": lambda s: bearer(f"{s.token}0"),
    "with a word before it": lambda s: bearer(f"Bearer {s.token}"),
    "a pattern of SQL": lambda _: bearer("_" * 32),
    "SQL": lambda _: bearer("x'or'1'='1"),
    "SQL with a comment": lambda s: bearer(f"{s.token}'--"),
    "NUL": lambda s: bearer(f"{s.token}\0"),
    "a line break": lambda s: bearer(f"{s.token}\r\nX-Other: 1"),
    "an encoded line break": lambda s: bearer(f"{s.token}%0d%0a"),
    "letters beyond ASCII": lambda s: bearer(f"{s.token}ä"),
    "letters that look the same": lambda s: bearer(s.token.replace("o", "о")),
    "percent-encoded": lambda s: bearer(f"%{ord(s.token[0]):02X}{s.token[1:]}"),
    "100 KB": lambda s: bearer(s.token * 3_200),
    "empty": lambda _: bearer(""),
    "a space": lambda _: bearer("  "),
    "dots": lambda _: bearer(".."),
    "one dot": lambda _: bearer("."),
    "a signature alone": lambda _: bearer(f".{signature('')}"),
    "signed with another secret": lambda s: bearer(f"{s.token}.{signature(s.token, ANOTHER)}"),
    "with the signature of another": lambda s: bearer(f"{s.token}.{signature(UNKNOWN)}"),
    "signed, one letter off": lambda s: bearer(one_letter_off(f"{s.token}.{signature(s.token)}")),
    "signed, unpadded": lambda s: bearer(f"{s.token}.{signature(s.token)[:-1]}"),
    "signed in hex": lambda s: bearer(
        f"{s.token}.{hmac.digest(SECRET.encode(), s.token.encode(), 'sha256').hex()}"
    ),
    "signed, and unknown": lambda _: bearer(f"{UNKNOWN}.{signature(UNKNOWN)}"),
    "the signed note not to be remembered": lambda _: bearer(f"true.{signature('true')}"),
    "signed twice": lambda s: bearer(
        f"{s.token}.{signature(s.token)}.{signature(f'{s.token}.{signature(s.token)}')}"
    ),
    "a compact cookie cache": lambda s: bearer(compact_cache(s)),
    "a JWE": lambda _: bearer(f"{encoded(b'{}')}..iv.text.tag"),
}

COOKIES: Final[dict[str, Row]] = {
    "unsigned": lambda s: cookie(s.token),
    "an empty signature": lambda s: raw_cookie(s, ""),
    "one letter off": lambda s: raw_cookie(s, one_letter_off(signature(s.token))),
    "other spare bits": lambda s: raw_cookie(s, spare_bits(signature(s.token))),
    "the signature of another": lambda s: raw_cookie(s, signature(UNKNOWN)),
    "another token": lambda s: cookie(f"{'TokenOfBob'.ljust(32, '0')}.{signature(s.token)}"),
    "another secret": lambda s: cookie(signed(s.token, ANOTHER)),
    "a secret with a line break": lambda s: cookie(signed(s.token, f"{SECRET}\n")),
    "cut short": lambda s: cookie(signed(s.token)[:-1]),
    "cut short by its padding": lambda s: raw_cookie(s, signature(s.token)[:-1]),
    "padded twice": lambda s: raw_cookie(s, signature(s.token) + "="),
    "in the alphabet of URLs": lambda s: raw_cookie(
        s, signature(s.token).translate(str.maketrans("+/", "-_"))
    ),
    "in hex": lambda s: raw_cookie(
        s, hmac.digest(SECRET.encode(), s.token.encode(), "sha256").hex()
    ),
    "SHA-1": lambda s: raw_cookie(
        s, base64.b64encode(hmac.digest(SECRET.encode(), s.token.encode(), "sha1")).decode()
    ),
    "the token in capitals": lambda s: cookie(f"{s.token.upper()}.{signature(s.token)}"),
    "the signature in capitals": lambda s: raw_cookie(s, signature(s.token).upper()),
    "encoded twice": lambda s: cookie(signed(s.token).replace("%", "%25")),
    "a plus for a space": lambda s: raw_cookie(s, signature(s.token).replace("+", " ")),
    "signed twice": lambda s: cookie(signed(f"{s.token}.{signature(s.token)}")),
    "signed and expired": lambda _: cookie(signed("TokenOfAnnExpired".ljust(32, "0"))),
    "signed and unknown": lambda _: cookie(signed(UNKNOWN)),
    "a signed id of a session": lambda s: cookie(signed(s.id)),
    "a signed id of a user": lambda s: cookie(signed(s.user_id)),
    "a signed nothing": lambda _: cookie(signed("")),
    "the signed note not to be remembered": lambda _: cookie(signed("true")),
    "signed SQL": lambda _: cookie(signed("x' or '1'='1")),
    "signed NUL": lambda s: cookie(signed(f"{s.token}\0")),
    "NUL": lambda s: cookie(f"{s.token}%00.{signature(s.token)}"),
    "a line break": lambda s: cookie(f"{s.token}%0D%0A.{signature(s.token)}"),
    "a line break as it is": lambda s: cookie(f"{s.token}\r\n.{signature(s.token)}"),
    "letters beyond ASCII": lambda s: cookie(f"{s.token}ä.{signature(s.token)}"),
    "a signature beyond ASCII": lambda s: raw_cookie(s, "ä" * 43 + "="),
    "no UTF-8": lambda s: cookie(f"{s.token}%ff%fe.{signature(s.token)}"),
    "half a character": lambda s: cookie(f"%ED%A0%80{s.token}.{signature(s.token)}"),
    "half an escape": lambda s: cookie(f"{signed(s.token)}%"),
    "100 KB": lambda s: cookie(f"{s.token * 3_200}.{signature(s.token)}"),
    "100 KB of dots": lambda s: cookie("." * 100_000),
    "1,000 of them": lambda s: [("Cookie", f"{COOKIE}={UNKNOWN}; " * 1_000)],
    "empty": lambda _: cookie(""),
    "dots": lambda _: cookie(".."),
    "a signature alone": lambda _: cookie(f".{signature('')}"),
    "no name": lambda s: [("Cookie", signed(s.token))],
    "another's name": lambda s: cookie(signed(s.token), "better-auth.session_data"),
    "the name of https": lambda s: cookie(signed(s.token), f"__Secure-{COOKIE}"),
    "two of them": lambda s: cookie(f"{signed(s.token)}; {COOKIE}={signed(UNKNOWN)}"),
    "an access token": lambda s: cookie(access_token(s)),
    "a token of the jwt plugin": lambda _: cookie(plugin_token()),
    "a token of the shared secret": lambda _: cookie(token()),
    "a compact cookie cache": lambda s: cookie(compact_cache(s)),
    "a compact cookie cache under its name": lambda s: cookie(
        compact_cache(s), "better-auth.session_data"
    ),
    "a cookie cache of HS256": lambda s: cookie(
        ours({**cache_of(s), "iat": now(), "exp": now() + 300})
    ),
    "a session cache": lambda s: cookie(
        OURS.token(plugin_claims(**cache_of(s), aud=FOR_CACHES), **SESSION_CACHE)
    ),
}

TOGETHER: Final[dict[str, Row]] = {
    **{
        f"{name}, and a cookie of another user": lambda s, name=name: (  # type: ignore[misc]
            [*PROOFS[name][1](s), *cookie(signed("TokenOfBob".ljust(32, "0")))]
        )
        for name in PROOFS
    },
    "somebody new, and a cookie of another user": lambda _: [
        *bearer(token("eve")),
        *cookie(signed("TokenOfBob".ljust(32, "0"))),
    ],
    "news of a user, and a cookie of another": lambda _: [
        *bearer(ours(shared(name="New", updatedAt=datetime.now(UTC).isoformat()))),
        *cookie(signed("TokenOfBob".ljust(32, "0"))),
    ],
    "two tokens of two users": lambda s: bearer(access_token(s)) + bearer(token("bob")),
    "two tokens in one header": lambda s: bearer(f"{access_token(s)}, Bearer {token('bob')}"),
    "two cookies of two users": lambda s: [
        *cookie(signed(s.token)),
        ("Cookie", f"{COOKIE}={signed('TokenOfBob'.ljust(32, '0'))}"),
    ],
    "a bad bearer beside a good cookie": lambda s: bearer(UNKNOWN) + cookie_of(s),
    "a forged bearer beside a good cookie": lambda s: (
        bearer(one_letter_off(access_token(s))) + cookie_of(s)
    ),
}

TABLE: Final = {
    f"{kind}: {name}": row
    for kind, rows in (
        ("jwt", PLUGIN_TOKENS),
        ("access token", ACCESS_TOKENS),
        ("shared secret", SHARED_SECRET_TOKENS),
        ("session token", SESSION_TOKENS),
        ("cookie", COOKIES),
        ("together", TOGETHER),
    )
    for name, row in rows.items()
}
# Where the contract has a more telling answer than that the credential is none.
OTHERWISE: Final = {
    "jwt: somebody who does not exist": (401, "UNKNOWN_USER"),
    "jwt: somebody whom the provider names without an address": (401, "UNKNOWN_USER"),
    "jwt: an address of another user": (409, "EMAIL_TAKEN"),
    "shared secret: somebody unknown without an address": (401, "UNKNOWN_USER"),
    "shared secret: an address of another user": (409, "EMAIL_TAKEN"),
    "shared secret: an address of another user, as news": (409, "EMAIL_TAKEN"),
}

GOOD: Final[dict[str, Row]] = {
    **{name: show for name, (_, show) in PROOFS.items()},
    "a key of another family": lambda _: bearer(CURVE.token(plugin_claims())),
    "a key of the provider": lambda _: bearer(REMOTE.token(plugin_claims())),
    "embedded keys that nobody looks at": lambda _: bearer(
        OURS.token(plugin_claims(), jwk=THIEF.jwk(), jku="http://evil.example/", x5u="x")
    ),
    "a typ in capitals": lambda _: bearer(OURS.token(plugin_claims(), typ="JWT")),
    "an access token with its typ in capitals": lambda s: bearer(
        ours(access_claims(s), typ="AT+JWT")
    ),
    "a shared secret by hand": lambda _: bearer(ours(shared(iss=ORIGIN, aud=[ORIGIN, "x"]))),
    "a stale cookie of somebody else beside a bearer": lambda s: (
        bearer(access_token(s)) + cookie(signed(UNKNOWN))
    ),
    "a foreign cookie beside a bearer": lambda s: (
        bearer(s.token) + cookie(signed("TokenOfBob".ljust(32, "0"), ANOTHER))
    ),
}
