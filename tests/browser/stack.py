"""The servers of a deployment: front end with Better Auth, Taskport, and one database for both.

Front end and Taskport are two origins of the same site.
"""

import fcntl
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from adapters.postgres.layout import LayoutOptions
from adapters.postgres.schema import migrate
from tests.interop.better_auth import BetterAuthServer
from tests.interop.nodejs import FOLDER as NODE
from tests.interop.nodejs import node
from tests.processes.service import NO_SETTINGS, SECRET, new_home
from tests.waiting import LIMIT_SECONDS

PAGE: Final = Path(__file__).parent / "page"
_README_PORTS: Final = (3000, 8000)
_ANY_PORT: Final = 0

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Stack:
    """The URLs of the running servers and of their database."""

    #: Origin of the page and of Better Auth.
    front_end_url: str
    #: Origin of Taskport.
    api_url: str
    database_url: str

    def rows(self) -> Rows:
        """All rows, by table: Better Auth's as `"user"`, ours as `taskport.tasks`."""
        with psycopg.connect(self.database_url) as connection:
            tables = connection.execute(
                "select case schemaname when 'public' then '' else schemaname || '.' end"
                " || quote_ident(tablename) from pg_tables"
                " where schemaname in ('public', 'taskport')"
            ).fetchall()
            return {
                name: connection.execute(f"select * from {name} order by 1".encode()).fetchall()
                for (name,) in tables
            }


@contextmanager
def running_stack(
    database_url: str,
    *,
    version: str = "",
    better_auth: Mapping[str, str] = NO_SETTINGS,
    taskport: Mapping[str, str] = NO_SETTINGS,
) -> Iterator[Stack]:
    """Start both servers on the ports of the README if they are free, and migrate the database.

    `version` is that of Better Auth and its client; the others are further settings of each side.
    """
    with (
        _free_readme_ports() as (page_port, api_port),
        tempfile.TemporaryDirectory() as folder,
        _better_auth(
            database_url, folder, page_port, {**better_auth, "VERSION": version}
        ) as front_end_url,
        new_home() as home,
    ):
        has_sessions = "BETTER_AUTH_SESSIONS" not in taskport
        migrate(database_url, options=LayoutOptions(has_sessions=has_sessions))
        settings = {
            "DATABASE_URL": database_url,
            "BETTER_AUTH_SECRET": SECRET,
            "BETTER_AUTH_URL": front_end_url,
            "CORS_ORIGINS": front_end_url,
            **taskport,
        }
        with home.serving(f"--port={api_port}", env=settings) as service:
            api_url = f"http://localhost:{urlsplit(service.url).port}"
            _build(Path(folder), api_url, version)
            yield Stack(front_end_url, api_url, database_url)
            assert "Traceback" not in service.err


@contextmanager
def _better_auth(
    database_url: str, folder: str, port: int, settings: Mapping[str, str]
) -> Iterator[str]:
    """Start a Better Auth server that also serves the files of `folder`; its origin."""
    server = BetterAuthServer(
        {
            "DATABASE_URL": database_url,
            "BETTER_AUTH_SECRET": SECRET,
            "HOST": "localhost",
            "PORT": str(port),
            "PAGE": folder,
            **{name: value for name, value in settings.items() if value},
        }
    )
    try:
        yield f"http://localhost:{urlsplit(server.url).port}"
    finally:
        server.stop()


def _build(target: Path, api_url: str, version: str) -> None:
    """Bundle the scripts of the page into `target`, and copy its other files."""
    subprocess.run(
        [
            node(),
            NODE / "node_modules" / "esbuild" / "bin" / "esbuild",
            PAGE / "app.js",
            "--bundle",
            "--format=esm",
            "--log-level=warning",
            f'--define:TASKPORT_URL="{api_url}"',
            f"--outdir={target}",
            *([f"--alias:better-auth=better-auth-{version}"] if version else []),
        ],
        env={"NODE_PATH": str(NODE / "node_modules")},
        check=True,
        timeout=LIMIT_SECONDS,
    )
    for name in ("index.html", "style.css"):
        (target / name).write_bytes((PAGE / name).read_bytes())


@contextmanager
def _free_readme_ports() -> Iterator[tuple[int, ...]]:
    """The ports of the README that are free, for one test process at a time.

    A second process gets `_ANY_PORT` for both.
    """
    with (PAGE / "index.html").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _ANY_PORT, _ANY_PORT
        else:
            yield tuple(port if _is_free(port) else _ANY_PORT for port in _README_PORTS)


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        # As servers do: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False
