"""Exception handlers: turn every error into problem details, by the error table."""

from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from adapters.asgi.errors import MalformedRequest, MethodNotAllowed, WireError
from adapters.asgi.problems import invalid, invalid_value, problem, too_many_requests, unavailable
from adapters.asgi.refusals import record_refusal
from adapters.asgi.request_record import log_context
from adapters.http.errors import status_of
from application.sign_in import InvalidCredentials
from domain.errors import Invalid, NotFound, Refused, TaskportError, TooManyRequests, Unavailable
from domain.tasks import TaskNotFound, TaskNotYours

# Pydantic's messages, as the second half of a sentence that begins with the field.
_PYDANTIC_MESSAGES: Final = {
    "Value error, ": "",
    "Field required": "is required",
    "Extra inputs are not permitted": "is not known here",
    "a valid dictionary or object to extract fields from": "an object",
    "Input should be": "must be",
    "String should": "must",
    "Unable to parse input string as an integer, exceeded maximum size": "is too large",
}

_log = structlog.get_logger("taskport.http")


def add_error_handlers(app: FastAPI, *, hide_foreign_tasks: bool) -> None:
    """Handle domain errors, validation errors and the errors of Starlette's router."""

    async def handle_domain_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, TaskportError)
        _log_security_event(request.scope, error)
        refusal = error.refusal if isinstance(error, Refused) else None
        if hide_foreign_tasks and isinstance(error, TaskNotYours):
            error = TaskNotFound()
        if refusal is not None:
            record_refusal(request.scope, error.code, refusal)
        return _domain_problem(request, error)

    async def handle_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return problem(request.scope, 404, NotFound.code, NotFound.message)
        if error.status_code == 405:
            error = MethodNotAllowed({"Allow": ", ".join(_allowed_methods(app, request.scope))})
        elif not isinstance(error, WireError):
            error = MalformedRequest()
        if error.refusal is not None:
            record_refusal(request.scope, error.code, error.refusal)
        return problem(
            request.scope, error.status, error.code, error.message, headers=error.headers
        )

    app.add_exception_handler(TaskportError, handle_domain_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, handle_http_error)


async def _handle_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid(
        request.scope,
        [
            invalid_value(entry["loc"][0], entry["loc"][1:], _reword(entry["msg"]))
            for entry in error.errors()
        ],
    )


def _log_security_event(scope: Scope, error: TaskportError) -> None:
    if isinstance(error, TaskNotYours):
        #: A user requested a task of another user.
        _log.warning(
            "task_refused", task_id=error.task_id, owner_id=error.owner_id, **log_context(scope)
        )
    elif isinstance(error, InvalidCredentials):
        #: The e-mail address or the password of a log-in is wrong. `account` is the id of the user,
        #: or null.
        _log.warning("sign_in_failed", account=error.user_id, **log_context(scope))


def _domain_problem(request: Request, error: TaskportError) -> Response:
    scope = request.scope
    if isinstance(error, Invalid):
        location = "body" if request.method in ("POST", "PUT", "PATCH") else "query"
        return invalid(scope, [invalid_value(location, [e.field], e.error) for e in error.problems])
    if isinstance(error, Unavailable):
        return unavailable(scope, error.retry_after)
    if isinstance(error, TooManyRequests):
        return too_many_requests(scope, error.retry_after)
    status = status_of(error)
    headers = {"WWW-Authenticate": _challenge(request)} if status == 401 else None
    return problem(scope, status, error.code, error.message, headers=headers)


def _reword(message: str) -> str:
    for theirs, ours in _PYDANTIC_MESSAGES.items():
        message = message.replace(theirs, ours)
    return message


def _challenge(request: Request) -> str:
    """RFC 6750, section 3: a request without a token gets no error code."""
    return 'Bearer error="invalid_token"' if "authorization" in request.headers else "Bearer"


def _allowed_methods(app: FastAPI, scope: Scope) -> list[str]:
    """The methods of all routes that match the path; Starlette names those of the first only."""
    methods: set[str] = set()
    for route in app.routes:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods)
