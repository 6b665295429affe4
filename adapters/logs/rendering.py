"""How one event becomes one line: as JSON, or for people on a terminal."""

import logging
from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
import structlog

from adapters.logs.line_writer import LineWriter

_Event = MutableMapping[str, Any]
_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


@dataclass(frozen=True, slots=True)
class LineLogger:
    """What structlog hands the lines of one logger to."""

    lines: LineWriter
    name: str = "taskport"

    def debug(self, line: str) -> None:
        self.lines.add(line)

    info = warning = debug

    def error(self, line: str) -> None:
        self.lines.add(line)
        self.lines.hurry()

    critical = error


def bound_logger_class(level: int, *, is_console: bool) -> type:
    usual: type = structlog.make_filtering_bound_logger(level)
    if is_console or level > logging.INFO:
        return usual

    class _FastJsonLogger(usual):  # type: ignore[misc]
        """The way around structlog's processors costs each request as much as the line itself."""

        _logger: LineLogger

        def info(self, event: str, **fields: Any) -> None:
            if "exc_info" in fields:
                self.log(logging.INFO, event, **fields)
                return
            self._logger.lines.add(json_line(self._logger.name, "info", event, fields))

    return _FastJsonLogger


def to_json(logger: LineLogger, level: str, event: _Event) -> str:
    return json_line(logger.name, level, event.pop("event"), event)


def json_line(logger: str, level: str, event: str, fields: _Event) -> str:
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


def console_processors(stream: TextIO) -> list[Any]:
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
