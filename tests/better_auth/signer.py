"""Signs tokens as Better Auth's `jwt` plugin does, and as an attacker who forges them would."""

import base64
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

_MAKERS: dict[str, Callable[[], Any]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RS256": lambda: rsa.generate_private_key(65_537, 2_048),
    "PS256": lambda: rsa.generate_private_key(65_537, 2_048),
}
ALGORITHMS = tuple(_MAKERS)


class Signer:
    """A key pair with a `kid`."""

    def __init__(self, kid: str, algorithm: str = "EdDSA", private: Any = None) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private = private or _MAKERS[algorithm]()
        self.public = self.private.public_key()

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """The public key as `/jwks` publishes it; members that are None are left out."""
        bare = get_default_algorithms()[self.algorithm].to_jwk(self.public, as_dict=True)
        jwk = {"alg": self.algorithm, **bare, "kid": self.kid, "key_ops": None, **changes}
        return {name: value for name, value in jwk.items() if value is not None}

    def row(self) -> str:
        """The public key as a row of the `jwks` table stores it: without `alg` and `kid`."""
        return json.dumps(self.jwk(alg=None, kid=None))

    def token(self, claims: dict[str, Any], **changes: Any) -> str:
        """A token with changes to its header; members that are None are left out."""
        header = {"alg": self.algorithm, "kid": self.kid, **changes}
        header = {name: value for name, value in header.items() if value is not None}
        algorithm = get_default_algorithms()[self.algorithm]
        return signed(header, claims, lambda text: algorithm.sign(text, self.private))


@cache
def signer(kid: str, algorithm: str = "EdDSA") -> Signer:
    """A signer that is cached for the whole test run: RSA keys are slow to generate."""
    return Signer(kid, algorithm)


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def signed(header: Any, claims: Any, sign: Callable[[bytes], bytes]) -> str:
    """A JWT with any header and claims, valid or not: `jwt.encode` would reject some."""
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{encoded(sign(text.encode()))}"


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims
