"""Pure ASGI middleware, one job each. `create_app` stacks it, outermost first."""

import asyncio
from collections.abc import Collection
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.asgi.problems import crashed, malformed, problem, unavailable
from adapters.asgi.request_record import CLIENT_CLOSED_REQUEST, log_context, record_of
from adapters.http.limits import RateLimitHeaders
from application.limits import Limits
from domain.errors import Forbidden

REQUEST_SECONDS: Final = 10.0
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
_SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# A year, the least that browsers' own lists ask for.
_HTTPS_ONLY: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

_log = structlog.get_logger("taskport.http")


class CommonHeaders:
    """Puts on every answer the headers that all answers have.

    They show the id of the request and what is left of its limits, and hold a browser back; with
    `is_https`, it is to come by HTTPS alone from then on. A page with a policy of its own keeps it.
    """

    def __init__(self, app: ASGIApp, *, is_https: bool, limits: Limits) -> None:
        self.app = app
        self._limit_headers = RateLimitHeaders(limits)
        self._headers = (*_SECURITY_HEADERS, *((_HTTPS_ONLY,) if is_https else ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = record_of(scope)

        async def send_complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = [*message["headers"], *self._headers]
                headers.append((b"x-request-id", record.request_id))
                headers.append((b"content-security-policy", record.content_policy))
                if not record.has_origin:
                    # To a page the answer would have been another.
                    headers.append((b"vary", b"Origin"))
                if record.limit_status is not None and record.limit_status.counted:
                    headers += self._limit_headers(record.limit_status)
                message["headers"] = headers
            await send(message)

        await self.app(scope, receive, send_complete)


class Cors(CORSMiddleware):
    """Starlette's, with this service's lists, and a refusal in the shape of every other error."""

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
            # Starlette's way to the same end costs as much as all the rest of the middleware.
            await self.app(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if "origin" in headers and "access-control-request-method" in headers:
                answer = self.preflight_response(headers)
                if answer.status_code >= 400:
                    answer = problem(scope, 403, Forbidden.code, Forbidden.message)
                    answer.headers["Vary"] = self.preflight_headers["Vary"]
                await answer(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


class NoUpgrade:
    """Refuses a body behind the wish to speak another protocol.

    The parser takes such a request to be over with its headers (RFC 9110, 7.8): what follows
    would be lost, or be taken for another request. Without a body the wish is ignored.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for name, _ in scope["headers"]:
                if name == b"upgrade" and _has_body(scope):
                    await malformed(scope)(scope, receive, send)
                    return
        await self.app(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


class Head:
    """Answers HEAD wherever GET is: the same, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, send_without_body)


class RequestGuard:
    """Answers when the application crashes (500) or takes too long (503), and logs the crash.

    Starlette's own last resort lies outside of all middleware: its answers would lack every
    header that is added here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        task, is_late = asyncio.current_task(), False
        assert task is not None

        def give_up() -> None:
            nonlocal is_late
            is_late = True
            task.cancel()

        # `asyncio.timeout` would do the same for four times as much of the CPU.
        timer = asyncio.get_running_loop().call_later(REQUEST_SECONDS, give_up)
        answer: Response
        try:
            await self.app(scope, receive, send)
            return
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            if not is_late or task.uncancel():
                raise
            _log.warning("request_given_up", seconds=REQUEST_SECONDS, **log_context(scope))
            answer = unavailable(scope)
        except Exception:
            _log.exception("request_crashed", **log_context(scope))
            answer = crashed(scope)
        finally:
            timer.cancel()
        if record_of(scope).status == CLIENT_CLOSED_REQUEST:
            # Nothing has been said yet.
            await answer(scope, receive, send)
