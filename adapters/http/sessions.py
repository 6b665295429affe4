"""The user's sessions over HTTP: the routes under `/api/users/me/sessions`."""

from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from adapters.asgi.responses import json_response, no_content
from adapters.http.authentication import browser_cookies
from adapters.http.dependencies import CurrentUser, Deps
from adapters.http.operations import Operations
from adapters.http.session_schemas import SessionId, Sessions
from application.authentication import Identity
from domain.errors import Forbidden
from domain.sessions import Session, SessionNotFound

sessions: Final = Operations("users")


@sessions.get("/api/users/me/sessions", returns=Sessions, raises=(Forbidden,))
async def list_sessions(caller: CurrentUser, deps: Deps) -> Response:
    """List your active sessions, the newest first."""
    found = await deps.use_cases.list_sessions(caller)
    return json_response({"data": [session_body(s, caller) for s in found], "count": len(found)})


@sessions.delete(
    "/api/users/me/sessions/{session_id}",
    status=204,
    description="The session has ended, and with it its access tokens.",
    raises=(SessionNotFound, Forbidden),
    sets_cookie=True,
)
async def end_session(
    request: Request, caller: CurrentUser, deps: Deps, session_id: SessionId
) -> Response:
    """End one of your sessions."""
    await deps.use_cases.end_session(caller, session_id)
    is_current = session_id in _current_ids(caller)
    return no_content(deps.cookies.expire(browser_cookies(request)) if is_current else ())


def session_body(session: Session, caller: Identity | None = None) -> dict[str, Any]:
    """The fields of a session that clients may see: never its token.

    Without a `caller`, the session is the current one.
    """
    return {
        "id": session.id,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "expires_at": session.expires_at,
        "ip_address": session.ip_address,
        "user_agent": session.user_agent,
        "current": caller is None or session.id in _current_ids(caller),
    }


def _current_ids(caller: Identity) -> list[str]:
    """The ids of the sessions whose credentials the request carries."""
    current = (caller.session, caller.cookie_session)
    return [session.id for session in current if session is not None]
