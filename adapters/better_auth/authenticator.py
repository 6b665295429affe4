"""Which of the credentials in a request decides, and which piece verifies it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import jwt

from adapters.better_auth.access_tokens import TYPE, AccessTokens
from adapters.better_auth.cookies import BetterAuthCookies
from adapters.better_auth.jwts import JwtPluginTokens
from adapters.better_auth.proof_cache import ProofCache
from adapters.better_auth.shared_secret import SharedSecretTokens
from adapters.better_auth.signatures import Signatures
from adapters.better_auth.tokens import bearer_token
from application.ports.clock import Clock
from application.ports.credentials import CredentialKind, Credentials, Proof, SessionProof
from domain.errors import Unauthenticated

_RAW_TOKEN: Final = re.compile(r"[A-Za-z0-9_~+/=-]{1,255}")
_DOTS_OF_A_JWT: Final = 2


@dataclass(frozen=True, slots=True)
class BetterAuthAuthenticator:
    """An `Authenticator`. `shared_secret` is None where such tokens are turned off."""

    signatures: Signatures
    cookies: BetterAuthCookies
    access_tokens: AccessTokens
    jwts: JwtPluginTokens
    shared_secret: SharedSecretTokens | None
    clock: Clock
    _seen: ProofCache[Proof] = field(default_factory=ProofCache, repr=False)

    async def __call__(self, credentials: Credentials) -> Sequence[Proof]:
        cookie = None if credentials.cookie is None else self._cookie(credentials.cookie)
        if credentials.authorization is not None:
            bearer = await self._bearer(bearer_token(credentials.authorization))
            return (bearer,) if cookie is None else (bearer, cookie)
        if cookie is None:
            raise Unauthenticated
        return (cookie,)

    def _cookie(self, header: str) -> SessionProof | None:
        """Raises `Unauthenticated` only for two cookies that contradict each other."""
        shown = self.cookies.read(header)
        if shown.token is None or not _RAW_TOKEN.fullmatch(shown.token):
            return None
        return SessionProof(
            CredentialKind.COOKIE, token=shown.token, is_temporary=shown.is_temporary
        )

    async def _bearer(self, token: str) -> Proof:
        dots = token.count(".")
        if dots == _DOTS_OF_A_JWT:
            return await self._jwt(token)
        raw = self.signatures.read(token) if dots == 1 else token
        if raw is None or not _RAW_TOKEN.fullmatch(raw):
            raise Unauthenticated
        return SessionProof(CredentialKind.SESSION_TOKEN, token=raw)

    async def _jwt(self, token: str) -> Proof:
        now = self.clock.now()
        proof = self._seen.get(token, now)
        if proof is not None:
            return proof
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthenticated from None
        until: float
        if header.get("alg") != "HS256":
            proof, until = await self.jwts.verify(token, now)
        elif str(header.get("typ")).lower() == TYPE:
            proof, until = self.access_tokens.verify(token, now)
        elif self.shared_secret is not None:
            proof, until = self.shared_secret.verify(token, now)
        else:
            raise Unauthenticated
        self._seen.put(token, proof, until)
        return proof
