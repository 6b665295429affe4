"""Public keys of Better Auth's `jwt` plugin: which are usable, and for which algorithms."""

import json
from dataclasses import dataclass
from typing import Any, Final

import jwt

from application.ports.keys import StoredKey

ALGORITHMS: Final = ("EdDSA", "ES256", "ES512", "RS256", "PS256")
"""All that the plugin can be told to sign with."""

_RSA_MIN_BITS = 2_048


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key as PyJWT takes it, and the only algorithms that it may be used with."""

    key: Any
    algorithms: frozenset[str]


def public_key(jwk: object, algorithm: str | None = None) -> PublicKey | None:
    """The key in a JSON Web Key; None where it is no public key that we can verify with.

    `algorithm` is what is known of it beside what it says of itself: neither may contradict.
    """
    if not isinstance(jwk, dict) or "d" in jwk or jwk.get("use") not in (None, "sig"):
        return None
    declared = [name for name in (algorithm, jwk.get("alg")) if name is not None]
    algorithms = [name for name in _possible(jwk) if all(name == said for said in declared)]
    if not algorithms:
        return None
    try:
        key = jwt.PyJWK(jwk, algorithms[0]).key
    except jwt.PyJWTError:
        return None
    if jwk["kty"] == "RSA" and key.key_size < _RSA_MIN_BITS:
        return None
    return PublicKey(key, frozenset(algorithms))


def stored_key(stored: StoredKey) -> PublicKey | None:
    """The key in a row of Better Auth's `jwks` table."""
    try:
        jwk = json.loads(stored.public_key)
    except (ValueError, RecursionError):
        return None
    return public_key(jwk, stored.algorithm)


def _possible(jwk: dict[str, Any]) -> tuple[str, ...]:
    match jwk:
        case {"kty": "OKP", "crv": "Ed25519"}:
            return ("EdDSA",)
        case {"kty": "EC", "crv": "P-256"}:
            return ("ES256",)
        case {"kty": "EC", "crv": "P-521"}:
            return ("ES512",)
        # Whatever its `crv`: Better Auth may show the one of its default key there.
        case {"kty": "RSA"}:
            return ("RS256", "PS256")
        case _:
            return ()
