"""The headers that every response has."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.asgi.rate_limit_headers import RateLimitHeaders
from adapters.asgi.request_record import record_of
from application.limits import Limits

_SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# One year, the minimum for the preload lists of browsers.
_HTTPS_ONLY: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class CommonHeaders:
    """Adds the security headers, the request id and the rate limit to every response.

    `is_https` adds `Strict-Transport-Security`.
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

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = [*message["headers"], *self._headers]
                headers.append((b"x-request-id", record.request_id))
                headers.append((b"content-security-policy", record.content_policy))
                if not record.has_origin:
                    # With an `Origin`, CORS would have added headers.
                    headers.append((b"vary", b"Origin"))
                if record.limit_status is not None and record.limit_status.counts:
                    headers += self._limit_headers(record.limit_status)
                message["headers"] = headers
            await send(message)

        await self.app(scope, receive, send_with_headers)
