"""Our own access tokens: short for a session, by its id, and worth nothing without it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import jwt

from adapters.better_auth.tokens import LEEWAY_SECONDS, verified_claims
from application.ports.credentials import CredentialKind, SessionProof
from application.ports.tokens import AccessToken
from domain.errors import Unauthenticated
from domain.sessions import Session

TYPE: Final = "at+jwt"
"""RFC 9068, 2.1."""

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "taskport"


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Signs and verifies tokens of credential 4. An `AccessTokenSigner`."""

    secret: str = field(repr=False)
    lifetime: timedelta

    def __call__(self, session: Session, now: datetime) -> AccessToken:
        claims = {
            "iss": _ISSUER,
            "aud": _ISSUER,
            "sub": session.user_id,
            "sid": session.id,
            "iat": now,
            "exp": now + self.lifetime,
        }
        token = jwt.encode(claims, self.secret, algorithm=_ALGORITHM, headers={"typ": TYPE})
        return AccessToken(token, self.lifetime)

    def verify(self, token: str, now: datetime) -> tuple[SessionProof, float]:
        """What it proves, and until when (seconds since the epoch). Raises `Unauthenticated`."""
        claims = verified_claims(
            token, key=self.secret, algorithm=_ALGORITHM, types=(TYPE,), now=now
        )
        session_id, born = claims.get("sid"), claims.get("iat")
        if (
            not (claims.get("iss") == claims.get("aud") == _ISSUER)
            or not isinstance(session_id, str)
            or not session_id.isprintable()
            or born is None
            or claims["exp"] > born + self.lifetime.total_seconds()
        ):
            raise Unauthenticated
        proof = SessionProof(
            CredentialKind.ACCESS_TOKEN, session_id=session_id, user_id=claims["sub"]
        )
        return proof, claims["exp"] + LEEWAY_SECONDS
