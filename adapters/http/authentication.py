"""Who is asking: the one dependency of every protected route."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from adapters.asgi.request_record import record_of
from adapters.http.csrf import SAFE_METHODS, TrustedOrigins
from adapters.http.limits import check_limit
from application.authentication import Authenticate, Identity
from application.limits import RequestLimit
from application.ports.credentials import CredentialKind, Credentials
from domain.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Gate:
    """What a request passes before its route learns who asks."""

    authenticate: Authenticate
    limit: RequestLimit
    origins: TrustedOrigins


async def current_user(request: Request) -> Identity:
    """Raises `Unauthenticated`, `UnknownUser`, `UserBanned`, `EmailTaken`, `Unavailable`,
    `TooManyRequests`; and `CrossSiteRequest` for a change that a cookie alone proves."""
    headers, gate = request.headers, request.app.state.gate
    authorization, cookie = headers.get("authorization"), headers.get("cookie")
    if authorization is not None and len(headers.getlist("authorization")) > 1:
        # Somebody on the way might read the other one.
        raise Unauthenticated
    if cookie is not None:
        cookie = "; ".join(headers.getlist("cookie"))
    identity: Identity = await gate.authenticate(Credentials(authorization, cookie))
    record = record_of(request.scope)
    record.user_id = identity.user.id
    check_limit(request.scope, await gate.limit.count_user(identity.user.id))
    if identity.credential is CredentialKind.COOKIE and request.method not in SAFE_METHODS:
        gate.origins.require_trusted_origin(headers)
    return identity


CurrentUser = Annotated[Identity, Depends(current_user)]
