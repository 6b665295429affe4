"""What a request costs at the edge: with and without what watches, counts and limits it.

Both stand in this process, over one PostgreSQL, and take turns; requests are fed to uvicorn's
protocol as bytes, so that neither sockets nor a client are in the figures. CPU time is that of the
whole process, the thread that writes the log included.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from adapters.better_auth.shared_secret import SharedSecretTokens
from adapters.http.clients import ClientAddress
from adapters.http.hosts import AllowedHosts
from adapters.http.limits import RateLimit
from adapters.http.observation import Observe
from adapters.postgres import pipelined
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.schema import migrate
from entrypoints import logs
from entrypoints.app import from_settings
from entrypoints.protocol import PatientProtocol
from entrypoints.seeding import seed
from entrypoints.settings import Settings

SECRET = "x" * 32
AT_ONCE = 16
OF_THE_EDGE = {ClientAddress, AllowedHosts, RateLimit, Observe}


class Wire(asyncio.Transport):
    """Where answers go: only that one has ended is looked at."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 4711), "sockname": ("127.0.0.1", 8000)})
        self.answered = asyncio.Event()
        self.bad = 0

    def write(self, data: Any) -> None:
        if bytes(data[:9]) == b"HTTP/1.1 " and bytes(data[9:10]) != b"2":
            self.bad += 1

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def close(self) -> None:
        pass


class Server:
    """One way to serve, and connections to it."""

    def __init__(self, name: str, settings: Settings, *, is_whole: bool) -> None:
        self.name = name
        self.is_whole = is_whole
        self.app = from_settings(settings)
        if not is_whole:
            kept = [m for m in self.app.user_middleware if m.cls not in OF_THE_EDGE]
            self.app.user_middleware = kept
        self.figures: dict[str, list[float]] = {}

    def connect(self) -> None:
        protocol: type[HttpToolsProtocol] = PatientProtocol if self.is_whole else HttpToolsProtocol
        config = uvicorn.Config(self.app, log_config=None, log_level="warning", access_log=False)
        config.load()
        state = ServerState()
        self.connections = []
        for _ in range(AT_ONCE):
            wire = Wire()
            connection = protocol(config, state, {}, asyncio.get_running_loop())
            done = connection.on_response_complete

            def on_response_complete(wire: Wire = wire, done: Callable[[], None] = done) -> None:
                done()
                wire.answered.set()

            connection.on_response_complete = on_response_complete  # type: ignore[method-assign]
            connection.connection_made(wire)
            self.connections.append((connection, wire))

    async def run(self, requests: list[bytes], times: int) -> float:
        """Microseconds of CPU for a request."""
        notes = (pipelined.note, pipelined.PipelinedConnection.__dict__.get("_wait"))
        if not self.is_whole:
            pipelined.note = lambda *_: None
        started = time.process_time()

        async def client(connection: HttpToolsProtocol, wire: Wire, number: int) -> None:
            for turn in range(times):
                wire.answered.clear()
                connection.data_received(requests[(number + turn) % len(requests)])
                await wire.answered.wait()

        await asyncio.gather(*(client(c, w, n) for n, (c, w) in enumerate(self.connections)))
        spent = time.process_time() - started
        pipelined.note = notes[0]
        assert not any(wire.bad for _, wire in self.connections), "an answer was not a success"
        return 1e6 * spent / (times * AT_ONCE)


def request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: benchmark\r\n"
        f"Accept: application/json\r\nAuthorization: Bearer {token}\r\n"
    )
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


async def measure(url: str, rounds: int, times: int) -> list[Server]:
    common = {"database_url": url, "better_auth_secret": SECRET, "_env_file": None}
    whole = Settings(**common, rate_limit="1000000000/minute")
    servers = [
        Server("without", Settings(**common, rate_limit=""), is_whole=False),
        Server("with", whole, is_whole=True),
    ]
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select user_id, (array_agg(id order by id))[1] from taskport.tasks group by 1"
        ).fetchall()
    sign = SharedSecretTokens(SECRET, "http://localhost:3000", timedelta(days=1))
    now = datetime.now(UTC)
    users = [(sign(user_id=u, email=f"{u}@example.com", now=now), task) for u, task in rows]
    operations = {
        "get": [request("GET", f"/api/tasks/{task}", token) for token, task in users],
        "list": [request("GET", "/api/tasks?limit=20", token) for token, _ in users],
        "create": [request("POST", "/api/tasks", token, b'{"title":"x"}') for token, _ in users],
    }
    async with (
        servers[0].app.router.lifespan_context(servers[0].app),
        servers[1].app.router.lifespan_context(servers[1].app),
    ):
        for server in servers:
            server.connect()
        for turn in range(rounds + 1):
            for operation, requests in operations.items():
                for server in servers if turn % 2 else reversed(servers):
                    figure = await server.run(requests, times)
                    # The first round is for warming up.
                    if turn:
                        server.figures.setdefault(operation, []).append(figure)
    return servers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--times", type=int, default=60, help="requests of each connection")
    options = parser.parse_args()
    os.environ.pop("RATE_LIMIT", None)
    with tempfile.TemporaryDirectory() as name, Path(os.devnull).open("w") as nowhere:
        Path(name).chmod(0o711)
        logs.configure(Settings(_env_file=None, log_format="json"), nowhere)
        with EmbeddedPostgres(Path(name) / "data") as postgres:
            migrate(postgres.url)
            settings = Settings(
                _env_file=None, database_url=postgres.url, better_auth_secret=SECRET
            )
            asyncio.run(seed(settings, users=50, tasks=20, only_if_empty=False))
            servers = asyncio.run(measure(postgres.url, options.rounds, options.times))
    print("| operation | without, CPU us | with | difference |\n|---|--:|--:|--:|")
    for operation in servers[0].figures:
        pairs = list(zip(*(server.figures[operation] for server in servers), strict=True))
        without, whole = (median(column) for column in zip(*pairs, strict=True))
        difference = median(b - a for a, b in pairs)
        print(f"| {operation} | {without:.1f} | {whole:.1f} | {difference:.1f} |")


if __name__ == "__main__":
    main()
