"""The response to an exception that nothing else handles."""

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.asgi.problems import internal_error
from adapters.asgi.request_record import has_response_started, log_context

_log = structlog.get_logger("taskport.http")


class CrashHandler:
    """Logs the exception and responds with 500.

    Starlette's own handler is outside of all middleware: its responses would lack their headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception:
            #: An unexpected exception.
            _log.exception("request_crashed", **log_context(scope))
            if not has_response_started(scope):
                await internal_error(scope)(scope, receive, send)
