"""The deadline of a request, and the response to a crash."""

import asyncio
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.asgi.problems import crashed, unavailable
from adapters.asgi.request_record import CLIENT_CLOSED_REQUEST, log_context, record_of

REQUEST_SECONDS: Final = 10.0
_log = structlog.get_logger("taskport.http")


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
