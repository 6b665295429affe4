"""Keys and helpers to forge credentials with."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.sessions import Session
from tests.better_auth.signer import encoded, signer
from tests.better_auth.signer import signed as sign_token
from tests.http.client import SECRET
from tests.http.credentials import Headers, cookie
from tests.http.rows import KID

OTHER_SECRET: Final = "another secret, which is as long as the one of the service: 64.."
UNKNOWN: Final = "U" * 32
BASE64: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

OWN_KEY = signer(KID, "EdDSA")
SECOND_KEY = signer("another-key-of-our-table", "EdDSA")
CURVE_KEY = signer("a-key-of-another-family", "ES256")
OLD_KEY = signer("a-key-that-was-rotated-away", "EdDSA")
REMOTE_KEY = signer("a-key-of-the-provider", "EdDSA")
ATTACKER_KEY = signer("a-key-of-an-attacker", "EdDSA")

Forgery = Callable[[Session], Headers]
"""The headers of a forged request. It is given a live session of Ann."""


def now() -> int:
    return int(time.time())


def hs256(claims: dict[str, Any], key: bytes, **header: Any) -> str:
    return sign_token(
        {"alg": "HS256", **header}, claims, lambda text: hmac.digest(key, text, "sha256")
    )


def sign_with_secret(claims: dict[str, Any], **header: Any) -> str:
    """Any claims, signed with the secret."""
    return hs256(claims, SECRET.encode(), **header)


def shared_claims(**changes: Any) -> dict[str, Any]:
    """The claims of a shared-secret token."""
    claims = {"sub": "ann", "email": "ann@example.com", "iat": now(), "exp": now() + 900}
    return {k: v for k, v in {**claims, **changes}.items() if v is not None}


def with_header(token: str, **changes: Any) -> str:
    """The token with another header; a member that is None is left out."""
    header, claims, signature = token.split(".")
    members = {**json.loads(base64.urlsafe_b64decode(header + "==")), **changes}
    text = json.dumps({k: v for k, v in members.items() if v is not None})
    return f"{encoded(text.encode())}.{claims}.{signature}"


def with_claims(token: str, claims: dict[str, Any]) -> str:
    """The token with other claims."""
    header, _, signature = token.split(".")
    return f"{header}.{encoded(json.dumps(claims).encode())}.{signature}"


def change_letter(token: str) -> str:
    """The token with one letter changed in the middle of its base64 signature."""
    place = -20
    letter = "B" if token[place] == "A" else "A"
    return token[:place] + letter + token[place + 1 :]


def change_spare_bits(signature: str) -> str:
    """The signature with other spare bits in its last letter: it decodes to the same bytes."""
    last = BASE64[BASE64.index(signature[-2]) ^ 1]
    return f"{signature[:-2]}{last}{signature[-1]}"


def cookie_with_signature(session: Session, signature: str) -> Headers:
    """The cookie of a session with this signature, which is not percent-encoded."""
    return cookie(f"{session.token}.{signature}")


def public_key_as(kind: str) -> bytes:
    """Our public key in a form that a verifier might take for an HMAC secret."""
    if kind == "JWK":
        return OWN_KEY.row().encode()
    if kind == "x":
        return str(OWN_KEY.jwk()["x"]).encode()
    encoding, layout = {
        "PEM": (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "raw": (Encoding.Raw, PublicFormat.Raw),
        "OpenSSH": (Encoding.OpenSSH, PublicFormat.OpenSSH),
    }[kind]
    key: bytes = OWN_KEY.public.public_bytes(encoding, layout)
    return key


def cookie_cache(session: Session) -> dict[str, Any]:
    """The content of Better Auth's cookie cache for a session."""
    return {
        "session": {"id": session.id, "token": session.token, "userId": session.user_id},
        "user": {"id": session.user_id, "email": "ann@example.com"},
        "updatedAt": now() * 1_000,
        "version": "1",
    }


def compact_cookie_cache(session: Session) -> str:
    """The cookie cache in Better Auth's compact form."""
    expires_at = (now() + 300) * 1_000
    text = json.dumps({**cookie_cache(session), "expiresAt": expires_at}, separators=(",", ":"))
    digest = encoded(hmac.digest(SECRET.encode(), text.encode(), "sha256"))
    cache = {"session": cookie_cache(session), "expiresAt": expires_at, "signature": digest}
    return encoded(json.dumps(cache, separators=(",", ":")).encode())


CACHE_HEADER: Final = {"typ": "better-auth.session-cache+jwt"}
CACHE_AUDIENCE: Final = "better-auth:session-cache"
