"""Locks between processes."""

import fcntl
import os
from pathlib import Path


class FileLock:
    """A lock on a file (`flock`), which the kernel releases when the process ends."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def acquire_shared(self) -> None:
        """Wait until no other process has the lock exclusively, and share it."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def try_acquire(self) -> bool:
        """Acquire the lock exclusively, unless another process has it; whether it is acquired."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        os.close(self._file)
