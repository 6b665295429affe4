"""Who is asking: the one dependency of every protected route."""

from typing import Annotated

from fastapi import Depends, Request

from application.ports import Credentials
from domain.errors import Unauthenticated
from domain.users import User


async def current_user(request: Request) -> User:
    """Raises `Unauthenticated`, `UnknownUser`, `EmailTaken`, `Unavailable`."""
    headers = request.headers
    if len(headers.getlist("authorization")) > 1:
        # Somebody on the way might read the other one.
        raise Unauthenticated
    user: User = await request.app.state.use_cases.authenticate(
        Credentials(authorization=headers.get("authorization"), cookie=headers.get("cookie"))
    )
    return user


CurrentUser = Annotated[User, Depends(current_user)]
