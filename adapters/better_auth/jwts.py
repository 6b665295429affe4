"""Tokens of Better Auth's `jwt` plugin, signed with a key of which we only see the public half.

The same keys sign other things of Better Auth's: its cookie cache (a `typ` and an audience of
their own), and what its OAuth plugins give to third parties (other audiences).
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adapters.better_auth.claims import claim_matches, claims_of, issued_at
from adapters.better_auth.jwks import RemoteKeys
from adapters.better_auth.keys import ALGORITHMS, PublicKey, stored_key
from adapters.better_auth.tokens import LEEWAY_SECONDS, unverified, verified_claims
from application.ports.credentials import CredentialKind, UserProof
from application.ports.keys import KeyStore
from domain.errors import Unauthenticated

_TYPES = ("jwt", None)
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_OF_A_CLIENT = frozenset({"azp", "client_id"})
"""What names the third party that a token was issued to (RFC 9068, 2.2)."""

_KEY_GRACE_PERIOD = timedelta(days=30)
"""Better Auth's default: so long a key that signs no more still verifies."""

_MAX_CACHE_SECONDS = 60
"""So long at most what was verified outlives its key."""


@dataclass(frozen=True, slots=True)
class JwtPluginTokens:
    """Verifies tokens of credential 3.

    `origin` is that of the Better Auth server, which issues the tokens and is their audience.
    A key of our own table decides; only where there is none is the server asked for its keys.
    Then the tokens may introduce their users: whose table is ours, has its users there as well.
    """

    origin: str
    keys: KeyStore
    remote: RemoteKeys

    async def verify(self, token: str, now: datetime) -> tuple[UserProof, float]:
        """What it proves, and until when that may be believed (seconds since the epoch).

        Raises `Unauthenticated`, `Unavailable`.
        """
        # All that can be refused without a key: junk causes no look-up.
        header, said = unverified(token, types=_TYPES, now=now)
        self._check_names(said)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not isinstance(kid, str) or not _KEY_ID.fullmatch(kid):
            raise Unauthenticated
        key, is_ours = await self._key(kid, now)
        if algorithm not in key.algorithms:
            raise Unauthenticated
        claims = verified_claims(token, key=key.key, algorithm=algorithm, types=_TYPES, now=now)
        self._check_names(claims)
        proof = UserProof(
            kind=CredentialKind.JWT,
            user_id=claims["sub"],
            issued_at=issued_at(claims),
            claims=None if is_ours else claims_of(claims, now),
        )
        return proof, min(claims["exp"] + LEEWAY_SECONDS, now.timestamp() + _MAX_CACHE_SECONDS)

    def _check_names(self, claims: dict[str, Any]) -> None:
        if not _OF_A_CLIENT.isdisjoint(claims):
            raise Unauthenticated
        if claims.get("iss") != self.origin or not claim_matches(self.origin, claims.get("aud")):
            raise Unauthenticated

    async def _key(self, kid: str, now: datetime) -> tuple[PublicKey, bool]:
        """The key, and whether it is of our own table."""
        stored = await self.keys.find(kid)
        if stored is not None and (
            stored.expires_at is None or stored.expires_at > now - _KEY_GRACE_PERIOD
        ):
            key, is_ours = stored_key(stored), True
        else:
            key, is_ours = await self.remote.find(kid), False
        if key is None:
            raise Unauthenticated
        return key, is_ours
