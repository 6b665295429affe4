"""How this process writes its log: a line for each event, in JSON or for people.

Lines are collected, and written by a thread ten times a second: whoever reads them slowly, or not
at all, holds up nobody. An error does not wait for the next time.

What an exception says of itself is left out, because it may quote what a client sent: its type, and
the way to the line that raised it, are there.
"""

import atexit
import logging
import math
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from select import PIPE_BUF
from typing import Any, Final, TextIO

import msgspec
import structlog

from entrypoints.settings import Settings

FLUSH_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 1.0
PENDING_MAX: Final = 50_000

_Event = MutableMapping[str, Any]
_configured: Final[list["Lines"]] = []
_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode
_log = structlog.get_logger("taskport.logs")


class Lines:
    """Where lines go: to a file, in batches, by a thread of its own. Past `PENDING_MAX` that wait,
    lines are lost, and another says how many."""

    def __init__(self, stream: TextIO) -> None:
        # Not the stream itself: whoever hangs in its `write` holds a lock that Python needs to end.
        self._file = FileIO(stream.fileno(), "w", closefd=False)
        self._pending: deque[str] = deque()
        self._lost = 0
        self._hurry = threading.Event()
        self._waiting: deque[threading.Event] = deque()
        threading.Thread(target=self._write_for_ever, name="log", daemon=True).start()
        atexit.register(self.flush)

    def add(self, line: str) -> None:
        if len(self._pending) < PENDING_MAX:
            self._pending.append(line)
        else:
            self._lost += 1

    def hurry(self) -> None:
        """Write what there is without delay. Whoever says so does not wait for it."""
        self._hurry.set()

    def flush(self) -> None:
        """Wait until all is written, but not for a reader that does not read."""
        is_written = threading.Event()
        self._waiting.append(is_written)
        self.hurry()
        is_written.wait(PATIENCE_SECONDS)

    def _write_for_ever(self) -> None:
        while True:
            self._hurry.wait(FLUSH_SECONDS)
            self._hurry.clear()
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._write_pending()
            for is_written in waiting:
                is_written.set()

    def _write_pending(self) -> None:
        pending = [self._pending.popleft() for _ in range(len(self._pending))]
        is_heard = False
        for part in _parts(pending):
            try:
                self._write(part)
                is_heard = True
            except OSError:
                # The reader has gone, or the disk is full: no reason to stop serving.
                self._lost += part.count(b"\n")
        if is_heard and self._lost and len(self._pending) < PENDING_MAX:
            lost, self._lost = self._lost, 0
            _log.error("log_lines_lost", count=lost)

    def _write(self, part: bytes) -> None:
        while part:
            written: int | None = self._file.write(part)
            if written is None:
                # Somebody who shares the pipe has made it one that does not block.
                time.sleep(FLUSH_SECONDS)
            part = part[written or 0 :]


def _parts(lines: Iterable[str]) -> Iterator[bytes]:
    """Whole lines, as many as a pipe takes at once: several workers may share it, and what is
    longer could end up in the middle of another's line."""
    part = b""
    for line in lines:
        encoded = line.encode("utf-8", "backslashreplace") + b"\n"
        if part and len(part) + len(encoded) > PIPE_BUF:
            yield part
            part = b""
        part += encoded
    if part:
        yield part


@dataclass(frozen=True, slots=True)
class _Logger:
    """What structlog hands the lines of one logger to."""

    lines: Lines
    name: str = "taskport"

    def debug(self, line: str) -> None:
        self.lines.add(line)

    info = warning = debug

    def error(self, line: str) -> None:
        self.lines.add(line)
        self.lines.hurry()

    critical = error


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


def configure(settings: Settings, stream: TextIO | None = None) -> Lines:
    """Let all that is logged in this process go to a stream (standard error)."""
    stream = stream or sys.stderr
    lines = Lines(stream)
    if settings.log_format is None:
        is_console = settings.debug or stream.isatty()
    else:
        is_console = settings.log_format == "console"
    level = logging.getLevelNamesMapping()[
        "DEBUG" if settings.debug else settings.log_level.upper()
    ]
    structlog.configure(
        processors=[_without_messages, *(_for_people(stream) if is_console else [_to_json])],
        wrapper_class=_wrapper(level, is_console=is_console),
        logger_factory=lambda *names: _Logger(lines, *names),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [StdlibBridge()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    # Our own connections say so themselves, and do not quote the server.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    _configured.append(lines)
    return lines


def flush() -> None:
    """Write what has been collected, before this process ends in a way that Python does not see."""
    for lines in _configured:
        lines.flush()


def _wrapper(level: int, *, is_console: bool) -> type:
    usual: type = structlog.make_filtering_bound_logger(level)
    if is_console or level > logging.INFO:
        return usual

    class _FastJsonLogger(usual):  # type: ignore[misc]
        """The way around structlog's processors costs each request as much as the line itself."""

        _logger: _Logger

        def info(self, event: str, **fields: Any) -> None:
            if "exc_info" in fields:
                self.log(logging.INFO, event, **fields)
                return
            self._logger.lines.add(_line(self._logger.name, "info", event, fields))

    return _FastJsonLogger


def _to_json(logger: _Logger, level: str, event: _Event) -> str:
    return _line(logger.name, level, event.pop("event"), event)


def _line(logger: str, level: str, event: str, fields: _Event) -> str:
    # Who notes it later says when it was.
    now = fields.pop("timestamp", None) or datetime.now(UTC)
    line = {"timestamp": now, "level": level, "event": event, "logger": logger, **fields}
    try:
        return _encode(line).decode()
    except Exception:
        # A number, a name or a character that JSON does not have.
        line["event"] = event.encode("ascii", "backslashreplace").decode()
        return _encode({**line, **{name: _repr(fields[name]) for name in fields}}).decode()


def _repr(value: object) -> str:
    try:
        return ascii(value)
    except Exception:
        return type(value).__name__


def _for_people(stream: TextIO) -> list[Any]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S"),
        _tidy,
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), pad_event_to=20, pad_level=False, sort_keys=False
        ),
    ]


def _tidy(_logger: object, _level: str, event: _Event) -> _Event:
    """Without what there is not; and without control characters, which a terminal would obey."""
    shown = {name: value for name, value in event.items() if value is not None}
    for name, value in shown.items():
        if isinstance(value, str) and not value.isprintable() and name != "exception":
            shown[name] = ascii(value)
    return shown


def _without_messages(_logger: object, _level: str, event: _Event) -> _Event:
    if given := event.pop("exc_info", None):
        error = sys.exc_info()[1] if given is True else given
        error = error[1] if isinstance(error, tuple) else error
        if isinstance(error, BaseException):
            event["exception"] = "".join(_format_without_message(error))
    return event


def _format_without_message(error: BaseException) -> Iterator[str]:
    """A traceback of this exception and those that led to it, the first one first."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from _format_without_message(earlier)
        yield "\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _format_without_message(inner)
