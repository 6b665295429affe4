"""HS256 tokens that the front end's own server signs with the shared secret.

The secret also signs tokens for other purposes, which are rejected here: Better Auth's e-mail
verification tokens (no `sub`), its cookie cache (claims `session` and `user`), and our own access
tokens (`typ: at+jwt`).
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import jwt

from adapters.better_auth.claims import audience_matches, claim_mismatch, claims_of, issued_at
from adapters.better_auth.tokens import (
    LEEWAY_SECONDS,
    SECRET_ALGORITHM,
    lifetime_too_long,
    verified_by_secret,
)
from application.ports.credentials import CredentialKind, UserProof
from domain.errors import Unauthenticated
from domain.refusals import Reason

_TYPES: Final = ("jwt", None)
#: Claims of tokens for other purposes.
_FOREIGN_CLAIMS: Final = frozenset({"session", "updateTo", "requestType", "sid"})


@dataclass(frozen=True, slots=True)
class SharedSecretTokens:
    """Verifies and signs tokens of the shared secret. A `TokenSigner`."""

    #: The first one signs; all of them verify.
    secrets: tuple[str, ...] = field(repr=False)
    #: The origin of the Better Auth server.
    origin: str
    #: The longest lifetime that is accepted.
    lifetime: timedelta

    def verify(self, token: str, now: datetime) -> tuple[UserProof, float]:
        """The proof, and the time until which it is valid (seconds since the epoch).

        Raises `Unauthenticated`.
        """
        claims = verified_by_secret(token, secrets=self.secrets, types=_TYPES, now=now)
        if foreign := _FOREIGN_CLAIMS.intersection(claims):
            raise Unauthenticated(Reason.JWT_FOR_ANOTHER_PURPOSE, seen=", ".join(sorted(foreign)))
        if "iss" in claims and claims["iss"] != self.origin:
            raise claim_mismatch("iss", self.origin, claims["iss"])
        if "aud" in claims and not audience_matches(self.origin, claims["aud"]):
            raise claim_mismatch("aud", self.origin, claims["aud"])
        begin = claims.get("iat", now.timestamp() + LEEWAY_SECONDS)
        if claims["exp"] > begin + self.lifetime.total_seconds():
            raise lifetime_too_long(claims["exp"] - begin, self.lifetime)
        profile = claims_of(claims, now)
        proof = UserProof(
            kind=CredentialKind.SHARED_SECRET,
            user_id=claims["sub"],
            issued_at=issued_at(claims),
            # A holder of the secret is trusted to name the user, but not to verify addresses.
            claims=profile and replace(profile, email_verified=None),
        )
        return proof, claims["exp"] + LEEWAY_SECONDS

    def __call__(self, *, user_id: str, email: str, now: datetime) -> str:
        claims = {"sub": user_id, "email": email, "iat": now, "exp": now + self.lifetime}
        return jwt.encode(claims, self.secrets[0], algorithm=SECRET_ALGORITHM)
