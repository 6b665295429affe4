"""HS256 tokens that the front end's own server signs with the secret that it shares with us.

The same secret signs other things of Better Auth's: mail-verification tokens (no `sub`), the
cookie cache (`session` and `user` inside), and our own access tokens (`typ: at+jwt`). None of
them is a credential of this kind.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from adapters.better_auth.tokens import LEEWAY_SECONDS, issued_at, names, verified_claims
from application.ports import Claims, Clock, CredentialKind, Proof
from domain.errors import Unauthenticated
from domain.text import Refused
from domain.users import clean_email

_ALGORITHM = "HS256"
_TYPES = ("jwt", None)
_OTHER_USES = frozenset({"session", "updateTo", "requestType", "sid"})
_REMEMBERED = 4_096


@dataclass(frozen=True, slots=True)
class SharedSecretTokens:
    """Verifies and signs tokens of credential 5.

    `origin` is that of the Better Auth server; `lifetime` the longest that a token may live.
    What was verified is remembered until it expires: checking a signature costs more than all
    that follows.
    """

    secret: str = field(repr=False)
    origin: str
    lifetime: timedelta
    clock: Clock
    _seen: dict[str, tuple[float, Proof]] = field(default_factory=dict, repr=False)

    def verify(self, token: str) -> Proof:
        """Raises `Unauthenticated`."""
        now = self.clock.now()
        seen = self._seen.get(token)
        if seen is not None:
            expires_at, proof = seen
            if expires_at + LEEWAY_SECONDS <= now.timestamp():
                raise Unauthenticated
            return proof
        expires_at, proof = self._verify(token, now)
        if len(self._seen) >= _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[token] = expires_at, proof
        return proof

    def __call__(self, *, user_id: str, email: str, now: datetime) -> str:
        claims = {"sub": user_id, "email": email, "iat": now, "exp": now + self.lifetime}
        return jwt.encode(claims, self.secret, algorithm=_ALGORITHM)

    def _verify(self, token: str, now: datetime) -> tuple[float, Proof]:
        claims = verified_claims(
            token, key=self.secret, algorithm=_ALGORITHM, types=_TYPES, now=now
        )
        if not _OTHER_USES.isdisjoint(claims):
            raise Unauthenticated
        for name in ("iss", "aud"):
            if name in claims and not names(self.origin, claims[name]):
                raise Unauthenticated
        born = claims.get("iat", now.timestamp() + LEEWAY_SECONDS)
        if claims["exp"] > born + self.lifetime.total_seconds():
            raise Unauthenticated
        proof = Proof(
            kind=CredentialKind.SHARED_SECRET,
            user_id=claims["sub"],
            issued_at=issued_at(claims),
            claims=_profile(claims),
        )
        return claims["exp"], proof


def _profile(claims: dict[str, Any]) -> Claims | None:
    email, name, image = claims.get("email"), claims.get("name"), claims.get("image")
    try:
        email = clean_email(email) if isinstance(email, str) else None
    except Refused:
        email = None
    if email is None:
        return None
    return Claims(
        email=email,
        name=_storable(name) if isinstance(name, str) else "",
        image=_storable(image) if isinstance(image, str) else None,
        email_verified=None,
        updated_at=_time(claims.get("updatedAt")),
    )


def _storable(text: str) -> str:
    """The text as Better Auth would store it: unpaired surrogates replaced, no NUL."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "")


def _time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        return time.astimezone(UTC) if time is not None and time.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
