"""Writes lines to a file in batches, from a thread of its own."""

import atexit
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from io import FileIO
from select import PIPE_BUF
from typing import Final, TextIO

import structlog

#: Seconds between two batches.
FLUSH_SECONDS: Final = 0.1
#: Seconds that `flush` waits for a reader that does not read.
FLUSH_TIMEOUT_SECONDS: Final = 1.0
#: Lines that may wait to be written; further ones are dropped.
PENDING_MAX: Final = 50_000

_log = structlog.get_logger("taskport.logs")


class LineWriter:
    """Writes lines to a stream without blocking the threads that add them.

    While `PENDING_MAX` lines are pending, further lines are dropped; a later line has their number.
    """

    def __init__(self, stream: TextIO) -> None:
        # Not the stream itself: a thread that blocks in its `write` holds a lock that the
        # interpreter needs to exit.
        self._file = FileIO(stream.fileno(), "w", closefd=False)
        self._pending: deque[str] = deque()
        self._lost = 0
        self._wake_up = threading.Event()
        #: One event per call of `flush` that waits.
        self._flushes: deque[threading.Event] = deque()
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.flush)

    def add(self, line: str) -> None:
        if len(self._pending) < PENDING_MAX:
            self._pending.append(line)
        else:
            self._lost += 1

    def write_soon(self) -> None:
        """Start to write all pending lines now, and return at once."""
        self._wake_up.set()

    def flush(self) -> None:
        """Write all pending lines; give up after `FLUSH_TIMEOUT_SECONDS`."""
        is_written = threading.Event()
        self._flushes.append(is_written)
        self.write_soon()
        is_written.wait(FLUSH_TIMEOUT_SECONDS)

    def _run(self) -> None:
        while True:
            self._wake_up.wait(FLUSH_SECONDS)
            self._wake_up.clear()
            flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
            self._write_pending()
            for is_written in flushes:
                is_written.set()

    def _write_pending(self) -> None:
        pending = [self._pending.popleft() for _ in range(len(self._pending))]
        has_written = False
        for chunk in _chunks(pending):
            try:
                self._write(chunk)
                has_written = True
            except OSError:
                # The reader has closed the pipe, or the disk is full: the service goes on.
                self._lost += chunk.count(b"\n")
        if has_written and self._lost and len(self._pending) < PENDING_MAX:
            lost, self._lost = self._lost, 0
            #: Log lines are lost: more than 50,000 were waiting, or they could not be written.
            _log.error("log_lines_lost", count=lost)

    def _write(self, chunk: bytes) -> None:
        while chunk:
            written: int | None = self._file.write(chunk)
            if written is None:
                # Another process that shares the pipe has made it non-blocking, and it is full.
                time.sleep(FLUSH_SECONDS)
            chunk = chunk[written or 0 :]


def _chunks(lines: Iterable[str]) -> Iterator[bytes]:
    """Whole lines, in chunks of `PIPE_BUF` bytes at most.

    Workers may share a pipe, and a larger write could be interleaved with one of another worker.
    """
    chunk = b""
    for line in lines:
        encoded = line.encode("utf-8", "backslashreplace") + b"\n"
        if chunk and len(chunk) + len(encoded) > PIPE_BUF:
            yield chunk
            chunk = b""
        chunk += encoded
    if chunk:
        yield chunk
