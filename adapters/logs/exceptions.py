"""Tracebacks without exception messages, which may quote what a client sent."""

import sys
import traceback
from collections.abc import Iterator, MutableMapping
from typing import Any

_Event = MutableMapping[str, Any]


def drop_exception_messages(_logger: object, _level: str, event: _Event) -> _Event:
    """Replace `exc_info` by a traceback without messages: a processor for structlog."""
    if exc_info := event.pop("exc_info", None):
        error = sys.exc_info()[1] if exc_info is True else exc_info
        error = error[1] if isinstance(error, tuple) else error
        if isinstance(error, BaseException):
            event["exception"] = "".join(_format_without_message(error))
    return event


def _format_without_message(error: BaseException) -> Iterator[str]:
    """The traceback of an exception, after those of the exceptions that caused it."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _format_without_message(cause)
        yield "\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _format_without_message(member)
