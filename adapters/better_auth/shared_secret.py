"""HS256 tokens that the front end's own server signs with the secret that it shares with us.

The same secret signs other things of Better Auth's: mail-verification tokens (no `sub`), the
cookie cache (`session` and `user` inside), and our own access tokens (`typ: at+jwt`). None of
them is a credential of this kind.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import jwt

from adapters.better_auth.claims import claim_matches, claims_of, issued_at
from adapters.better_auth.tokens import LEEWAY_SECONDS, verified_claims
from application.ports.credentials import CredentialKind, UserProof
from domain.errors import Unauthenticated

_ALGORITHM = "HS256"
_TYPES = ("jwt", None)
_OTHER_USES = frozenset({"session", "updateTo", "requestType", "sid"})


@dataclass(frozen=True, slots=True)
class SharedSecretTokens:
    """Verifies and signs tokens of credential 5.

    `origin` is that of the Better Auth server; `lifetime` the longest that a token may live.
    """

    secret: str = field(repr=False)
    origin: str
    lifetime: timedelta

    def verify(self, token: str, now: datetime) -> tuple[UserProof, float]:
        """What it proves, and until when (seconds since the epoch). Raises `Unauthenticated`."""
        claims = verified_claims(
            token, key=self.secret, algorithm=_ALGORITHM, types=_TYPES, now=now
        )
        if not _OTHER_USES.isdisjoint(claims):
            raise Unauthenticated
        for name in ("iss", "aud"):
            if name in claims and not claim_matches(self.origin, claims[name]):
                raise Unauthenticated
        born = claims.get("iat", now.timestamp() + LEEWAY_SECONDS)
        if claims["exp"] > born + self.lifetime.total_seconds():
            raise Unauthenticated
        said = claims_of(claims, now)
        proof = UserProof(
            kind=CredentialKind.SHARED_SECRET,
            user_id=claims["sub"],
            issued_at=issued_at(claims),
            # Whoever shares the secret vouches for the user, but never for their mailbox.
            claims=said and replace(said, email_verified=None),
        )
        return proof, claims["exp"] + LEEWAY_SECONDS

    def __call__(self, *, user_id: str, email: str, now: datetime) -> str:
        claims = {"sub": user_id, "email": email, "iat": now, "exp": now + self.lifetime}
        return jwt.encode(claims, self.secret, algorithm=_ALGORITHM)
