"""The application: routes, errors and middleware, put together."""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from fastapi import FastAPI

from adapters.asgi.access_log import AccessLog
from adapters.asgi.allowed_hosts import AllowedHosts
from adapters.asgi.client_address import ForwardedFor
from adapters.asgi.common_headers import CommonHeaders
from adapters.asgi.cors import Cors
from adapters.asgi.head import Head
from adapters.asgi.request_guard import RequestGuard
from adapters.asgi.upgrade import NoUpgrade
from adapters.http.authentication import Gate
from adapters.http.csrf import TrustedOrigins
from adapters.http.docs import add_docs_routes
from adapters.http.errors import add_error_handlers
from adapters.http.health import add_health_routes
from adapters.http.openapi import customise
from adapters.http.routing import DirectRoute
from adapters.http.sessions import add_session_routes
from adapters.http.tasks import add_task_routes
from adapters.http.users import add_user_routes
from application.limits import RequestLimit
from application.ports.health import StorageHealth
from application.ports.tokens import SessionCookies
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
    allowed_hosts: Collection[str] = ()
    trusted_proxies: int = 0


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    use_cases: UseCases,
    storage: StorageHealth,
    cookies: SessionCookies,
    request_limit: RequestLimit,
    options: HttpOptions,
    lifespan: Lifespan | None = None,
    is_draining: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """The HTTP API over these use cases. While `is_draining`, it says that it is not ready."""
    app = FastAPI(
        title="Taskport",
        version="0.1.0",
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # To ask at each request whether there is anybody to tell costs more than a middleware.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.router.route_class = DirectRoute
    origins = TrustedOrigins(frozenset({*options.cors_origins, options.better_auth_origin}))
    app.state.use_cases = use_cases
    app.state.gate = Gate(use_cases.authenticate, request_limit, origins)
    add_task_routes(app, use_cases)
    add_session_routes(app, use_cases, cookies, origins, request_limit)
    add_user_routes(app, use_cases, cookies)
    add_health_routes(app, storage, is_draining)
    add_docs_routes(app, request_limit)
    add_error_handlers(app, request_limit, hide_foreign_tasks=options.hide_foreign_tasks)
    customise(app, options.root_path, cookies.name)
    # The last to be added is the first that a request meets.
    app.add_middleware(Head)
    app.add_middleware(NoUpgrade)
    if options.allowed_hosts:
        app.add_middleware(AllowedHosts, hosts=options.allowed_hosts)
    app.add_middleware(RequestGuard)
    app.add_middleware(Cors, origins=options.cors_origins)
    app.add_middleware(
        CommonHeaders,
        is_https=options.better_auth_origin.startswith("https:"),
        limits=request_limit.limits,
    )
    app.add_middleware(AccessLog, addresses=ForwardedFor(options.trusted_proxies))
    return app
