"""Cross-origin resource sharing (CORS)."""

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.asgi.problems import problem
from adapters.asgi.refusals import record_refusal
from adapters.asgi.request_record import record_of
from domain.errors import Forbidden
from domain.refusals import Reason, Refusal, shown

PREFLIGHT_SECONDS: Final = 600
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "If-Match",
    "If-None-Match",
    "Idempotency-Key",
    "X-Request-ID",
)
EXPOSED_HEADERS: Final = (
    "ETag",
    "Location",
    "Link",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "X-Request-ID",
)


class Cors(CORSMiddleware):
    """Starlette's CORS with the lists of this service, and problem details for a rejection."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            allow_credentials=True,
            expose_headers=EXPOSED_HEADERS,
            max_age=PREFLIGHT_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not record_of(scope).has_origin:
            # Starlette's own check costs as much CPU as all other middleware together.
            await self.app(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if "origin" in headers and "access-control-request-method" in headers:
                response = self.preflight_response(headers)
                if response.status_code >= 400:
                    record_refusal(scope, Forbidden.code, self._refusal(headers))
                    response = problem(scope, 403, Forbidden.code, Forbidden.message)
                    response.headers["Vary"] = self.preflight_headers["Vary"]
                await response(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    def _refusal(self, preflight: Headers) -> Refusal:
        origin = preflight["origin"]
        if not self.is_allowed_origin(origin):
            expected = ", ".join(sorted(self.allow_origins))
            return Refusal(Reason.ORIGIN_NOT_ALLOWED, expected, shown(origin))
        method = preflight["access-control-request-method"]
        names = preflight.get("access-control-request-headers", "").replace(" ", "").split(",")
        return Refusal(
            Reason.PREFLIGHT_NOT_ALLOWED,
            f"one of {', '.join(METHODS)}, and of {', '.join(REQUEST_HEADERS)}",
            f"{shown(method)}, and {shown(names)}",
        )
