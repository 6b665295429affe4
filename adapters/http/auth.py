"""Signing up, in and out over HTTP: the routes under `/api/auth`."""

from collections.abc import Sequence
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from adapters.asgi.request_record import record_of
from adapters.asgi.responses import json_response, no_content
from adapters.http.authentication import browser_cookies
from adapters.http.csrf import CrossSiteRequest
from adapters.http.dependencies import CurrentUser, Dependencies, Deps
from adapters.http.operations import Operations
from adapters.http.session_schemas import EmailAndPassword, NewUser, Refreshed, ValidSession
from adapters.http.session_schemas import SignedIn as SignedInSchema
from adapters.http.sessions import session_body
from adapters.http.user_schemas import User
from adapters.http.users import user_body
from application.authentication import Identity
from application.ports.credentials import CredentialKind
from application.sign_in import (
    Device,
    EmailNotVerified,
    InvalidCredentials,
    SecondFactorRequired,
    SignedIn,
    SignInElsewhere,
    SignUpClosed,
)
from domain.errors import Forbidden, Unauthenticated
from domain.users import EmailTaken, UserBanned

_USER_AGENT_MAX_LENGTH: Final = 512

auth: Final = Operations("auth")


@auth.post(
    "/api/auth/signup",
    returns=SignedInSchema,
    status=201,
    raises=(EmailTaken, SignUpClosed, SignInElsewhere, CrossSiteRequest),
    sets_cookie=True,
)
async def sign_up(request: Request, deps: Deps, body: NewUser) -> Response:
    """Sign up with an e-mail address and a password."""
    async with deps.authenticator.sign_in(request, "sign_ups"):
        result = await deps.use_cases.sign_up(
            email=body.email, password=body.password, name=body.name, device=_device(request)
        )
    return await _signed_in_response(result, 201, request, deps)


@auth.post(
    "/api/auth/login",
    returns=SignedInSchema,
    raises=(
        InvalidCredentials,
        SignInElsewhere,
        EmailNotVerified,
        SecondFactorRequired,
        UserBanned,
        CrossSiteRequest,
    ),
    sets_cookie=True,
)
async def log_in(request: Request, deps: Deps, body: EmailAndPassword) -> Response:
    """Sign in with an e-mail address and a password."""
    async with deps.authenticator.sign_in(request, "log_ins"):
        result = await deps.use_cases.log_in(
            email=body.email, password=body.password, device=_device(request)
        )
    return await _signed_in_response(result, 200, request, deps)


@auth.post(
    "/api/auth/logout",
    status=204,
    description="The session has ended, and with it its access tokens.",
    raises=(UserBanned, CrossSiteRequest),
    sets_cookie=True,
    # A request without a credential succeeds as well.
    openapi_extra={"security": [{"bearer": []}, {"cookie": []}, {}]},
)
async def log_out(request: Request, deps: Deps) -> Response:
    """Sign out."""
    browser = browser_cookies(request)
    try:
        caller = await deps.authenticator.identify(request)
    except (Unauthenticated, EmailTaken):
        # Another page could otherwise use up the limit, and keep its visitors from signing out.
        deps.authenticator.limiter.exempt(request.scope)
        caller = None
        # Not for a page of another site: its form comes without the cookie, which is SameSite=Lax,
        # and would sign the user out all the same.
        if deps.authenticator.origins.is_cross_site(request.headers):
            return no_content()
    # Also sessions of cookies that authenticate nobody: two that contradict each other, or one from
    # before a setting was changed.
    others = await deps.use_cases.find_sessions(deps.cookies.signed_tokens(browser), caller)
    if caller is None and others:
        deps.authenticator.origins.require_trusted_origin(request.headers)
    await deps.use_cases.log_out(caller, others)
    return no_content(deps.cookies.expire(browser))


@auth.post(
    "/api/auth/refresh", returns=Refreshed, raises=(SignInElsewhere, Forbidden), sets_cookie=True
)
async def refresh(request: Request, caller: CurrentUser, deps: Deps) -> Response:
    """Get a new access token, and keep the session alive."""
    result = await deps.use_cases.refresh_session(caller)
    cookies: Sequence[str] = ()
    if result.session is not None and _may_receive_cookie(caller):
        if caller.credential is CredentialKind.COOKIE or caller.cookie_session == caller.session:
            cookies = deps.cookies.issue(result.session, is_temporary=caller.is_temporary)
        else:
            cookies = deps.cookies.replace(result.session, browser_cookies(request))
    return json_response(_token_body(result), cookies=cookies)


@auth.get("/api/auth/me", returns=User, sets_cookie=True)
async def me(caller: CurrentUser, deps: Deps) -> Response:
    """The user who sent the request."""
    return json_response(user_body(caller.user), cookies=await _prolong(caller, deps))


@auth.get("/api/auth/session/validate", returns=ValidSession, sets_cookie=True)
async def validate_session(caller: CurrentUser, deps: Deps) -> Response:
    """The user who sent the request, and the credential."""
    cookies = await _prolong(caller, deps)
    body = {
        "user": user_body(caller.user),
        "session": None if caller.session is None else session_body(caller.session, caller),
        "credential": caller.credential,
    }
    return json_response(body, cookies=cookies)


async def _prolong(caller: Identity, deps: Dependencies) -> Sequence[str]:
    """Prolong the session if it is due; the cookie to send again, if a cookie proved it."""
    is_prolonged = await deps.use_cases.prolong_session(caller)
    if not is_prolonged or caller.session is None or caller.credential is not CredentialKind.COOKIE:
        return ()
    return deps.cookies.issue(caller.session)


def _may_receive_cookie(caller: Identity) -> bool:
    """Whether the request carries a credential that is worth as much as the cookie.

    An access token is not: Better Auth's server accepts the cookie, but no access token.
    """
    if caller.credential is CredentialKind.SESSION_TOKEN:
        # A bearer does not tell whether the browser should drop the cookie when it ends.
        return caller.session is not None and not caller.session.is_temporary
    return caller.credential is CredentialKind.COOKIE or (
        caller.cookie_session is not None and caller.cookie_session == caller.session
    )


async def _signed_in_response(
    result: SignedIn, status: int, request: Request, deps: Dependencies
) -> Response:
    record_of(request.scope).user_id = result.user.id
    session = result.session
    cookies: Sequence[str] = ()
    if session is not None:
        browser = browser_cookies(request)
        tokens = deps.cookies.signed_tokens(browser)
        if len(tokens) > 1:
            # These sessions contradict each other, and after this response the browser cannot end
            # them any more. A single one stays valid, as at Better Auth.
            await deps.use_cases.log_out(None, await deps.use_cases.find_sessions(tokens))
        cookies = deps.cookies.replace(session, browser)
    body = {**_token_body(result), "session_token": None if session is None else session.token}
    return json_response(body, status, cookies=cookies)


def _token_body(result: SignedIn) -> dict[str, Any]:
    token = result.access_token
    return {
        "user": user_body(result.user),
        "session": None if result.session is None else session_body(result.session),
        "access_token": None if token is None else token.token,
        "token_type": "Bearer",
        "expires_in": None if token is None else int(token.lifetime.total_seconds()),
    }


def _device(request: Request) -> Device:
    agent = request.headers.get("user-agent")
    return Device(
        ip_address=record_of(request.scope).address,
        user_agent=None if agent is None else agent[:_USER_AGENT_MAX_LENGTH],
    )
