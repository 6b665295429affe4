"""Who is asking: the one dependency of every protected route."""

from typing import Annotated

from fastapi import Depends, Request

from application.ports import Credentials
from domain.users import User


async def current_user(request: Request) -> User:
    """Raises `Unauthenticated`, `UnknownUser`, `EmailTaken`, `Unavailable`."""
    headers = request.headers
    user: User = await request.app.state.use_cases.authenticate(
        Credentials(authorization=headers.get("authorization"), cookie=headers.get("cookie"))
    )
    return user


CurrentUser = Annotated[User, Depends(current_user)]
