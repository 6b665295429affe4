"""A real Redis for tests, which can be frozen, stopped and started again."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis as client

from adapters.postgres_server.loopback import free_port
from tests.requirements import program
from tests.servers import passable_folder

_PATIENCE_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.01


@dataclass
class RedisServer:
    """A server of its own, with nothing on disk."""

    program: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                *(self.program, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", self.folder),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                self.ask("PING")
                return
            except client.ConnectionError:
                assert self.process.poll() is None, "redis-server did not start"
                assert time.monotonic() < give_up, "redis-server does not answer"
                time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End it, in whatever state it is, and with it all that it has counted."""
        self.process.kill()
        self.process.wait(_PATIENCE_SECONDS)

    def pause(self) -> None:
        """Freeze it: connections stay, and the system takes new ones, but nobody answers."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def ask(self, *command: str | int, password: str | None = None) -> Any:
        """The answer to one command."""
        with client.Redis(
            "127.0.0.1", self.port, password=password, decode_responses=True, socket_timeout=5
        ) as connection:
            return connection.execute_command(*command)

    def calls(self, command: str) -> int:
        """How often clients and scripts have sent it a command."""
        found: dict[str, dict[str, int]] = self.ask("INFO", "commandstats")
        return found.get(f"cmdstat_{command}", {}).get("calls", 0)


@contextmanager
def redis() -> Iterator[RedisServer]:
    """A server on a free port, up to the end of the `with` block."""
    found = program("redis-server", "redis-server")
    with passable_folder() as folder:
        server = RedisServer(found, folder, free_port())
        try:
            yield server
        finally:
            server.stop()
