"""Sets up structlog and `logging` for this process."""

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
    """Send all log events of this process to `stream` (standard error).

    `level` is the name of a level of `logging`. `format` is "json" or "console"; None means the
    console format on a terminal and JSON elsewhere.
    """
    stream = stream or sys.stderr
    lines = LineWriter(stream)
    is_console = stream.isatty() if format is None else format == "console"
    minimum = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            drop_exception_messages,
            *(console_processors(stream) if is_console else [to_json]),
        ],
        wrapper_class=bound_logger_class(minimum, is_console=is_console),
        logger_factory=lambda *names: LineLogger(lines, *names),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [StdlibBridge()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    # Our own connections say so themselves, and do not quote the server.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    _writers.append(lines)
    return lines


def flush() -> None:
    """Write what has been collected, before this process ends in a way that Python does not see."""
    for lines in _writers:
        lines.flush()
