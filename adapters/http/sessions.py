"""Signing up, in and out over HTTP, and the sessions in between."""

from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from adapters.asgi.request_record import record_of
from adapters.asgi.responses import json_response, no_content
from adapters.http import schemas
from adapters.http.authentication import CurrentUser, current_user
from adapters.http.csrf import CrossSiteRequest, TrustedOrigins
from adapters.http.limits import count_sign_in, record_rejections
from adapters.http.openapi import BODY_ERRORS, SETS_COOKIE, documented
from adapters.http.users import user_body
from application.authentication import Identity
from application.limits import RequestLimit
from application.ports.credentials import CredentialKind
from application.ports.tokens import SessionCookies
from application.sessions import (
    Device,
    EmailNotVerified,
    InvalidCredentials,
    SecondFactorRequired,
    SignedIn,
    SignUpClosed,
)
from application.use_cases import UseCases
from domain.errors import Forbidden, Invalid, Unauthenticated
from domain.sessions import Session, SessionNotFound
from domain.users import EmailTaken, UserBanned

_USER_AGENT_MAX_LENGTH: Final = 512


def add_session_routes(
    app: FastAPI,
    use_cases: UseCases,
    cookies: SessionCookies,
    origins: TrustedOrigins,
    limit: RequestLimit,
) -> None:
    """`/api/auth` and `/api/users/me/sessions`."""

    @app.post(
        "/api/auth/signup",
        operation_id="signUp",
        summary="Sign up with an e-mail address and a password",
        status_code=201,
        response_model=schemas.SignedIn,
        responses={
            201: SETS_COOKIE,
            **documented(
                Invalid,
                EmailTaken,
                SignUpClosed,
                CrossSiteRequest,
                *BODY_ERRORS,
                protected=False,
            ),
        },
        tags=["auth"],
    )
    async def sign_up(request: Request, body: schemas.NewUser) -> Response:
        origins.require_trusted_origin_of_browsers(request.headers)
        await count_sign_in(limit, request.scope)
        with record_rejections("sign_ups", request.scope):
            result = await use_cases.sign_up(
                email=body.email, password=body.password, name=body.name, device=_device(request)
            )
        record_of(request.scope).user_id = result.user.id
        return json_response(_signed_in(result), 201, cookies=_new(cookies, result, request))

    @app.post(
        "/api/auth/login",
        operation_id="logIn",
        summary="Sign in with an e-mail address and a password",
        response_model=schemas.SignedIn,
        responses={
            200: SETS_COOKIE,
            **documented(
                Invalid,
                InvalidCredentials,
                EmailNotVerified,
                SecondFactorRequired,
                UserBanned,
                CrossSiteRequest,
                *BODY_ERRORS,
                protected=False,
            ),
        },
        tags=["auth"],
    )
    async def log_in(request: Request, body: schemas.EmailAndPassword) -> Response:
        origins.require_trusted_origin_of_browsers(request.headers)
        await count_sign_in(limit, request.scope)
        with record_rejections("log_ins", request.scope):
            result = await use_cases.log_in(
                email=body.email, password=body.password, device=_device(request)
            )
        record_of(request.scope).user_id = result.user.id
        return json_response(_signed_in(result), cookies=_new(cookies, result, request))

    @app.post(
        "/api/auth/logout",
        operation_id="logOut",
        summary="Sign out",
        status_code=204,
        response_description="The session is over, and so are the tokens that hang on it.",
        responses={
            204: SETS_COOKIE,
            **documented(Invalid, UserBanned, CrossSiteRequest, protected=False),
        },
        # Whoever sends no credential is signed out as well: of nothing.
        openapi_extra={"security": [{"bearer": []}, {"cookie": []}, {}]},
        tags=["auth"],
    )
    async def log_out(request: Request) -> Response:
        try:
            caller = await current_user(request)
        except (Unauthenticated, EmailTaken):
            # Nobody who could be signed out; whatever the browser holds is of no use. A page of
            # others may not say so: its form comes without the cookie, which is SameSite=Lax, and
            # would still make the browser forget it.
            return no_content(() if origins.is_cross_site(request.headers) else cookies.expire())
        await use_cases.log_out(caller)
        return no_content(cookies.expire())

    @app.post(
        "/api/auth/refresh",
        operation_id="refresh",
        summary="Get a new access token, and keep the session alive",
        response_model=schemas.Refreshed,
        responses={200: SETS_COOKIE, **documented(Invalid, Forbidden, CrossSiteRequest)},
        tags=["auth"],
    )
    async def refresh(caller: CurrentUser) -> Response:
        result = await use_cases.refresh_session(caller)
        again: Sequence[str] = ()
        if result.session is not None and _may_have_the_cookie(caller):
            again = cookies.issue(result.session, is_temporary=caller.is_temporary)
        return json_response(_refreshed(result), cookies=again)

    @app.get(
        "/api/auth/me",
        operation_id="me",
        summary="Who is asking",
        response_model=schemas.User,
        responses={200: SETS_COOKIE, **documented(Invalid)},
        tags=["auth"],
    )
    async def me(caller: CurrentUser) -> Response:
        return json_response(user_body(caller.user), cookies=await prolonged(caller))

    @app.get(
        "/api/auth/session/validate",
        operation_id="validateSession",
        summary="Who is asking, and what proves it",
        response_model=schemas.ValidSession,
        responses={200: SETS_COOKIE, **documented(Invalid)},
        tags=["auth"],
    )
    async def validate(caller: CurrentUser) -> Response:
        kept = await prolonged(caller)
        body = {
            "user": user_body(caller.user),
            "session": None if caller.session is None else _session(caller.session, caller),
            "credential": caller.credential,
        }
        return json_response(body, cookies=kept)

    @app.get(
        "/api/users/me/sessions",
        operation_id="listSessions",
        summary="List your sessions that are alive, the newest first",
        response_model=schemas.Sessions,
        responses=documented(Invalid),
        tags=["users"],
    )
    async def list_sessions(caller: CurrentUser) -> Response:
        found = await use_cases.list_sessions(caller.user.id)
        return json_response({"data": [_session(s, caller) for s in found], "count": len(found)})

    @app.delete(
        "/api/users/me/sessions/{session_id}",
        operation_id="endSession",
        summary="End one of your sessions",
        status_code=204,
        response_description="The session is over, and so are the tokens that hang on it.",
        responses={204: SETS_COOKIE, **documented(Invalid, SessionNotFound, CrossSiteRequest)},
        tags=["users"],
    )
    async def end_session(caller: CurrentUser, session_id: schemas.SessionId) -> Response:
        await use_cases.end_session(caller.user.id, session_id)
        is_own = session_id in _ids(caller)
        return no_content(cookies.expire() if is_own else ())

    async def prolonged(caller: Identity) -> Sequence[str]:
        """Keep the session alive; the cookie again, where one proved it and it lives longer."""
        kept = await use_cases.prolong_session(caller)
        if not kept or caller.session is None or caller.credential is not CredentialKind.COOKIE:
            return ()
        return cookies.issue(caller.session)


def _may_have_the_cookie(caller: Identity) -> bool:
    """Whether the request has shown what the cookie would give. An access token must not buy it,
    for Better Auth's server believes the one and not the other."""
    if caller.credential is CredentialKind.SESSION_TOKEN:
        # Of one that is not to be remembered, a bearer does not say so.
        return caller.session is not None and not caller.session.is_temporary
    return caller.credential is CredentialKind.COOKIE or (
        caller.cookie_session is not None and caller.cookie_session == caller.session
    )


def _new(cookies: SessionCookies, result: SignedIn, request: Request) -> Sequence[str]:
    if result.session is None:
        return ()
    return cookies.issue(result.session, shown=request.headers.get("cookie"))


def _signed_in(result: SignedIn) -> dict[str, Any]:
    return {
        **_refreshed(result),
        "session_token": None if result.session is None else result.session.token,
    }


def _refreshed(result: SignedIn) -> dict[str, Any]:
    token = result.access_token
    return {
        "user": user_body(result.user),
        "session": None if result.session is None else _body(result.session, is_current=True),
        "access_token": None if token is None else token.token,
        "token_type": "Bearer",
        "expires_in": None if token is None else int(token.lifetime.total_seconds()),
    }


def _session(session: Session, caller: Identity) -> dict[str, Any]:
    return _body(session, is_current=session.id in _ids(caller))


def _ids(caller: Identity) -> list[str]:
    """The sessions that the request itself stands for."""
    return [
        session.id for session in (caller.session, caller.cookie_session) if session is not None
    ]


def _body(session: Session, *, is_current: bool) -> dict[str, Any]:
    """What of a session is told: never its token."""
    return {
        "id": session.id,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "expires_at": session.expires_at,
        "ip_address": session.ip_address,
        "user_agent": session.user_agent,
        "current": is_current,
    }


def _device(request: Request) -> Device:
    agent = request.headers.get("user-agent")
    return Device(
        ip_address=record_of(request.scope).address,
        user_agent=None if agent is None else agent[:_USER_AGENT_MAX_LENGTH],
    )
