"""A front end and Taskport as they are run: two origins of one site, and a database for both."""

import fcntl
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from tests.interop.better_auth import BetterAuthServer
from tests.interop.nodejs import FOLDER as NODE
from tests.interop.nodejs import node
from tests.processes.service import SECRET, new_home
from tests.waiting import LIMIT_SECONDS

PAGE: Final = Path(__file__).parent / "page"
_USUAL_PORTS: Final = (3000, 8000)
_ANY: Final = 0

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Stage:
    """Two origins that answer: of the page and its Better Auth, and of Taskport."""

    page: str
    api: str
    database_url: str

    def rows(self) -> Rows:
        """All that the database holds, by table."""
        with psycopg.connect(self.database_url) as connection:
            tables = connection.execute(
                "select quote_ident(tablename) from pg_tables where schemaname = 'public'"
            ).fetchall()
            return {
                name: connection.execute(f"select * from {name} order by 1".encode()).fetchall()
                for (name,) in tables
            }


@contextmanager
def staged(database_url: str) -> Iterator[Stage]:
    """Both servers on a migrated database, on the ports of the README where those are free."""
    with (
        _usual_ports() as (page_port, api_port),
        tempfile.TemporaryDirectory() as folder,
        _better_auth(database_url, folder, page_port) as page,
        new_home() as home,
    ):
        settings = {
            "DATABASE_URL": database_url,
            "BETTER_AUTH_SECRET": SECRET,
            "BETTER_AUTH_URL": page,
            "CORS_ORIGINS": page,
        }
        with home.serving(f"--port={api_port}", env=settings) as service:
            api = f"http://localhost:{urlsplit(service.url).port}"
            _build(Path(folder), api)
            yield Stage(page, api, database_url)
            assert "Traceback" not in service.err


@contextmanager
def _better_auth(database_url: str, folder: str, port: int) -> Iterator[str]:
    """The origin of a Better Auth that serves what is in a folder as well."""
    server = BetterAuthServer(
        {
            "DATABASE_URL": database_url,
            "BETTER_AUTH_SECRET": SECRET,
            "HOST": "localhost",
            "PORT": str(port),
            "PAGE": folder,
        }
    )
    try:
        yield f"http://localhost:{urlsplit(server.url).port}"
    finally:
        server.stop()


def _build(target: Path, api: str) -> None:
    """The page as a browser takes it."""
    subprocess.run(
        [
            node(),
            NODE / "node_modules" / "esbuild" / "bin" / "esbuild",
            PAGE / "app.js",
            "--bundle",
            "--format=esm",
            "--log-level=warning",
            f'--define:TASKPORT_URL="{api}"',
            f"--outdir={target}",
        ],
        env={"NODE_PATH": str(NODE / "node_modules")},
        check=True,
        timeout=LIMIT_SECONDS,
    )
    for name in ("index.html", "style.css"):
        (target / name).write_bytes((PAGE / name).read_bytes())


@contextmanager
def _usual_ports() -> Iterator[tuple[int, ...]]:
    """The ports, for one process of the tests at a time; whoever comes second takes any."""
    with (PAGE / "index.html").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _ANY, _ANY
        else:
            yield tuple(port if _is_free(port) else _ANY for port in _USUAL_PORTS)


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        # One that was just used counts as free for a server, too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False
