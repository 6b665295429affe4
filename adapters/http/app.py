"""The FastAPI application: routes, exception handlers and middleware, joined."""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from fastapi import FastAPI

from adapters.asgi.access_log import AccessLog
from adapters.asgi.allowed_hosts import AllowedHosts
from adapters.asgi.client_address import ForwardedFor
from adapters.asgi.common_headers import CommonHeaders
from adapters.asgi.cors import Cors
from adapters.asgi.crash_handler import CrashHandler
from adapters.asgi.deadline import Deadline
from adapters.asgi.head import Head
from adapters.asgi.upgrade import NoUpgrade
from adapters.http.auth import auth
from adapters.http.authentication import RequestAuthenticator
from adapters.http.csrf import TrustedOrigins
from adapters.http.dependencies import Dependencies
from adapters.http.docs import docs
from adapters.http.error_handlers import add_error_handlers
from adapters.http.health import health
from adapters.http.openapi import customize
from adapters.http.rate_limit import AnonymousRateLimit, RateLimiter
from adapters.http.routing import DirectRoute
from adapters.http.sessions import sessions
from adapters.http.tasks import tasks
from adapters.http.users import users
from application.limits import RequestLimit
from application.ports.health import StorageHealth
from application.ports.tokens import SessionCookies
from application.sign_in import DEFAULT_PASSWORD_POLICY, PasswordPolicy
from application.use_cases import UseCases


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """The settings that concern HTTP, with the meaning that they have in the environment."""

    cors_origins: Collection[str] = ()
    better_auth_origin: str = ""
    #: For OpenAPI alone: a request carries the prefix in its ASGI scope.
    root_path: str = ""
    hide_foreign_tasks: bool = False
    allowed_hosts: Collection[str] = ()
    trusted_proxies: int = 0
    #: For OpenAPI alone.
    passwords: PasswordPolicy = DEFAULT_PASSWORD_POLICY


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
    """The HTTP API over these use cases. While `is_draining`, readiness fails."""
    app = FastAPI(
        title="Taskport",
        version="0.1.0",
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # Looking for a telemetry provider at each request costs more than a middleware.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.router.route_class = DirectRoute
    origins = TrustedOrigins.of(options.cors_origins, options.better_auth_origin)
    limiter = RateLimiter(request_limit)
    authenticator = RequestAuthenticator(use_cases.authenticate, limiter, origins)
    app.state.dependencies = Dependencies(use_cases, cookies, authenticator, storage, is_draining)
    for operations in (tasks, auth, sessions, users, health, docs):
        operations.add_to(app)
    add_error_handlers(app, hide_foreign_tasks=options.hide_foreign_tasks)
    customize(app, options.root_path, cookies.name, options.passwords)
    # Starlette calls the middleware that was added last first.
    app.add_middleware(AnonymousRateLimit, limiter=limiter)
    app.add_middleware(Head)
    app.add_middleware(NoUpgrade)
    if options.allowed_hosts:
        app.add_middleware(AllowedHosts, hosts=options.allowed_hosts)
    app.add_middleware(Deadline)
    app.add_middleware(CrashHandler)
    app.add_middleware(Cors, origins=options.cors_origins)
    app.add_middleware(
        CommonHeaders,
        is_https=options.better_auth_origin.startswith("https:"),
        limits=request_limit.limits,
    )
    app.add_middleware(AccessLog, addresses=ForwardedFor(options.trusted_proxies))
    return app
