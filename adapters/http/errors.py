"""The one table from what goes wrong to the status that a client gets."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from adapters.asgi.errors import MalformedRequest, MethodNotAllowed, WireError
from adapters.asgi.problems import (
    invalid,
    located,
    problem,
    too_many,
    unavailable,
)
from adapters.asgi.request_record import log_context
from adapters.http.limits import count_anonymous
from application.limits import RequestLimit
from application.sessions import InvalidCredentials
from domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Stale,
    TaskportError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from domain.tasks import TaskNotFound, TaskNotYours

STATUSES: Final[Mapping[type[TaskportError], int]] = {
    Invalid: 422,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Stale: 412,
    TooManyRequests: 429,
    Unavailable: 503,
}

_WORDS: Final = {
    "Value error, ": "",
    "Field required": "is required",
    "Extra inputs are not permitted": "is not known here",
    "a valid dictionary or object to extract fields from": "an object",
    "Input should be": "must be",
    "String should": "must",
    "Unable to parse input string as an integer, exceeded maximum size": "is too large",
}

_Handler = Callable[[Request, Exception], Awaitable[Response]]
_log = structlog.get_logger("taskport.http")


def status_of(error: TaskportError | type[TaskportError]) -> int:
    """The status of the category that an error belongs to."""
    kind = error if isinstance(error, type) else type(error)
    return next(status for category, status in STATUSES.items() if issubclass(kind, category))


def add_error_handlers(app: FastAPI, limit: RequestLimit, *, hide_foreign_tasks: bool) -> None:
    """Let every error leave through the table above, and count it where nobody's request has not
    been counted yet."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, TaskportError)
        if isinstance(error, TaskNotYours):
            _log.warning(
                "task_refused",
                task_id=error.task_id,
                owner_id=error.owner_id,
                **log_context(request.scope),
            )
            if hide_foreign_tasks:
                error = TaskNotFound()
        if isinstance(error, Invalid):
            place = "body" if request.method in ("POST", "PUT", "PATCH") else "query"
            return invalid(
                request.scope, [located(place, [p.field], p.error) for p in error.problems]
            )
        if isinstance(error, Unavailable):
            return unavailable(request.scope, error.retry_after)
        if isinstance(error, TooManyRequests):
            return too_many(request.scope, error.retry_after)
        if isinstance(error, InvalidCredentials):
            _log.warning("sign_in_failed", account=error.user_id, **log_context(request.scope))
        headers = {"WWW-Authenticate": _challenge(request)} if status_of(error) == 401 else None
        return problem(request.scope, status_of(error), error.code, error.message, headers=headers)

    async def misshapen(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid(
            request.scope,
            [
                located(entry["loc"][0], entry["loc"][1:], _in_our_words(entry["msg"]))
                for entry in error.errors()
            ],
        )

    async def not_served(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return problem(request.scope, 404, NotFound.code, NotFound.message)
        if error.status_code == 405:
            error = MethodNotAllowed({"Allow": ", ".join(_methods(app, request.scope))})
        elif not isinstance(error, WireError):
            error = MalformedRequest()
        return problem(
            request.scope, error.status, error.code, error.message, headers=error.headers
        )

    def counting(handle: _Handler) -> _Handler:
        async def count(request: Request, error: Exception) -> Response:
            if not isinstance(error, Unavailable):
                try:
                    await count_anonymous(limit, request.scope)
                except TooManyRequests as limited:
                    return await refused(request, limited)
            return await handle(request, error)

        return count

    app.add_exception_handler(TaskportError, counting(refused))
    app.add_exception_handler(RequestValidationError, counting(misshapen))
    app.add_exception_handler(HTTPException, counting(not_served))


def _in_our_words(message: str) -> str:
    """Pydantic's message as the second half of a sentence that begins with the field."""
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return message


def _challenge(request: Request) -> str:
    """RFC 6750, 3: the error is named only to who tried."""
    return 'Bearer error="invalid_token"' if "authorization" in request.headers else "Bearer"


def _methods(app: FastAPI, scope: Scope) -> list[str]:
    """Every method that this address knows, not only those of its first route."""
    methods: set[str] = set()
    for route in app.routes:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods)
