"""Forwards the records of `logging`, which libraries use, to structlog."""

import logging
import math
import time

import structlog


class StdlibBridge(logging.Handler):
    """Logs the first line of each record; further lines tend to quote values.

    At most one record per second and line of source code: clients can trigger some of them at
    will.
    """

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        #: The monotonic time of the last record, by file and line number.
        self._last_logged: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        source, now = (record.pathname, record.lineno), time.monotonic()
        if now - self._last_logged.get(source, -math.inf) < 1:
            return False
        self._last_logged[source] = now
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:
            # The arguments do not fit the format: log the format alone.
            message = str(record.msg)
        first, *_ = message.splitlines() or [""]
        level = min(max(logging.DEBUG, record.levelno // 10 * 10), logging.CRITICAL)
        structlog.get_logger(record.name).log(level, first, exc_info=record.exc_info)
