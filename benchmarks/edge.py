"""Measures the CPU time that the server spends on a request, in this tree and in another commit.

Each tree has a process and a database of its own, on one PostgreSQL; they take turns. Requests are
passed to uvicorn's protocol as bytes, so that the figures include neither sockets nor a client.
They include background work of the process, such as writing the log.

One pair of processes can differ by some percent from the next: the figures are medians over several
pairs, each the median of its rounds.

    python -m benchmarks.edge --against 1ecc106 --credential cookie
"""

import argparse
import asyncio
import base64
import hmac
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

CONNECTIONS = 16
HERE = Path(__file__).parents[1]
OPERATIONS = ("get", "list", "create", "update")
SECRET = "secret-of-the-benchmark-0123456789"


class FakeTransport(asyncio.Transport):
    """The transport of one connection: discards responses, and counts those without success."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 4711), "sockname": ("127.0.0.1", 8000)})
        self.is_complete = asyncio.Event()
        self.errors = 0

    def write(self, data: Any) -> None:
        if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 2"):
            self.errors += 1

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


def connections(app: Any) -> list[tuple[Any, FakeTransport]]:
    import uvicorn  # noqa: PLC0415
    from uvicorn.server import ServerState  # noqa: PLC0415

    try:
        from adapters.uvicorn.protocol import BoundedHttpProtocol as Protocol  # noqa: PLC0415
    except ImportError:
        from uvicorn.protocols.http.httptools_impl import (  # noqa: PLC0415
            HttpToolsProtocol as Protocol,
        )
    config = uvicorn.Config(app, log_config=None, log_level="warning", access_log=False)
    config.load()
    state, result = ServerState(), []
    for _ in range(CONNECTIONS):
        transport = FakeTransport()
        connection = Protocol(config, state, {}, asyncio.get_running_loop())
        on_complete = connection.on_response_complete

        def on_response_complete(
            transport: FakeTransport = transport, on_complete: Callable[[], None] = on_complete
        ) -> None:
            on_complete()
            transport.is_complete.set()

        connection.on_response_complete = on_response_complete
        connection.connection_made(transport)
        result.append((connection, transport))
    return result


async def serve(requests: dict[str, list[bytes]], times: int) -> None:
    """The process of one tree. Reads operations from standard input, one per line, and prints the
    CPU time of a request in microseconds for each."""
    from entrypoints.app import from_environment  # noqa: PLC0415

    app = from_environment()

    async def client(
        connection: Any, transport: FakeTransport, sent: list[bytes], number: int
    ) -> None:
        for turn in range(times):
            transport.is_complete.clear()
            connection.data_received(sent[(number + turn) % len(sent)])
            await transport.is_complete.wait()

    async with app.router.lifespan_context(app):
        clients = connections(app)
        # Blocks the event loop, which has nothing to do between two slices.
        for line in sys.stdin:
            sent, started = requests[line.strip()], time.process_time()
            await asyncio.gather(*(client(*c, sent, n) for n, c in enumerate(clients)))
            cpu_seconds = time.process_time() - started
            assert not any(transport.errors for _, transport in clients)
            print(1e6 * cpu_seconds / (times * CONNECTIONS), flush=True)


def request(method: str, path: str, credential: str, body: bytes = b"") -> str:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: benchmark\r\n"
        f"Origin: http://localhost:3000\r\nAccept: application/json\r\n{credential}\r\n"
    )
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n{body.decode()}"


def session_cookie(token: str) -> str:
    """As Better Auth signs it: the token and its HMAC in base64, percent-encoded."""
    signature = base64.b64encode(hmac.digest(SECRET.encode(), token.encode(), "sha256")).decode()
    return f"Cookie: better-auth.session_token={quote(f'{token}.{signature}', safe='')}"


def prepare(url: str, credential: str) -> dict[str, list[str]]:
    """Create users with tasks: the requests of each operation. Runs with the modules of one tree,
    since each has migrations of its own."""
    import jwt  # noqa: PLC0415
    import psycopg  # noqa: PLC0415

    from adapters.logs.process_log import configure  # noqa: PLC0415
    from adapters.postgres.schema import migrate  # noqa: PLC0415
    from entrypoints.seeding import seed  # noqa: PLC0415
    from entrypoints.settings import Settings  # noqa: PLC0415

    configure("warning")
    migrate(url)
    settings = Settings(_env_file=None, database_url=url, better_auth_secret=SECRET)
    asyncio.run(seed(settings, users=50, tasks=20, only_if_empty=False))
    now = datetime.now(UTC)
    users = []
    with psycopg.connect(url) as connection:
        for user, task in connection.execute(
            "select user_id, (array_agg(id order by id))[1] from taskport.tasks group by 1"
        ).fetchall():
            if credential == "cookie":
                token = secrets.token_urlsafe(24)
                connection.execute(
                    'insert into session (id, token, "userId", "expiresAt", "createdAt",'
                    " \"updatedAt\") values (%s, %s, %s, now() + interval '1 day', now(), now())",
                    [token, token, user],
                )
                users.append((session_cookie(token), task))
            else:
                claims = {"sub": user, "iat": now, "exp": now + timedelta(days=1)}
                token = jwt.encode(claims, SECRET)
                users.append((f"Authorization: Bearer {token}", task))
    return {
        "get": [request("GET", f"/api/tasks/{task}", user) for user, task in users],
        "list": [request("GET", "/api/tasks?limit=20", user) for user, _ in users],
        "create": [request("POST", "/api/tasks", user, b'{"title":"x"}') for user, _ in users],
        # Two titles by turns, so that every update changes its task.
        "update": [
            request("PATCH", f"/api/tasks/{task}", user, title)
            for title in (b'{"title":"a"}', b'{"title":"b"}')
            for user, task in users
        ],
    }


def start(tree: Path, url: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A process of this file with the modules of `tree`."""
    return subprocess.Popen(
        [sys.executable, __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # The log.
        stderr=subprocess.DEVNULL,
        text=True,
        # Without an `.env`.
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(tree),
            "DATABASE_URL": url,
            "BETTER_AUTH_SECRET": SECRET,
            # Requests are counted, but never over the limit.
            "RATE_LIMIT": "1000000000/minute",
        },
    )


def measure(
    processes: Sequence[subprocess.Popen[str]], rounds: int
) -> dict[tuple[str, int], list[float]]:
    """The CPU times, in microseconds, by operation and index of the process."""
    figures: dict[tuple[str, int], list[float]] = {}
    for turn in range(rounds + 1):
        for operation in OPERATIONS:
            for tree in (0, 1) if turn % 2 else (1, 0):
                process = processes[tree]
                assert process.stdin is not None and process.stdout is not None
                print(operation, file=process.stdin, flush=True)
                figure = float(process.stdout.readline())
                # The first round only warms up.
                if turn:
                    figures.setdefault((operation, tree), []).append(figure)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", default="HEAD~1", help="the other commit")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of processes")
    parser.add_argument("--rounds", type=int, default=20, help="measurements of each pair")
    parser.add_argument("--times", type=int, default=30, help="requests of each connection")
    parser.add_argument("--credential", choices=("cookie", "token"), default="cookie")
    parser.add_argument("--prepare", help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        url = os.environ["DATABASE_URL"]
        Path(options.prepare).write_text(json.dumps(prepare(url, options.credential)))
        return
    if options.serve:
        texts = json.loads(Path(options.serve).read_text())
        requests = {name: [text.encode() for text in each] for name, each in texts.items()}
        asyncio.run(serve(requests, options.times))
        return

    import psycopg  # noqa: PLC0415
    from sqlalchemy import make_url  # noqa: PLC0415

    from adapters.postgres_server.server import EmbeddedPostgres  # noqa: PLC0415

    figures: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o711)
        other, git = folder / "other", ["git", "-C", str(HERE), "worktree"]
        subprocess.run([*git, "add", "--detach", str(other), options.against], check=True)
        stack.callback(subprocess.run, [*git, "remove", "--force", str(other)], check=True)
        server = stack.enter_context(EmbeddedPostgres(folder / "data"))
        for pair in range(options.pairs):
            processes = []
            for name, tree in ((f"before{pair}", other), (f"now{pair}", HERE)):
                with psycopg.connect(server.url, autocommit=True) as connection:
                    connection.execute(f"create database {name}")
                url = make_url(server.url).set(database=name).render_as_string(hide_password=False)
                file = folder / f"{name}.json"
                preparation = ["--prepare", str(file), "--credential", options.credential]
                start(tree, url, folder, *preparation).communicate()
                serving = ["--serve", str(file), "--times", str(options.times)]
                processes.append(start(tree, url, folder, *serving))
            for key, of_pair in measure(processes, options.rounds).items():
                figures.setdefault(key, []).append(median(of_pair))
            for process in processes:
                process.communicate()
    print(f"\n| operation | {options.against}, CPU us | this tree | difference |")
    print("|---|--:|--:|--:|")
    for operation in OPERATIONS:
        before, now = figures[operation, 0], figures[operation, 1]
        difference = median(b - a for a, b in zip(before, now, strict=True))
        print(
            f"| {operation} | {median(before):.1f} | {median(now):.1f} "
            f"| {difference:.1f} ({difference / median(before):+.1%}) |"
        )


if __name__ == "__main__":
    main()
