"""How much a storm of log-ins slows down everybody else.

Reads of tasks, first alone, then beside 64 connections that try to log in as fast as they are
answered; in turns, in one run.
"""

import argparse
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from adapters.postgres_server.server import EmbeddedPostgres
from benchmarks.run import HERE, Server, Slice, load, prepare, servers

STORM_CONNECTIONS = 64


@contextmanager
def storm(server: Server, seconds: int) -> Iterator[list[str]]:
    """Log-ins for as long as the block takes; then what they were answered."""
    said: list[str] = []
    wrk = subprocess.Popen(
        [
            *("wrk", "-t", "1", "-c", str(STORM_CONNECTIONS), "-d", f"{seconds}s"),
            *("--timeout", "30s", "-s", str(HERE / "logins.lua")),
            f"http://127.0.0.1:{server.port}",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    yield said
    output, _ = wrk.communicate(timeout=seconds + 30)
    said += next(line for line in output.splitlines() if line.startswith("LOGINS")).split()[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=16, help="that read tasks")
    options = parser.parse_args()

    alone: list[Slice] = []
    beside: list[Slice] = []
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        secret = secrets.token_urlsafe(32)
        with EmbeddedPostgres(Path(name) / "data") as postgres:
            prepare(postgres.url, 100)
            server = servers(postgres.url, secret, Path(name))[0]
            server.start()
            for _ in range(options.rounds):
                alone.append(load(server, "get", options.connections, options.seconds))
                with storm(server, options.seconds + 1) as answers:
                    beside.append(load(server, "get", options.connections, options.seconds))
                print(f"refused, turned away, other: {', '.join(answers)}", flush=True)
            server.stop()
    print("| reads | requests/s | p50 ms | p99 ms | errors |\n|---|--:|--:|--:|--:|")
    for label, slices in (("alone", alone), ("beside log-ins", beside)):
        rate = sum(s.requests for s in slices) / sum(s.seconds for s in slices)
        p50, p99 = median(s.p50_ms for s in slices), median(s.p99_ms for s in slices)
        errors = sum(s.errors for s in slices)
        print(f"| {label} | {rate:.0f} | {p50:.1f} | {p99:.1f} | {errors} |")


if __name__ == "__main__":
    main()
