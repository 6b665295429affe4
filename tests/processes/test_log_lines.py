"""How lines of the log are made, and how they get out of a process."""

import json
import logging
import math
import os
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
    """What a process logs, into a file."""

    lines: line_writer.LineWriter
    path: Path

    def said(self) -> list[dict[str, Any]]:
        """All of it, event by event."""
        self.lines.flush()
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def only(self) -> dict[str, Any]:
        [event] = self.said()
        return event


Start = Callable[..., Log]


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a process sets up once is as it was before."""
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


def _configure(chosen: Settings, stream: TextIO) -> line_writer.LineWriter:
    return process_log.configure(chosen.effective_log_level, chosen.effective_log_format, stream)


@pytest.fixture
def start(restored: None, tmp_path: Path) -> Iterator[Start]:
    """Log as a process with these settings does."""
    files: list[TextIO] = []

    def start(**settings: Any) -> Log:
        path = tmp_path / f"log-{len(files)}"
        files.append(path.open("w"))
        chosen = Settings(**{"log_format": "json", "log_level": "debug", **settings})
        return Log(_configure(chosen, files[-1]), path)

    yield start
    # The thread that writes goes on: it finds nothing more to write.
    for file in files:
        file.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The two ends of a pipe, of which the first is to be read."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
        with suppress(OSError):
            os.close(reading)


# Lines


def test_lines_come_in_order(tmp_path: Path) -> None:
    """However many threads add to them, each finds its own in the order in which it said them."""
    with (tmp_path / "log").open("w") as file:
        lines = line_writer.LineWriter(file)

        def say(name: str) -> None:
            for number in range(2_000):
                lines.add(f"{name} {number}")

        threads = [threading.Thread(target=say, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines.flush()

    said = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert len(said) == 8_000
    for name in "abcd":
        assert [int(number) for who, number in said if who == name] == list(range(2_000))


def test_a_thread_writes_what_nobody_flushes(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        line_writer.LineWriter(file).add("by itself")
        eventually(lambda: (tmp_path / "log").read_text() == "by itself\n")


def test_flush_without_lines_writes_nothing(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        line_writer.LineWriter(file).flush()
    assert (tmp_path / "log").read_text() == ""


def test_a_reader_that_does_not_read_holds_up_nobody(
    pipe: tuple[int, TextIO], restored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither who logs an error nor who wants to end. What is too much is lost, and counted."""
    monkeypatch.setattr(line_writer, "PENDING_MAX", 1_000)
    monkeypatch.setattr(line_writer, "FLUSH_TIMEOUT_SECONDS", 0.2)
    reading, stream = pipe
    process_log.configure("info", "json", stream)
    log = structlog.get_logger("taskport.tests")
    started = time.monotonic()
    # More than the pipe holds; then more than may wait.
    for _ in range(8):
        log.error("first", filling="x" * PIPE_BYTES)
    time.sleep(0.3)
    for number in range(3_000):
        log.error("later", number=number)
    process_log.flush()
    assert time.monotonic() - started < 5

    said = _read_until(reading, b"log_lines_lost")
    events = [json.loads(line) for line in said.splitlines()]
    [lost] = [event for event in events if event["event"] == "log_lines_lost"]
    assert (lost["level"], lost["logger"]) == ("error", "taskport.logs")
    assert lost["timestamp"].endswith("Z")
    later = [event["number"] for event in events if event["event"] == "later"]
    assert later == list(range(len(later)))
    assert len(events) - 1 + lost["count"] == 3_008


def _read_until(reading: int, word: bytes) -> str:
    said = b""
    while word not in said or not said.endswith(b"\n"):
        said += os.read(reading, PIPE_BYTES)
    return said.decode()


def test_a_reader_that_has_gone_is_no_reason_to_fail(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on, and does not go mad."""
    reading, stream = pipe
    lines = line_writer.LineWriter(stream)
    os.close(reading)
    for _ in range(3):
        lines.add("to nobody")
        lines.write_soon()
        lines.flush()

    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


def test_a_pipe_that_does_not_block_gets_all(pipe: tuple[int, TextIO]) -> None:
    """As where a Node.js that started us shares its standard error."""
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    lines = line_writer.LineWriter(stream)
    for number in range(100):
        lines.add(f"{number} {'x' * 3_000}")
    lines.add("the end")
    said = _read_until(reading, b"the end").splitlines()
    assert [line.split()[0] for line in said] == [*map(str, range(100)), "the"]


def test_workers_do_not_write_into_each_others_lines(pipe: tuple[int, TextIO]) -> None:
    """They share a pipe, and whoever reads it is slow: a write is never torn apart."""
    reading, stream = pipe
    writers = [line_writer.LineWriter(stream) for _ in range(2)]
    for lines, letter in zip(writers, "ab", strict=True):
        for _ in range(1_000):
            lines.add(letter * 300)
    said = b""
    while len(said) < 2_000 * 301:
        said += os.read(reading, 1_000)
    assert set(said.split()) == {b"a" * 300, b"b" * 300}


def test_what_cannot_be_encoded_is_written_all_the_same(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        lines = line_writer.LineWriter(file)
        lines.add("\ud800 é")
        lines.flush()
    assert (tmp_path / "log").read_text("utf-8") == "\\ud800 é\n"


def test_an_error_does_not_wait_for_the_next_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said before it comes along, and nothing of what is no error comes by itself."""
    monkeypatch.setattr(line_writer, "FLUSH_SECONDS", 60)
    log = start()
    structlog.get_logger().warning("before")
    time.sleep(0.1)
    assert log.path.read_text() == ""
    for number, level in enumerate(("error", "critical"), 1):
        getattr(structlog.get_logger(), level)("failed")
        eventually(lambda expected=number: log.path.read_text().count("failed") == expected)  # type: ignore[misc]
    assert [event["event"] for event in log.said()] == ["before", "failed", "failed"]


def test_all_is_flushed_before_a_process_ends(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_writer, "FLUSH_SECONDS", 60)
    log = start()
    structlog.get_logger().info("last")
    process_log.flush()
    assert "last" in log.path.read_text()


# Events


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_each_line_says_when_where_and_how_bad(start: Start, level: str) -> None:
    log = start()
    getattr(structlog.get_logger("taskport.tests"), level)("happened", number=1)
    said = log.only()
    assert list(said) == ["timestamp", "level", "event", "logger", "number"]
    assert (said["level"], said["event"], said["logger"]) == (level, "happened", "taskport.tests")
    assert said["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_says_what_is_left_out(start: Start, level: str, expected: list[str]) -> None:
    log = start(log_level=level)
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)(name)
    assert [event["event"] for event in log.said()] == expected


def test_debug_is_for_people(start: Start) -> None:
    """DEBUG=true: everything, in the form for the console, unless another is asked for."""
    log = start(debug=True, log_level="error", log_format=None)
    structlog.get_logger().debug("looked_at", route="/api/tasks")
    log.lines.flush()
    text = log.path.read_text()
    assert "looked_at" in text
    assert "route=/api/tasks" in text
    assert not text.startswith("{")
    as_json = start(debug=True)
    structlog.get_logger().debug("looked_at")
    assert as_json.only()["level"] == "debug"


class _Unspeakable:
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
        _Unspeakable(),
        ValueError("x"),
        [math.nan, {"deep": {1, 2}}],
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("level", ["info", "warning"])
def test_no_value_makes_logging_fail(start: Start, level: str, value: object) -> None:
    log = start()
    getattr(structlog.get_logger(), level)("odd", value=value, status=200)
    said = log.only()
    assert (said["event"], said["level"]) == ("odd", level)
    assert "value" in str(said)


def test_a_value_that_contains_itself(start: Start) -> None:
    log = start()
    endless: list[object] = []
    endless.append(endless)
    structlog.get_logger().warning("odd", value=endless)
    assert log.only()["event"] == "odd"


@pytest.mark.parametrize("breaking", ["\r\n", "\n", "\r", "\x85", "\u2028", "\x1b[31m", "\x00"])
@pytest.mark.parametrize("level", ["info", "warning"])
def test_no_value_splits_a_line(start: Start, level: str, breaking: str) -> None:
    log = start()
    getattr(structlog.get_logger(), level)("odd", value=f'a{breaking}{{"event":"forged"}}')
    log.lines.flush()
    [line] = log.path.read_bytes().split(b"\n")[:-1]
    assert json.loads(line)["value"].startswith(f"a{breaking}")
    assert b"\r" not in line
    assert b"\x1b" not in line


@pytest.mark.parametrize("breaking", ["\r\n", "\n", "\r", "\x1b[31m"])
def test_no_value_splits_a_line_for_people(start: Start, breaking: str) -> None:
    log = start(log_format="console")
    structlog.get_logger().warning("odd", value=f"a{breaking}b")
    log.lines.flush()
    [line] = log.path.read_bytes().split(b"\n")[:-1]
    assert b"\r" not in line
    assert b"\x1b" not in line


# Exceptions


def _fail() -> None:
    raise ValueError(SECRET)


def test_an_exception_is_told_without_its_words(start: Start) -> None:
    """Its type, and where it comes from."""
    log = start()
    try:
        _fail()
    except ValueError:
        structlog.get_logger().exception("crashed", route="/api/tasks")
    said = log.only()
    assert (said["level"], said["route"]) == ("error", "/api/tasks")
    assert "builtins.ValueError" in said["exception"]
    assert f'File "{__file__}"' in said["exception"]
    assert "in _fail" in said["exception"]
    assert SECRET not in json.dumps(said)
    assert "exc_info" not in said


def test_the_exceptions_that_led_to_it_come_first(start: Start) -> None:
    log = start()
    try:
        try:
            _fail()
        except ValueError as error:
            raise KeyError(SECRET) from error
    except KeyError as error:
        structlog.get_logger().error("crashed", exc_info=error)
    told = log.only()["exception"]
    assert told.index("builtins.ValueError") < told.index("builtins.KeyError")
    assert told.count("Traceback") == 2
    assert SECRET not in told


def test_what_was_being_handled_is_told_unless_it_is_suppressed(start: Start) -> None:
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
    with_context, without = [event["exception"] for event in log.said()]
    assert "ValueError" in with_context
    assert "ValueError" not in without
    assert SECRET not in with_context + without


def test_every_exception_of_a_group_is_told(start: Start) -> None:
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
    told = log.only()["exception"]
    for name in ("ExceptionGroup", "builtins.ValueError", "builtins.OSError"):
        assert name in told
    assert SECRET not in told


def test_an_exception_of_a_line_that_is_no_error(start: Start) -> None:
    """Not even there are its words told."""
    log = start()
    for level in ("debug", "info", "warning"):
        try:
            _fail()
        except ValueError as error:
            getattr(structlog.get_logger(), level)("odd", exc_info=error)
    for event in log.said():
        assert "builtins.ValueError" in event["exception"], event["level"]
        assert SECRET not in json.dumps(event)


def test_a_traceback_quotes_no_values(start: Start) -> None:
    """A line of ours is quoted as it stands in the source; so is no string that was made of it."""
    log = start()
    try:
        exec(
            compile(
                "def inner(title):\n    raise OSError(title)\n\ninner(" + "'x' * 3)", "<s>", "exec"
            )
        )
    except OSError:
        structlog.get_logger().exception("crashed")
    assert "xxx" not in log.only()["exception"]


# Foreign loggers


def test_of_what_libraries_say_the_first_line_is_kept(start: Start) -> None:
    log = start()
    logging.getLogger("asyncio").error("it was never retrieved\nfuture: %s", SECRET)
    said = log.only()
    assert (said["logger"], said["level"]) == ("asyncio", "error")
    assert said["event"] == "it was never retrieved"


def test_exceptions_of_libraries_are_told_without_their_words(start: Start) -> None:
    log = start()
    try:
        _fail()
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    said = log.only()
    assert said["event"] == "Exception in ASGI application"
    assert "in _fail" in said["exception"]
    assert SECRET not in json.dumps(said)


@pytest.mark.parametrize(
    ("number", "level"),
    [(30, "warning"), (35, "warning"), (40, "error"), (50, "critical"), (70, "critical")],
)
def test_levels_of_libraries(start: Start, number: int, level: str) -> None:
    log = start()
    logging.getLogger("library").log(number, "said")
    assert log.only()["level"] == level


def test_what_libraries_only_inform_of_is_left_out(start: Start) -> None:
    """httpx would name each URL that it asks, and psycopg's pool quotes the server."""
    log = start()
    logging.getLogger("httpx").info("GET https://user:%s@example.com", SECRET)
    logging.getLogger("psycopg.pool").warning("error connecting: %s", SECRET)
    assert log.said() == []


def test_a_library_that_logs_wrongly_does_no_harm(start: Start) -> None:
    """What it wanted to say is told as it stands, without the values."""
    log = start()
    wrong = "%d of %s\nmore"
    logging.getLogger("library").warning(wrong, SECRET)
    assert log.only()["event"] == "%d of %s"


def test_warnings_are_lines_as_well(start: Start) -> None:
    """Python would print them right into standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # An earlier test may have left it so, while pytest has its own way of showing them.
        logging.captureWarnings(False)
        log = start()
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    said = log.only()
    assert (said["logger"], said["level"]) == ("py.warnings", "warning")
    assert "old ways" in said["event"]
