"""Public keys of Better Auth's `jwt` plugin, and the algorithms that they may be used with."""

import json
from dataclasses import dataclass
from typing import Any, Final

import jwt

from application.ports.keys import StoredKey

#: All algorithms that the plugin supports.
ALGORITHMS: Final = ("EdDSA", "ES256", "ES512", "RS256", "PS256")

_RSA_MIN_BITS: Final = 2_048


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key as PyJWT takes it, and the only algorithms that it may be used with."""

    key: Any
    algorithms: frozenset[str]


def public_key(jwk: object, algorithm: str | None = None) -> PublicKey | None:
    """The key in a JSON Web Key; None if it is not a public key for verifying signatures.

    `algorithm` is the one that the store names for the key. It must not contradict the key's `alg`.
    """
    if not isinstance(jwk, dict) or "d" in jwk or jwk.get("use") not in (None, "sig"):
        return None
    declared = [name for name in (algorithm, jwk.get("alg")) if name is not None]
    algorithms = [name for name in _algorithms_of(jwk) if all(name == d for d in declared)]
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


def _algorithms_of(jwk: dict[str, Any]) -> tuple[str, ...]:
    """The algorithms that fit the type of a key."""
    match jwk:
        case {"kty": "OKP", "crv": "Ed25519"}:
            return ("EdDSA",)
        case {"kty": "EC", "crv": "P-256"}:
            return ("ES256",)
        case {"kty": "EC", "crv": "P-521"}:
            return ("ES512",)
        # With any `crv`: Better Auth may add the one of its default key.
        case {"kty": "RSA"}:
            return ("RS256", "PS256")
        case _:
            return ()
