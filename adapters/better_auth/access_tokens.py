"""Our own access tokens, which name a session by its id and are valid only while it lives."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import jwt

from adapters.better_auth.claims import claim_mismatch
from adapters.better_auth.tokens import (
    LEEWAY_SECONDS,
    SECRET_ALGORITHM,
    lifetime_too_long,
    verified_by_secret,
)
from application.ports.credentials import CredentialKind, SessionProof
from application.ports.tokens import AccessToken
from domain.errors import Unauthenticated
from domain.refusals import Reason
from domain.sessions import Session

#: RFC 9068, 2.1.
ACCESS_TOKEN_TYPE: Final = "at+jwt"  # noqa: S105
_ISSUER: Final = "taskport"


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Signs and verifies this service's access tokens. An `AccessTokenSigner`."""

    #: The first one signs; all of them verify.
    secrets: tuple[str, ...] = field(repr=False)
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
        token = jwt.encode(
            claims, self.secrets[0], algorithm=SECRET_ALGORITHM, headers={"typ": ACCESS_TOKEN_TYPE}
        )
        return AccessToken(token, self.lifetime)

    def verify(self, token: str, now: datetime) -> tuple[SessionProof, float]:
        """The proof, and the time until which it is valid (seconds since the epoch).

        Raises `Unauthenticated`.
        """
        claims = verified_by_secret(
            token, secrets=self.secrets, types=(ACCESS_TOKEN_TYPE,), now=now
        )
        for name in ("sid", "iat"):
            if name not in claims:
                raise Unauthenticated(Reason.JWT_CLAIM_MISSING, expected=name)
        session_id = claims["sid"]
        if not isinstance(session_id, str) or not session_id.isprintable():
            raise Unauthenticated(Reason.JWT_CLAIM_INVALID, expected="sid as printable text")
        if claims.get("iss") != _ISSUER:
            raise claim_mismatch("iss", _ISSUER, claims.get("iss"))
        if claims.get("aud") != _ISSUER:
            raise claim_mismatch("aud", _ISSUER, claims.get("aud"))
        if claims["exp"] > claims["iat"] + self.lifetime.total_seconds():
            raise lifetime_too_long(claims["exp"] - claims["iat"], self.lifetime)
        proof = SessionProof(
            CredentialKind.ACCESS_TOKEN, session_id=session_id, user_id=claims["sub"]
        )
        return proof, claims["exp"] + LEEWAY_SECONDS
