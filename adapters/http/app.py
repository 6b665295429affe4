"""The application: routes, errors and middleware, put together."""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from fastapi import FastAPI

from adapters.http.errors import add_error_handlers
from adapters.http.health import add_health_routes
from adapters.http.middleware import Cors, Head, Identify, LastResort, NoUpgrade, SecurityHeaders
from adapters.http.openapi import customise
from adapters.http.origins import TrustedOrigins
from adapters.http.routing import DirectRoute
from adapters.http.sessions import add_session_routes
from adapters.http.tasks import add_task_routes
from adapters.http.users import add_user_routes
from application.ports import SessionCookies, StorageHealth
from application.use_cases import UseCases


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """What of the settings concerns HTTP; they have the meaning that the settings give them.

    `root_path` is for the document alone: a request brings it along in its ASGI scope.
    """

    cors_origins: Collection[str] = ()
    better_auth_origin: str = ""
    root_path: str = ""
    hide_foreign_tasks: bool = False


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    use_cases: UseCases,
    storage: StorageHealth,
    cookies: SessionCookies,
    options: HttpOptions,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """The HTTP API over these use cases."""
    app = FastAPI(
        title="Taskport",
        version="0.1.0",
        redirect_slashes=False,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        lifespan=lifespan,
        # To ask at each request whether there is anybody to tell costs more than a middleware.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.router.route_class = DirectRoute
    origins = TrustedOrigins(frozenset({*options.cors_origins, options.better_auth_origin}))
    app.state.use_cases = use_cases
    app.state.origins = origins
    add_task_routes(app, use_cases)
    add_session_routes(app, use_cases, cookies, origins)
    add_user_routes(app, use_cases, cookies)
    add_health_routes(app, storage)
    add_error_handlers(app, hide_foreign_tasks=options.hide_foreign_tasks)
    customise(app, options.root_path, cookies.name)
    # The last to be added is the first that a request meets.
    app.add_middleware(LastResort)
    app.add_middleware(NoUpgrade)
    app.add_middleware(Head)
    app.add_middleware(Cors, origins=options.cors_origins)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Identify)
    return app
