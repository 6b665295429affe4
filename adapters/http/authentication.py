"""Authentication: from the headers of a request to the user who sent it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import Headers

from adapters.asgi.request_record import record_of
from adapters.http.csrf import SAFE_METHODS, TrustedOrigins
from adapters.http.rate_limit import RateLimiter, record_decision
from application.authentication import Authenticate, Identity
from application.ports.credentials import CredentialKind, Credentials
from application.ports.tokens import BrowserCookies
from domain.errors import Unauthenticated
from domain.refusals import Reason


@dataclass(frozen=True, slots=True)
class RequestAuthenticator:
    """Authentication with its checks: rate limit, and CSRF if a cookie proves a change."""

    authenticate: Authenticate
    limiter: RateLimiter
    origins: TrustedOrigins

    async def identify(self, request: Request) -> Identity:
        """Authenticate the request, count it, and check its origin if a cookie proves a change.

        Raises `Unauthenticated`, `UnknownUser`, `UserBanned`, `EmailTaken`, `Unavailable`,
        `TooManyRequests`, `CrossSiteRequest`.
        """
        headers = request.headers
        identity = await self.authenticate(credentials_of(headers))
        record_of(request.scope).user_id = identity.user.id
        await self.limiter.count_user(request.scope, identity.user.id)
        if identity.credential is CredentialKind.COOKIE and request.method not in SAFE_METHODS:
            self.origins.require_trusted_origin(headers)
        return identity

    @asynccontextmanager
    async def sign_in(self, request: Request, limit: str) -> AsyncIterator[None]:
        """Around a sign-in or sign-up: check its origin, and count it.

        `limit` names the limit of the use case within, for log and metrics.
        Raises `CrossSiteRequest`, `TooManyRequests`.
        """
        self.origins.require_trusted_origin_of_browsers(request.headers)
        await self.limiter.count_sign_in(request.scope)
        with record_decision(limit, request.scope):
            yield


def credentials_of(headers: Headers) -> Credentials:
    """Raises `Unauthenticated` for several `Authorization` headers."""
    authorization, cookie = headers.get("authorization"), headers.get("cookie")
    if authorization is not None and len(headers.getlist("authorization")) > 1:
        # A proxy might have checked the other one.
        raise Unauthenticated(Reason.TWO_AUTHORIZATION_HEADERS)
    if cookie is not None:
        cookie = _joined_cookies(headers)
    return Credentials(authorization, cookie)


def browser_cookies(request: Request) -> BrowserCookies:
    """The cookies that the browser has, as far as the request shows them.

    `X-Forwarded-Host` is not read: a client could choose the domains of cookies by it.
    """
    headers = request.headers
    return BrowserCookies(_joined_cookies(headers), headers.get("host", ""))


def _joined_cookies(headers: Headers) -> str:
    return "; ".join(headers.getlist("cookie"))
