"""Chooses the credential of a request that decides, and the verifier for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import jwt
from cachetools import LRUCache

from adapters.better_auth.access_tokens import ACCESS_TOKEN_TYPE, AccessTokens
from adapters.better_auth.jwts import JwtPluginTokens
from adapters.better_auth.session_credentials import SessionCredentials
from adapters.better_auth.shared_secret import SharedSecretTokens
from adapters.better_auth.tokens import bearer_token, scheme_error
from application.ports.clock import Clock
from application.ports.credentials import CredentialKind, Credentials, Proof
from domain.errors import Unauthenticated
from domain.refusals import Reason

DOTS_OF_A_JWT: Final = 2
_MAX_CACHED_PROOFS: Final = 4_096


def _proof_cache() -> LRUCache[str, tuple[Proof, float]]:
    return LRUCache(_MAX_CACHED_PROOFS)


@dataclass(frozen=True, slots=True)
class BetterAuthAuthenticator:
    """`Authenticator` for Better Auth's credentials."""

    sessions: SessionCredentials
    access_tokens: AccessTokens
    jwts: JwtPluginTokens
    #: None if tokens of the shared secret are turned off.
    shared_secret: SharedSecretTokens | None
    clock: Clock
    #: By token: its proof, and the time until which that is valid (seconds since the epoch).
    #: Verifying a signature costs more than the rest of a request.
    _proofs: LRUCache[str, tuple[Proof, float]] = field(default_factory=_proof_cache, repr=False)

    async def __call__(self, credentials: Credentials) -> Sequence[Proof]:
        header = credentials.cookie
        cookie = None if header is None else self.sessions.of_cookie(header)
        authorization = credentials.authorization
        token = None if authorization is None else bearer_token(authorization)
        if token is not None:
            bearer = await self._bearer(token)
            return (bearer,) if cookie is None else (bearer, cookie)
        if cookie is None:
            raise self._error_of(credentials)
        return (cookie,)

    def _error_of(self, credentials: Credentials) -> Unauthenticated:
        """The error for headers that have no bearer, and no valid session cookie."""
        error = self.sessions.error_of_cookie(credentials.cookie)
        if error.refusal.reason is Reason.COOKIE_MISSING and credentials.authorization is not None:
            return scheme_error(credentials.authorization)
        return error

    async def _bearer(self, token: str) -> Proof:
        if token.count(".") == DOTS_OF_A_JWT:
            return await self._jwt(token)
        return self.sessions.of_bearer(token)

    async def _jwt(self, token: str) -> Proof:
        now = self.clock.now()
        try:
            proof, until = self._proofs[token]
        except KeyError:
            pass
        else:
            if now.timestamp() < until:
                return proof
        kind = kind_of_jwt(token)
        if kind is CredentialKind.JWT:
            proof, until = await self.jwts.verify(token, now)
        elif kind is CredentialKind.ACCESS_TOKEN:
            proof, until = self.access_tokens.verify(token, now)
        elif self.shared_secret is not None:
            proof, until = self.shared_secret.verify(token, now)
        else:
            raise Unauthenticated(Reason.SHARED_SECRET_OFF)
        self._proofs[token] = proof, until
        return proof


def kind_of_jwt(token: str) -> CredentialKind:
    """The kind of a JWT, by its header. Raises `Unauthenticated` if that is unreadable."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Unauthenticated(Reason.JWT_MALFORMED) from None
    if header.get("alg") != "HS256":
        return CredentialKind.JWT
    is_ours = str(header.get("typ")).lower() == ACCESS_TOKEN_TYPE
    return CredentialKind.ACCESS_TOKEN if is_ours else CredentialKind.SHARED_SECRET
