"""Users' own accounts over HTTP."""

from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from adapters.asgi.responses import json_response, no_content
from adapters.http import schemas
from adapters.http.authentication import CurrentUser
from adapters.http.csrf import CrossSiteRequest
from adapters.http.openapi import BODY_ERRORS, SETS_COOKIE, documented
from application.ports.tokens import SessionCookies
from application.use_cases import UseCases
from domain.errors import Invalid
from domain.users import User


def add_user_routes(app: FastAPI, use_cases: UseCases, cookies: SessionCookies) -> None:
    """`/api/users/me`."""

    @app.get(
        "/api/users/me",
        operation_id="getUser",
        summary="Get your account",
        response_model=schemas.User,
        responses=documented(Invalid),
        tags=["users"],
    )
    async def get_user(caller: CurrentUser) -> Response:
        return json_response(user_body(caller.user))

    @app.patch(
        "/api/users/me",
        operation_id="renameUser",
        summary="Change your name",
        response_model=schemas.User,
        responses=documented(Invalid, CrossSiteRequest, *BODY_ERRORS),
        tags=["users"],
    )
    async def rename_user(caller: CurrentUser, body: schemas.NewName) -> Response:
        return json_response(user_body(await use_cases.rename_user(caller.user.id, body.name)))

    @app.delete(
        "/api/users/me",
        operation_id="deleteUser",
        summary="Delete your account, and everything in it",
        status_code=204,
        response_description="The account is gone, for good.",
        responses={204: SETS_COOKIE, **documented(Invalid, CrossSiteRequest)},
        tags=["users"],
    )
    async def delete_user(caller: CurrentUser) -> Response:
        await use_cases.delete_user(caller.user.id)
        return no_content(cookies.expire())


def user_body(user: User) -> dict[str, Any]:
    """What of a user is told."""
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "email_verified": user.email_verified,
        "image": user.image,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }
