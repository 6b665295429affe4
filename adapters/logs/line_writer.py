"""Writes lines to a file in batches, from a thread."""

import atexit
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from io import FileIO
from select import PIPE_BUF
from typing import Final, TextIO

import structlog

FLUSH_SECONDS: Final = 0.1
#: How long `flush` waits for a reader that does not read.
FLUSH_TIMEOUT_SECONDS: Final = 1.0
PENDING_MAX: Final = 50_000

_log = structlog.get_logger("taskport.logs")


class LineWriter:
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
        is_written.wait(FLUSH_TIMEOUT_SECONDS)

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
        for part in _chunks(pending):
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


def _chunks(lines: Iterable[str]) -> Iterator[bytes]:
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
