"""Compares Taskport with the service of the tutorials, in one run on one PostgreSQL."""

import argparse
import asyncio
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import psycopg

from adapters.better_auth.shared_secret import SharedSecretTokens
from adapters.logs.process_log import configure
from adapters.postgres.schema import migrate
from adapters.postgres_server.server import EmbeddedPostgres
from entrypoints.seeding import seed
from entrypoints.settings import Settings

HERE = Path(__file__).parent
OPERATIONS = ("list", "get", "create", "update", "mixed")
TASKS_PER_USER = 100
SERVER_CORE, OTHER_CORE = 0, 1


@dataclass
class Server:
    name: str
    port: int
    command: list[str]
    environment: dict[str, str]
    users: Path
    tasks_table: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            cwd=HERE.parent,
            stdout=subprocess.DEVNULL,
            # The log is written, but not kept.
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
        )
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/openapi.json", timeout=1)
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{self.name} does not start")

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu_seconds(self) -> float:
        assert self.process is not None
        parts = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Slice:
    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_seconds: float


@dataclass
class Results:
    slices: dict[tuple[int, str, str], list[Slice]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def row(self, key: tuple[int, str, str]) -> dict[str, float]:
        slices = self.slices[key]
        requests = sum(s.requests for s in slices)
        return {
            "rate": requests / sum(s.seconds for s in slices),
            "p95": median(s.p95_ms for s in slices),
            "cpu": 1e6 * sum(s.cpu_seconds for s in slices) / max(requests, 1),
            "errors": sum(s.errors for s in slices),
        }


def measure(server: Server, operation: str, connections: int, seconds: int) -> Slice:
    """Measure a slice with a fresh server: one that is overloaded would still work on the last."""
    server.start()
    try:
        return load(server, operation, connections, seconds)
    finally:
        server.stop()


def load(server: Server, operation: str, connections: int, seconds: int) -> Slice:
    before = server.cpu_seconds()
    output = subprocess.run(
        [
            *("wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s"),
            *("-s", str(HERE / "load.lua"), f"http://127.0.0.1:{server.port}"),
        ],
        env={**os.environ, "OPERATION": operation, "USERS": str(server.users)},
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {OTHER_CORE}),
    ).stdout
    result = next(line for line in output.splitlines() if line.startswith("RESULT"))
    requests, micros, errors, *latencies = map(float, result.split()[1:])
    p50, p95, p99 = (latency / 1e3 for latency in latencies)
    cpu = server.cpu_seconds() - before
    return Slice(int(requests), micros / 1e6, int(errors), p50, p95, p99, cpu)


def tokens_file(url: str, tokens: SharedSecretTokens, table: str, path: Path) -> None:
    """Write a line per user: a token, and the ids of ten tasks."""
    query = (
        f"select t.user_id, (array_agg(t.id order by t.id))[:10] from {table} t"
        " group by t.user_id order by t.user_id"
    )
    now = datetime.now(UTC)
    with psycopg.connect(url) as connection, path.open("w") as file:
        for user_id, ids in connection.execute(query):
            token = tokens(user_id=user_id, email=f"{user_id}@example.com", now=now)
            print(token, *ids, file=file)


def prepare(url: str, users: int) -> None:
    configure("warning")
    migrate(url)
    settings = Settings(_env_file=None, database_url=url, better_auth_secret="0123456789abcdef" * 2)
    asyncio.run(seed(settings, users=users, tasks=TASKS_PER_USER, only_if_empty=False))
    os.environ["DATABASE_URL"] = url
    from benchmarks.tutorial import SQLModel, TutorialTask, engine  # noqa: PLC0415

    SQLModel.metadata.create_all(engine, tables=[TutorialTask.__table__])
    engine.dispose()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into tutorial_task"
            " (user_id, title, description, status, created_at, updated_at)"
            " select user_id, title, description, status, created_at, updated_at"
            " from taskport.tasks order by id"
        )
        connection.execute("vacuum analyze")


def tidy(url: str, table: str, last_id: int) -> None:
    """Delete the tasks that a slice created, or the lists of later slices would be longer."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"delete from {table} where id > %s", (last_id,))
        connection.execute(f"vacuum analyze {table}")


def servers(url: str, secret: str, folder: Path) -> list[Server]:
    tokens = SharedSecretTokens(
        secrets=(secret,), origin="http://localhost:3000", lifetime=timedelta(days=1)
    )
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "BETTER_AUTH_SECRET": secret,
        "PYTHONPATH": str(HERE.parent),
        # Requests are counted, but never over the limit.
        "RATE_LIMIT": "1000000000/minute",
        "AUTH_RATE_LIMIT": "1000000000/minute",
    }
    taskport = [sys.executable, "-c", "from entrypoints.cli import main; main()"]
    uvicorn = [sys.executable, "-m", "uvicorn", "--no-access-log", "--log-level", "warning"]
    result = [
        Server(
            "taskport",
            8801,
            [*taskport, "serve", "--host", "127.0.0.1", "--port", "8801"],
            environment,
            folder / "taskport.users",
            "taskport.tasks",
        ),
        Server(
            "tutorial",
            8802,
            [*uvicorn, "--port", "8802", "benchmarks.tutorial:app"],
            environment,
            folder / "tutorial.users",
            "tutorial_task",
        ),
    ]
    for server in result:
        tokens_file(url, tokens, server.tasks_table, server.users)
    return result


def report(results: Results, names: list[str], options: argparse.Namespace) -> str:
    has_pgo = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    lines = [
        f"CPython {platform.python_version()} ({'with' if has_pgo else 'without'} PGO),"
        f" {options.users} users x {TASKS_PER_USER} tasks,"
        f" {options.rounds} rounds of {options.seconds} s slices",
        "",
        "| connections | operation | server | requests/s | p95 ms | CPU us/request | errors |",
        "|--:|---|---|--:|--:|--:|--:|",
    ]
    for connections in options.connections:
        for operation in options.operations:
            for name in names:
                row = results.row((connections, operation, name))
                if row["rate"] == 0:
                    lines.append(f"| {connections} | {operation} | {name} | no response | | | |")
                    continue
                lines.append(
                    f"| {connections} | {operation} | {name} | {row['rate']:.0f} |"
                    f" {row['p95']:.0f} | {row['cpu']:.0f} | {row['errors']:.0f} |"
                )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 1000])
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--only", nargs="+", choices=("taskport", "tutorial"))
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: install it (Debian: apt-get install wrk)")

    results = Results()
    secret = secrets.token_urlsafe(32)
    os.sched_setaffinity(0, {OTHER_CORE})
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        with EmbeddedPostgres(Path(name) / "data") as postgres:
            prepare(postgres.url, options.users)
            last_id = options.users * TASKS_PER_USER
            both = servers(postgres.url, secret, Path(name))
            measured = [s for s in both if not options.only or s.name in options.only]
            for _ in range(options.rounds):
                for connections in options.connections:
                    for operation in options.operations:
                        for server in measured:
                            result = measure(server, operation, connections, options.seconds)
                            results.slices[connections, operation, server.name].append(result)
                            print(connections, operation, server.name, result, flush=True)
                            if operation in ("create", "mixed"):
                                tidy(postgres.url, server.tasks_table, last_id)
            print(report(results, [s.name for s in measured], options))


if __name__ == "__main__":
    main()
