"""Several worker processes on one listener, and their common metrics."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from adapters.uvicorn.uvicorn_internals import Multiprocess

#: Seconds between two looks for a signal, while the workers stop.
_SIGNAL_POLL_SECONDS: Final = 0.05
#: Seconds between two removals of the gauges of dead workers.
_GAUGE_CLEANUP_SECONDS: Final = 1.0


class Workers(Multiprocess):
    """uvicorn's supervisor, with a second signal that stops the workers at once."""

    def join_all(self) -> None:
        """Wait for the workers to exit, and forward a signal that arrives meanwhile.

        uvicorn's own method handles no signal. The parent closes its listener first, so that the
        port is closed as soon as the workers have drained the backlog and closed theirs.
        """
        for listener in self.sockets:
            listener.close()
        self.signal_queue.clear()
        while any(worker.process.is_alive() for worker in self.processes):
            if self.signal_queue:
                self.signal_queue.clear()
                self.terminate_all()
            time.sleep(_SIGNAL_POLL_SECONDS)
        super().join_all()


@contextmanager
def multiprocess_metrics() -> Iterator[None]:
    """Provide the directory in which workers share metrics, so that each can serve those of all."""
    is_over = threading.Event()
    with tempfile.TemporaryDirectory(prefix="taskport-metrics-") as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        cleanup = threading.Thread(target=_remove_dead_gauges, args=(Path(directory), is_over))
        cleanup.start()
        try:
            yield
        finally:
            is_over.set()
            cleanup.join()


def _remove_dead_gauges(directory: Path, is_over: threading.Event) -> None:
    """Remove the live gauges of workers that have died. Their counters remain."""
    while not is_over.wait(_GAUGE_CLEANUP_SECONDS):
        for file in directory.glob("gauge_live*_*.db"):
            pid = int(file.stem.rpartition("_")[2])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
