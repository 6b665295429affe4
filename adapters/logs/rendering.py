"""Renders a log event as one line: as JSON, or for a console."""

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
    """The logger that structlog wraps: hands rendered lines to a writer."""

    writer: LineWriter
    name: str = "taskport"

    def debug(self, line: str) -> None:
        self.writer.add(line)

    info = warning = debug

    def error(self, line: str) -> None:
        self.writer.add(line)
        self.writer.write_soon()

    critical = error


def bound_logger_class(level: int, *, is_console: bool) -> type:
    """structlog's logger for a minimum level, with a faster `info` for JSON."""
    filtering: type = structlog.make_filtering_bound_logger(level)
    if is_console or level > logging.INFO:
        return filtering

    class _FastJsonLogger(filtering):  # type: ignore[misc]
        """Renders `info` without structlog's processors, which take as long as the JSON itself."""

        _logger: LineLogger

        def info(self, event: str, **fields: Any) -> None:
            if "exc_info" in fields:
                self.log(logging.INFO, event, **fields)
                return
            self._logger.writer.add(json_line(self._logger.name, "info", event, fields))

    return _FastJsonLogger


def to_json(logger: LineLogger, level: str, event: _Event) -> str:
    """The JSON line of an event: the last processor for structlog."""
    return json_line(logger.name, level, event.pop("event"), event)


def json_line(logger: str, level: str, event: str, fields: _Event) -> str:
    """The JSON line of an event. Never raises, whatever the fields are."""
    # Events that are logged in batches carry the time at which they happened.
    now = fields.pop("timestamp", None) or datetime.now(UTC)
    line = {"timestamp": now, "level": level, "event": event, "logger": logger, **fields}
    try:
        return _encode(line).decode()
    except Exception:
        # A number, a key or a character that JSON cannot express.
        line["event"] = event.encode("ascii", "backslashreplace").decode()
        return _encode({**line, **{name: _repr(fields[name]) for name in fields}}).decode()


def _repr(value: object) -> str:
    try:
        return ascii(value)
    except Exception:
        return type(value).__name__


def console_processors(stream: TextIO) -> list[Any]:
    """The processors that render an event for a console, in color on a terminal."""
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S"),
        _tidy,
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), pad_event_to=20, pad_level=False, sort_keys=False
        ),
    ]


def _tidy(_logger: object, _level: str, event: _Event) -> _Event:
    """Drop fields that are None, and escape control characters, which a terminal would obey."""
    fields = {name: value for name, value in event.items() if value is not None}
    for name, value in fields.items():
        if isinstance(value, str) and not value.isprintable() and name != "exception":
            fields[name] = ascii(value)
    return fields
