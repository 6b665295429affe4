"""The deadline of a request."""

import asyncio
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.asgi.problems import unavailable
from adapters.asgi.request_record import has_response_started, log_context

REQUEST_SECONDS: Final = 10.0

_log = structlog.get_logger("taskport.http")


class Deadline:
    """Cancels a request after `REQUEST_SECONDS` and responds with 503."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        task, is_late = asyncio.current_task(), False
        assert task is not None

        def cancel() -> None:
            nonlocal is_late
            is_late = True
            task.cancel()

        # `asyncio.timeout` costs four times as much CPU.
        timer = asyncio.get_running_loop().call_later(REQUEST_SECONDS, cancel)
        try:
            await self.app(scope, receive, send)
            return
        except asyncio.CancelledError:
            # Something else may have canceled the task, even at the same time.
            if not is_late or task.uncancel():
                raise
        finally:
            timer.cancel()
        #: The deadline of a request has passed.
        _log.warning("request_given_up", seconds=REQUEST_SECONDS, **log_context(scope))
        if not has_response_started(scope):
            await unavailable(scope)(scope, receive, send)
