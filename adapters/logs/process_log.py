"""The log of this process: structlog and `logging` write to one stream."""

import logging
import sys
from typing import Final, TextIO

import structlog

from adapters.logs.exceptions import drop_exception_messages
from adapters.logs.line_writer import LineWriter
from adapters.logs.rendering import LineLogger, bound_logger_class, console_processors, to_json
from adapters.logs.stdlib_bridge import StdlibBridge

_writers: Final[list[LineWriter]] = []


def configure(level: str, format: str | None = None, stream: TextIO | None = None) -> LineWriter:
    """Send all log events of this process to `stream` (default: standard error).

    `level` is the name of a level of `logging`. `format` is "json" or "console"; None means the
    console format on a terminal and JSON elsewhere.
    """
    stream = stream or sys.stderr
    writer = LineWriter(stream)
    is_console = stream.isatty() if format is None else format == "console"
    minimum = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            drop_exception_messages,
            *(console_processors(stream) if is_console else [to_json]),
        ],
        wrapper_class=bound_logger_class(minimum, is_console=is_console),
        logger_factory=lambda *names: LineLogger(writer, *names),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [StdlibBridge()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    # The pool quotes messages of the server; our connections log their own failures.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    _writers.append(writer)
    return writer


def flush() -> None:
    """Write all pending lines, before this process ends in a way that runs no exit handlers."""
    for writer in _writers:
        writer.flush()
