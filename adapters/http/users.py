"""The user's own account over HTTP: the routes at `/api/users/me`."""

from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from adapters.asgi.responses import json_response, no_content
from adapters.http.authentication import browser_cookies
from adapters.http.dependencies import CurrentUser, Deps
from adapters.http.operations import Operations
from adapters.http.user_schemas import NewName
from adapters.http.user_schemas import User as UserSchema
from application.sign_in import SignInElsewhere
from domain.errors import Forbidden
from domain.users import AccountInUse, User

users: Final = Operations("users")


@users.get("/api/users/me", returns=UserSchema)
async def get_user(caller: CurrentUser) -> Response:
    """Get your account."""
    return json_response(user_body(caller.user))


@users.patch("/api/users/me", returns=UserSchema, raises=(SignInElsewhere,))
async def rename_user(caller: CurrentUser, deps: Deps, body: NewName) -> Response:
    """Change your name."""
    return json_response(user_body(await deps.use_cases.rename_user(caller.user.id, body.name)))


@users.delete(
    "/api/users/me",
    status=204,
    description="The account has been deleted.",
    raises=(AccountInUse, SignInElsewhere, Forbidden),
    sets_cookie=True,
)
async def delete_user(request: Request, caller: CurrentUser, deps: Deps) -> Response:
    """Delete your account, and everything in it."""
    await deps.use_cases.delete_user(caller.user.id)
    return no_content(deps.cookies.expire(browser_cookies(request)))


def user_body(user: User) -> dict[str, Any]:
    """The fields of a user that clients may see."""
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "email_verified": user.email_verified,
        "image": user.image,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }
