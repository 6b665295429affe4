"""Tokens of Better Auth's `jwt` plugin, signed with asymmetric keys.

The keys also sign tokens for other purposes, which are rejected here: Better Auth's cookie cache
(another `typ` and audience), and tokens that its OAuth plugins issue to third parties (other
audiences).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from adapters.better_auth.claims import audience_matches, claim_mismatch, claims_of, issued_at
from adapters.better_auth.jwks import RemoteKeys
from adapters.better_auth.keys import ALGORITHMS, PublicKey, stored_key
from adapters.better_auth.tokens import (
    LEEWAY_SECONDS,
    lifetime_too_long,
    unverified,
    verified_claims,
)
from application.ports.credentials import CredentialKind, UserProof
from application.ports.keys import KeyStore, StoredKey
from domain.errors import Unauthenticated
from domain.refusals import Reason, shown

_TYPES: Final = ("jwt", None)
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: Claims that name the third party to which a token was issued (RFC 9068, 2.2).
_THIRD_PARTY_CLAIMS: Final = frozenset({"azp", "client_id"})
#: How long an expired key still verifies tokens: Better Auth's default.
_KEY_GRACE_PERIOD: Final = timedelta(days=30)
#: How long a proof may be cached, and so outlive the removal of its key.
_MAX_CACHE_SECONDS: Final = 60


def is_accepted(stored: StoredKey) -> bool:
    """Whether JWTs that name this key of the shared table can be verified."""
    return _KEY_ID.fullmatch(stored.id) is not None and stored_key(stored) is not None


@dataclass(frozen=True, slots=True)
class JwtPluginTokens:
    """Verifies JWTs of Better Auth's `jwt` plugin.

    A key is looked up in the shared table first, and only then fetched from the server. Tokens with
    a fetched key may introduce users: if the table is not shared, neither are the users.
    """

    #: The origin of the Better Auth server: issuer and audience of its tokens.
    origin: str
    keys: KeyStore
    remote: RemoteKeys
    #: The longest lifetime that is accepted. None: any.
    max_lifetime: timedelta | None = None

    async def verify(self, token: str, now: datetime) -> tuple[UserProof, float]:
        """The proof, and the time until which it may be cached (seconds since the epoch).

        Raises `Unauthenticated`, `Unavailable`.
        """
        # Reject as much as possible without a key, so that junk causes no look-up.
        header, unverified_claims = unverified(token, types=_TYPES, now=now)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise _algorithm_not_allowed(ALGORITHMS, algorithm)
        self._check_issuer_and_audience(unverified_claims)
        self._check_lifetime(unverified_claims)
        if not isinstance(kid, str) or not _KEY_ID.fullmatch(kid):
            raise Unauthenticated(Reason.KID_INVALID, seen=f"kid {shown(kid)}")
        key, is_stored = await self._find_key(kid, now)
        if algorithm not in key.algorithms:
            raise _algorithm_not_allowed(sorted(key.algorithms), algorithm)
        claims = verified_claims(token, key=key.key, algorithm=algorithm, types=_TYPES, now=now)
        self._check_issuer_and_audience(claims)
        self._check_lifetime(claims)
        proof = UserProof(
            kind=CredentialKind.JWT,
            user_id=claims["sub"],
            issued_at=issued_at(claims),
            claims=None if is_stored else claims_of(claims, now),
        )
        return proof, min(claims["exp"] + LEEWAY_SECONDS, now.timestamp() + _MAX_CACHE_SECONDS)

    def _check_issuer_and_audience(self, claims: dict[str, Any]) -> None:
        if found := _THIRD_PARTY_CLAIMS.intersection(claims):
            raise Unauthenticated(Reason.JWT_FOR_ANOTHER_PURPOSE, seen=", ".join(sorted(found)))
        if claims.get("iss") != self.origin:
            raise claim_mismatch("iss", self.origin, claims.get("iss"))
        if not audience_matches(self.origin, claims.get("aud")):
            raise claim_mismatch("aud", self.origin, claims.get("aud"))

    def _check_lifetime(self, claims: dict[str, Any]) -> None:
        if self.max_lifetime is None:
            return
        if "iat" not in claims:
            raise Unauthenticated(Reason.JWT_CLAIM_MISSING, expected="iat")
        if claims["exp"] > claims["iat"] + self.max_lifetime.total_seconds():
            raise lifetime_too_long(claims["exp"] - claims["iat"], self.max_lifetime)

    async def find_stored(self, kid: str, now: datetime) -> StoredKey | None:
        """The key in the shared table, unless it may no longer verify tokens."""
        stored = await self.keys.find(kid)
        if stored is None or stored.expires_at is None:
            return stored
        return stored if stored.expires_at > now - _KEY_GRACE_PERIOD else None

    async def _find_key(self, kid: str, now: datetime) -> tuple[PublicKey, bool]:
        """The key, and whether it is stored in the shared table."""
        stored = await self.find_stored(kid, now)
        if stored is not None:
            key = stored_key(stored)
            if key is None:
                raise Unauthenticated(Reason.KEY_UNUSABLE, seen=f"kid {kid}")
            return key, True
        key = await self.remote.find(kid)
        if key is None:
            raise Unauthenticated(
                Reason.UNKNOWN_KID,
                expected="a key of the jwks table"
                + (f" or of {shown(self.remote.url)}" if self.remote.url else ""),
                seen=f"kid {kid}",
            )
        return key, False


def _algorithm_not_allowed(expected: Iterable[str], seen: object) -> Unauthenticated:
    return Unauthenticated(
        Reason.ALGORITHM_NOT_ALLOWED,
        expected=f"alg {', '.join(expected)}",
        seen=f"alg {shown(seen)}",
    )
