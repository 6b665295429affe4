"""How log events are rendered as lines, and how lines are written."""

import fcntl
import json
import logging
import math
import os
import sys
import termios
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import pytest
import structlog

from adapters.logs import line_writer, process_log
from entrypoints.settings import Settings
from tests.waiting import eventually

SECRET: Final = "canary-of-the-lines"
PIPE_BYTES: Final = 65_536


@dataclass(frozen=True)
class Log:
    """The log of this process, in a file."""

    writer: line_writer.LineWriter
    path: Path

    def events(self) -> list[dict[str, Any]]:
        self.writer.flush()
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def only_event(self) -> dict[str, Any]:
        [event] = self.events()
        return event


Start = Callable[..., Log]


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The configuration of logging is restored after the test."""
    root, pool = logging.getLogger(), logging.getLogger("psycopg.pool")
    before = structlog.get_config()
    monkeypatch.setattr(root, "handlers", root.handlers)
    monkeypatch.setattr(process_log, "_writers", [])
    levels = root.level, pool.level
    yield
    logging.captureWarnings(False)
    root.setLevel(levels[0])
    pool.setLevel(levels[1])
    structlog.configure(**before)


def _configure(settings: Settings, stream: TextIO) -> line_writer.LineWriter:
    return process_log.configure(
        settings.effective_log_level, settings.effective_log_format, stream
    )


@pytest.fixture
def start(restored: None, tmp_path: Path) -> Iterator[Start]:
    """Configures the log as a process with these settings does."""
    files: list[TextIO] = []

    def start(**settings: Any) -> Log:
        path = tmp_path / f"log-{len(files)}"
        files.append(path.open("w"))
        defaults = {"log_format": "json", "log_level": "debug"}
        return Log(_configure(Settings(**{**defaults, **settings}), files[-1]), path)

    yield start
    # The threads of the writers go on, with nothing to write.
    for file in files:
        file.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe: the end to read from, and the end to write to."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
        with suppress(OSError):
            os.close(reading)


# Lines


def test_lines_of_each_thread_are_in_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        writer = line_writer.LineWriter(file)

        def add_lines(name: str) -> None:
            for number in range(2_000):
                writer.add(f"{name} {number}")

        threads = [threading.Thread(target=add_lines, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.flush()

    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert len(lines) == 8_000
    for name in "abcd":
        numbers = [int(number) for thread_name, number in lines if thread_name == name]
        assert numbers == list(range(2_000))


def test_lines_are_written_without_a_flush(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        line_writer.LineWriter(file).add("by itself")
        eventually(lambda: (tmp_path / "log").read_text() == "by itself\n")


def test_flush_without_lines_writes_nothing(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        line_writer.LineWriter(file).flush()
    assert (tmp_path / "log").read_text() == ""


def test_full_pipe_blocks_neither_logging_nor_flush(
    pipe: tuple[int, TextIO], restored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that exceed the limit are dropped, and a later line has their number."""
    monkeypatch.setattr(line_writer, "PENDING_MAX", 1_000)
    monkeypatch.setattr(line_writer, "FLUSH_TIMEOUT_SECONDS", 0.2)
    reading, stream = pipe
    process_log.configure("info", "json", stream)
    log = structlog.get_logger("taskport.tests")
    # More than fits into the pipe; then more than may be pending.
    for _ in range(8):
        log.error("first", filling="x" * PIPE_BYTES)
    eventually(lambda: _bytes_in(reading) == PIPE_BYTES)
    for number in range(3_000):
        log.error("later", number=number)
    process_log.flush()

    text = _read_until(reading, b"log_lines_lost")
    events = [json.loads(line) for line in text.splitlines()]
    [lost] = [event for event in events if event["event"] == "log_lines_lost"]
    assert (lost["level"], lost["logger"]) == ("error", "taskport.logs")
    assert lost["timestamp"].endswith("Z")
    later = [event["number"] for event in events if event["event"] == "later"]
    assert later == list(range(len(later)))
    assert len(events) - 1 + lost["count"] == 3_008


def _bytes_in(reading: int) -> int:
    """How much a pipe holds."""
    size = fcntl.ioctl(reading, termios.FIONREAD, bytes(4))
    return int.from_bytes(size, sys.byteorder)


def _read_until(reading: int, word: bytes) -> str:
    text = b""
    while word not in text or not text.endswith(b"\n"):
        text += os.read(reading, PIPE_BYTES)
    return text.decode()


def test_closed_pipe_is_no_error(pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """The writing thread goes on, and does not busy-wait."""
    reading, stream = pipe
    writer = line_writer.LineWriter(stream)
    os.close(reading)
    for _ in range(3):
        writer.add("to a closed pipe")
        writer.write_soon()
        writer.flush()

    before = time.process_time()
    time.sleep(1)
    assert time.process_time() - before < 0.5


def test_non_blocking_pipe_gets_all_lines(pipe: tuple[int, TextIO]) -> None:
    """Node.js makes its standard error non-blocking, which a child process may share."""
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    writer = line_writer.LineWriter(stream)
    for number in range(100):
        writer.add(f"{number} {'x' * 3_000}")
    writer.add("the end")
    lines = _read_until(reading, b"the end").splitlines()
    assert [line.split()[0] for line in lines] == [*map(str, range(100)), "the"]


def test_lines_of_workers_on_one_pipe_are_not_interleaved(pipe: tuple[int, TextIO]) -> None:
    """Also if the reader is slow."""
    reading, stream = pipe
    writers = [line_writer.LineWriter(stream) for _ in range(2)]
    for writer, letter in zip(writers, "ab", strict=True):
        for _ in range(1_000):
            writer.add(letter * 300)
    text = b""
    while len(text) < 2_000 * 301:
        text += os.read(reading, 1_000)
    assert set(text.split()) == {b"a" * 300, b"b" * 300}


def test_line_that_cannot_be_encoded_is_escaped(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        writer = line_writer.LineWriter(file)
        writer.add("\ud800 é")
        writer.flush()
    assert (tmp_path / "log").read_text("utf-8") == "\\ud800 é\n"


def test_errors_are_written_without_delay(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together with all pending lines. Other levels wait for the next batch."""
    monkeypatch.setattr(line_writer, "FLUSH_SECONDS", 60)
    log = start()
    structlog.get_logger().warning("before")
    time.sleep(0.1)
    assert log.path.read_text() == ""
    for number, level in enumerate(("error", "critical"), 1):
        getattr(structlog.get_logger(), level)("failed")
        eventually(lambda expected=number: log.path.read_text().count("failed") == expected)  # type: ignore[misc]
    assert [event["event"] for event in log.events()] == ["before", "failed", "failed"]


def test_flush_writes_all_pending_lines(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_writer, "FLUSH_SECONDS", 60)
    log = start()
    structlog.get_logger().info("last")
    process_log.flush()
    assert "last" in log.path.read_text()


# Events


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_line_has_time_level_event_and_logger(start: Start, level: str) -> None:
    log = start()
    getattr(structlog.get_logger("taskport.tests"), level)("happened", number=1)
    event = log.only_event()
    assert list(event) == ["timestamp", "level", "event", "logger", "number"]
    assert event["level"] == level
    assert (event["event"], event["logger"]) == ("happened", "taskport.tests")
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lower_levels_are_not_logged(start: Start, level: str, expected: list[str]) -> None:
    log = start(log_level=level)
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)(name)
    assert [event["event"] for event in log.events()] == expected


def test_debug_logs_all_levels_for_the_console(start: Start) -> None:
    """Unless LOG_FORMAT is set."""
    log = start(debug=True, log_level="error", log_format=None)
    structlog.get_logger().debug("looked_at", route="/api/tasks")
    log.writer.flush()
    text = log.path.read_text()
    assert "looked_at" in text
    assert "route=/api/tasks" in text
    assert not text.startswith("{")
    as_json = start(debug=True)
    structlog.get_logger().debug("looked_at")
    assert as_json.only_event()["level"] == "debug"


class _BrokenRepr:
    def __repr__(self) -> str:
        raise RuntimeError(SECRET)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        b"\xff\x00",
        10**40,
        "\ud800",
        {"\ud800": 1},
        {(1, 2): 3},
        object(),
        _BrokenRepr(),
        ValueError("x"),
        [math.nan, {"deep": {1, 2}}],
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("level", ["info", "warning"])
def test_any_value_can_be_logged(start: Start, level: str, value: object) -> None:
    log = start()
    getattr(structlog.get_logger(), level)("odd", value=value, status=200)
    event = log.only_event()
    assert (event["event"], event["level"]) == ("odd", level)
    assert "value" in str(event)


def test_recursive_value_can_be_logged(start: Start) -> None:
    log = start()
    endless: list[object] = []
    endless.append(endless)
    structlog.get_logger().warning("odd", value=endless)
    assert log.only_event()["event"] == "odd"


@pytest.mark.parametrize("breaking", ["\r\n", "\n", "\r", "\x85", "\u2028", "\x1b[31m", "\x00"])
@pytest.mark.parametrize("level", ["info", "warning"])
def test_value_cannot_split_a_line(start: Start, level: str, breaking: str) -> None:
    log = start()
    getattr(structlog.get_logger(), level)("odd", value=f'a{breaking}{{"event":"forged"}}')
    log.writer.flush()
    [line] = log.path.read_bytes().split(b"\n")[:-1]
    assert json.loads(line)["value"].startswith(f"a{breaking}")
    assert b"\r" not in line
    assert b"\x1b" not in line


@pytest.mark.parametrize("breaking", ["\r\n", "\n", "\r", "\x1b[31m"])
def test_value_cannot_split_a_console_line(start: Start, breaking: str) -> None:
    log = start(log_format="console")
    structlog.get_logger().warning("odd", value=f"a{breaking}b")
    log.writer.flush()
    [line] = log.path.read_bytes().split(b"\n")[:-1]
    assert b"\r" not in line
    assert b"\x1b" not in line


# Exceptions


def _fail() -> None:
    raise ValueError(SECRET)


def test_exception_is_logged_without_its_message(start: Start) -> None:
    """With its type and traceback."""
    log = start()
    try:
        _fail()
    except ValueError:
        structlog.get_logger().exception("crashed", route="/api/tasks")
    event = log.only_event()
    assert (event["level"], event["route"]) == ("error", "/api/tasks")
    assert "builtins.ValueError" in event["exception"]
    assert f'File "{__file__}"' in event["exception"]
    assert "in _fail" in event["exception"]
    assert SECRET not in json.dumps(event)
    assert "exc_info" not in event


def test_causes_of_an_exception_are_logged_first(start: Start) -> None:
    log = start()
    try:
        try:
            _fail()
        except ValueError as error:
            raise KeyError(SECRET) from error
    except KeyError as error:
        structlog.get_logger().error("crashed", exc_info=error)
    text = log.only_event()["exception"]
    assert text.index("builtins.ValueError") < text.index("builtins.KeyError")
    assert text.count("Traceback") == 2
    assert SECRET not in text


def test_context_of_an_exception_is_logged_unless_suppressed(start: Start) -> None:
    log = start()
    for suppressed in (False, True):
        try:
            try:
                _fail()
            except ValueError:
                if suppressed:
                    raise KeyError(SECRET) from None
                raise KeyError(SECRET)  # noqa: B904
        except KeyError:
            structlog.get_logger().exception("crashed")
    with_context, without = [event["exception"] for event in log.events()]
    assert "ValueError" in with_context
    assert "ValueError" not in without
    assert SECRET not in with_context + without


def test_all_exceptions_of_a_group_are_logged(start: Start) -> None:
    log = start()
    errors: list[Exception] = []
    for kind in (ValueError, OSError):
        try:
            raise kind(SECRET)
        except kind as error:
            error.add_note(SECRET)
            errors.append(error)
    try:
        raise ExceptionGroup(SECRET, errors)
    except ExceptionGroup:
        structlog.get_logger().exception("crashed")
    text = log.only_event()["exception"]
    for name in ("ExceptionGroup", "builtins.ValueError", "builtins.OSError"):
        assert name in text
    assert SECRET not in text


def test_exception_message_is_dropped_at_every_level(start: Start) -> None:
    log = start()
    for level in ("debug", "info", "warning"):
        try:
            _fail()
        except ValueError as error:
            getattr(structlog.get_logger(), level)("odd", exc_info=error)
    for event in log.events():
        assert "builtins.ValueError" in event["exception"], event["level"]
        assert SECRET not in json.dumps(event)


def test_traceback_quotes_source_lines_not_values(start: Start) -> None:
    log = start()
    try:
        exec(
            compile(
                "def inner(title):\n    raise OSError(title)\n\ninner(" + "'x' * 3)", "<s>", "exec"
            )
        )
    except OSError:
        structlog.get_logger().exception("crashed")
    assert "xxx" not in log.only_event()["exception"]


# Records of libraries


def test_first_line_of_a_library_record_is_logged(start: Start) -> None:
    log = start()
    logging.getLogger("asyncio").error("it was never retrieved\nfuture: %s", SECRET)
    event = log.only_event()
    assert (event["logger"], event["level"]) == ("asyncio", "error")
    assert event["event"] == "it was never retrieved"


def test_exception_of_a_library_is_logged_without_its_message(start: Start) -> None:
    log = start()
    try:
        _fail()
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    event = log.only_event()
    assert event["event"] == "Exception in ASGI application"
    assert "in _fail" in event["exception"]
    assert SECRET not in json.dumps(event)


@pytest.mark.parametrize(
    ("number", "level"),
    [(30, "warning"), (35, "warning"), (40, "error"), (50, "critical"), (70, "critical")],
)
def test_level_of_a_library_record(start: Start, number: int, level: str) -> None:
    log = start()
    logging.getLogger("library").log(number, "message")
    assert log.only_event()["level"] == level


def test_informational_records_of_libraries_are_not_logged(start: Start) -> None:
    """Nor those of psycopg's pool: httpx logs the URLs of requests, the pool quotes the server."""
    log = start()
    logging.getLogger("httpx").info("GET https://user:%s@example.com", SECRET)
    logging.getLogger("psycopg.pool").warning("error connecting: %s", SECRET)
    assert log.events() == []


def test_library_record_with_wrong_arguments_is_logged(start: Start) -> None:
    """As its format, without the values."""
    log = start()
    wrong = "%d of %s\nmore"
    logging.getLogger("library").warning(wrong, SECRET)
    assert log.only_event()["event"] == "%d of %s"


def test_python_warnings_are_logged(start: Start) -> None:
    """By default Python prints them to standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # pytest replaces `warnings.showwarning`, also if an earlier test has left it captured.
        logging.captureWarnings(False)
        log = start()
        warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
    event = log.only_event()
    assert (event["logger"], event["level"]) == ("py.warnings", "warning")
    assert "deprecated" in event["event"]
