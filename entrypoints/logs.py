"""How this process writes its log: a line for each event, in JSON or for people.

Lines are collected, and written by a thread ten times a second: whoever reads them slowly holds up
nobody. An error is written at once, along with all that was collected before it.

What an exception says of itself is left out, because it may quote what a client sent: its type, and
the way to the line that raised it, are there.
"""

import atexit
import logging
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
import structlog

from entrypoints.settings import Settings

FLUSH_SECONDS: Final = 0.1
PENDING_MAX: Final = 50_000

_Event = MutableMapping[str, Any]
_configured: Final[list["Lines"]] = []
_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


class Lines:
    """Where lines go: to a stream, in batches. Past `PENDING_MAX` that wait, lines are lost, and
    another says how many."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pending: list[str] = []
        self._lost = 0
        self._writing = threading.Lock()
        threading.Thread(target=self._write_for_ever, name="log", daemon=True).start()
        atexit.register(self.flush)

    def add(self, line: str) -> None:
        if len(self._pending) < PENDING_MAX:
            self._pending.append(line)
        else:
            self._lost += 1

    def flush(self) -> None:
        with self._writing:
            # From here on, what others add goes to a list of its own.
            pending, self._pending = self._pending, []
            lost, self._lost = self._lost, 0
            if lost:
                pending.append(f'{{"level":"error","event":"log_lines_lost","count":{lost}}}')
            if pending:
                self._stream.write("\n".join(pending) + "\n")
                self._stream.flush()

    def _write_for_ever(self) -> None:
        pause = threading.Event()
        while not pause.wait(FLUSH_SECONDS):
            self.flush()


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
        self.lines.flush()

    critical = error


class _Foreign(logging.Handler):
    """Brings what libraries log to the same place. Of several lines only the first is kept: the
    others tend to be the values at hand."""

    def emit(self, record: logging.LogRecord) -> None:
        first, *_ = record.getMessage().splitlines() or [""]
        level = max(logging.DEBUG, record.levelno // 10 * 10)
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
    root.handlers = [_Foreign()]
    root.setLevel(logging.WARNING)
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

    class _Short(usual):  # type: ignore[misc]
        """The way around structlog's processors costs each request as much as the line itself."""

        _logger: _Logger

        def info(self, event: str, **fields: Any) -> None:
            logger = self._logger
            now, name = datetime.now(UTC), logger.name
            line = {"timestamp": now, "level": "info", "event": event, "logger": name, **fields}
            logger.lines.add(_encode(line).decode())

    return _Short


def _to_json(logger: _Logger, level: str, event: _Event) -> str:
    head = {"timestamp": datetime.now(UTC), "level": level, "event": event.pop("event")}
    return _encode({**head, "logger": logger.name, **event}).decode()


def _for_people(stream: TextIO) -> list[Any]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S"),
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=24),
    ]


def _without_messages(_logger: _Logger, _level: str, event: _Event) -> _Event:
    if given := event.pop("exc_info", None):
        error = sys.exc_info()[1] if given is True else given
        error = error[1] if isinstance(error, tuple) else error
        if isinstance(error, BaseException):
            event["exception"] = "".join(_told(error))
    return event


def _told(error: BaseException) -> Iterator[str]:
    """A traceback of this exception and those that led to it, the first one first."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from _told(earlier)
        yield "\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _told(inner)
