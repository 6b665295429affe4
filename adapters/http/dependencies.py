"""The dependencies of routes, which `create_app` joins once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from adapters.http.authentication import RequestAuthenticator
from application.authentication import Identity
from application.ports.health import StorageHealth
from application.ports.tokens import SessionCookies
from application.use_cases import UseCases


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Everything that the routes need."""

    use_cases: UseCases
    cookies: SessionCookies
    authenticator: RequestAuthenticator
    storage: StorageHealth
    #: Whether the service is about to stop, and not ready for requests any more.
    is_draining: Callable[[], bool]


async def dependencies(request: Request) -> Dependencies:
    found: Dependencies = request.app.state.dependencies
    return found


async def current_user(request: Request) -> Identity:
    """The user who sent the request; for what it raises, see `RequestAuthenticator.identify`."""
    found: Dependencies = request.app.state.dependencies
    return await found.authenticator.identify(request)


Deps = Annotated[Dependencies, Depends(dependencies)]
CurrentUser = Annotated[Identity, Depends(current_user)]
