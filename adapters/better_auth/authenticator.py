"""Chooses the credential of a request that decides, and the verifier for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import jwt
from cachetools import LRUCache

from adapters.better_auth.access_tokens import ACCESS_TOKEN_TYPE, AccessTokens
from adapters.better_auth.cookie_errors import cookie_error
from adapters.better_auth.cookies import BetterAuthCookies
from adapters.better_auth.jwts import JwtPluginTokens
from adapters.better_auth.shared_secret import SharedSecretTokens
from adapters.better_auth.signatures import Signatures
from adapters.better_auth.tokens import RAW_TOKEN, bearer_token, scheme_error
from application.ports.clock import Clock
from application.ports.credentials import CredentialKind, Credentials, Proof, SessionProof
from domain.errors import Unauthenticated
from domain.refusals import Reason

DOTS_OF_A_JWT: Final = 2
_MAX_CACHED_PROOFS: Final = 4_096


def _proof_cache() -> LRUCache[str, tuple[Proof, float]]:
    return LRUCache(_MAX_CACHED_PROOFS)


@dataclass(frozen=True, slots=True)
class BetterAuthAuthenticator:
    """`Authenticator` for Better Auth's credentials."""

    signatures: Signatures
    cookies: BetterAuthCookies
    access_tokens: AccessTokens
    jwts: JwtPluginTokens
    #: None if tokens of the shared secret are turned off.
    shared_secret: SharedSecretTokens | None
    #: Whether a session token counts as a bearer only with its signature: the option
    #: `requireSignature` of Better Auth's `bearer` plugin.
    require_signature: bool
    clock: Clock
    #: By token: its proof, and the time until which that is valid (seconds since the epoch).
    #: Verifying a signature costs more than the rest of a request.
    _proofs: LRUCache[str, tuple[Proof, float]] = field(default_factory=_proof_cache, repr=False)

    async def __call__(self, credentials: Credentials) -> Sequence[Proof]:
        cookie = None if credentials.cookie is None else self._cookie(credentials.cookie)
        authorization = credentials.authorization
        token = None if authorization is None else bearer_token(authorization)
        if token is not None:
            bearer = await self._bearer(token)
            return (bearer,) if cookie is None else (bearer, cookie)
        if cookie is None:
            raise self._error_of(credentials)
        return (cookie,)

    def _cookie(self, header: str) -> SessionProof | None:
        """Raises `Unauthenticated` only for two session cookies that contradict each other."""
        cookies = self.cookies.read(header)
        if cookies.token is None or not RAW_TOKEN.fullmatch(cookies.token):
            return None
        return SessionProof(
            CredentialKind.COOKIE, token=cookies.token, is_temporary=cookies.is_temporary
        )

    def _error_of(self, credentials: Credentials) -> Unauthenticated:
        """The error for headers that have no bearer, and no valid session cookie."""
        error = cookie_error(self.cookies, credentials.cookie)
        if error.refusal.reason is Reason.COOKIE_MISSING and credentials.authorization is not None:
            return scheme_error(credentials.authorization)
        return error

    async def _bearer(self, token: str) -> Proof:
        dots = token.count(".")
        if dots == DOTS_OF_A_JWT:
            return await self._jwt(token)
        raw = self.signatures.read(token) if dots == 1 or self.require_signature else token
        if raw is None:
            raise self.signatures.error_of(token)
        if not RAW_TOKEN.fullmatch(raw):
            raise Unauthenticated(Reason.TOKEN_MALFORMED)
        return SessionProof(CredentialKind.SESSION_TOKEN, token=raw)

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
