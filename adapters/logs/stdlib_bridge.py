"""Forwards the records of `logging`, which libraries use, to structlog."""

import logging
import math
import time

import structlog


class StdlibBridge(logging.Handler):
    """Brings what libraries log to the same place. Of several lines only the first is kept: the
    others tend to be the values at hand. What is said over and over, from one place, is let
    through once a second: strangers can make some of them say it as often as they like."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._said_at: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place, now = (record.pathname, record.lineno), time.monotonic()
        if now - self._said_at.get(place, -math.inf) < 1:
            return False
        self._said_at[place] = now
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:
            # Whoever logs must never fail, whatever the values at hand are.
            message = str(record.msg)
        first, *_ = message.splitlines() or [""]
        level = min(max(logging.DEBUG, record.levelno // 10 * 10), logging.CRITICAL)
        structlog.get_logger(record.name).log(level, first, exc_info=record.exc_info)
