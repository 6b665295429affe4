"""A real Redis server for tests, which can be frozen, stopped and restarted."""

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis as client

from adapters.postgres_server.loopback import free_port
from tests.requirements import program
from tests.servers import passable_folder
from tests.waiting import LIMIT_SECONDS, eventually


@dataclass
class RedisServer:
    """A server without persistence."""

    program: Path
    folder: Path
    port: int
    options: Sequence[str | Path] = ()
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it responds."""
        self.process = subprocess.Popen(
            [
                *(self.program, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", self.folder),
                *self.options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: self._responds() or self.process.poll() is not None)
        assert self.process.poll() is None, "redis-server did not start"

    def stop(self) -> None:
        """Kill it, even if it is frozen; its data is lost."""
        self.process.kill()
        self.process.wait(LIMIT_SECONDS)

    def pause(self) -> None:
        """Freeze it: connections stay open, the kernel accepts new ones, but nothing responds."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def ask(self, *command: str | int, password: str | None = None) -> Any:
        """Send one command, and return the reply."""
        with client.Redis(
            "127.0.0.1",
            self.port,
            password=password,
            decode_responses=True,
            socket_timeout=LIMIT_SECONDS,
        ) as connection:
            return connection.execute_command(*command)

    def calls(self, command: str) -> int:
        """How often it has run a command, for clients and scripts."""
        found: dict[str, dict[str, int]] = self.ask("INFO", "commandstats")
        return found.get(f"cmdstat_{command}", {}).get("calls", 0)

    def _responds(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except client.ConnectionError:
            return False


@contextmanager
def redis(*options: str | Path) -> Iterator[RedisServer]:
    """Start a server on a free port, and stop it at the end of the block."""
    found = program("redis-server", "redis-server")
    with passable_folder() as folder:
        server = RedisServer(found, folder, free_port(), options)
        try:
            yield server
        finally:
            server.stop()
