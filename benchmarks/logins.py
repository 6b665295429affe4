"""Measures how much many concurrent log-ins slow down other requests.

Reads of tasks alone, and beside 64 connections that log in as fast as they get responses, by turns.
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

LOGIN_CONNECTIONS = 64


@contextmanager
def logins(server: Server, seconds: int) -> Iterator[list[str]]:
    """Log in during the block. The counts of responses by status are in the list after it."""
    counts: list[str] = []
    wrk = subprocess.Popen(
        [
            *("wrk", "-t", "1", "-c", str(LOGIN_CONNECTIONS), "-d", f"{seconds}s"),
            *("--timeout", "30s", "-s", str(HERE / "logins.lua")),
            f"http://127.0.0.1:{server.port}",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    yield counts
    output, _ = wrk.communicate(timeout=seconds + 30)
    counts += next(line for line in output.splitlines() if line.startswith("LOGINS")).split()[1:]


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
                with logins(server, options.seconds + 1) as counts:
                    beside.append(load(server, "get", options.connections, options.seconds))
                print(f"log-ins with 401, 503, another status: {', '.join(counts)}", flush=True)
            server.stop()
    print("| reads | requests/s | p50 ms | p99 ms | errors |\n|---|--:|--:|--:|--:|")
    for label, slices in (("alone", alone), ("beside log-ins", beside)):
        rate = sum(s.requests for s in slices) / sum(s.seconds for s in slices)
        p50, p99 = median(s.p50_ms for s in slices), median(s.p99_ms for s in slices)
        errors = sum(s.errors for s in slices)
        print(f"| {label} | {rate:.0f} | {p50:.1f} | {p99:.1f} | {errors} |")


if __name__ == "__main__":
    main()
