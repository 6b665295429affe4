"""The PostgreSQL that `taskport` brings along: it comes, stays, goes, and loses nothing."""

import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres_server.os_user import OsUser
from tests.processes.service import (
    Home,
    Service,
    error_message,
    new_home,
    running,
    signed_token,
    tree,
)
from tests.waiting import eventually

pytestmark = pytest.mark.postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="this concerns root alone")
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux ends a process together with its parent"
)


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


def said_url(home: Home) -> dict[str, str]:
    said = conninfo_to_dict(home.database_url())
    return {name: str(value) for name, value in said.items()}


def control_c(service: Service) -> None:
    """What a terminal does: every process of the foreground gets the signal."""
    os.killpg(service.pid, signal.SIGINT)


def terminate(service: Service) -> None:
    os.kill(service.pid, signal.SIGTERM)


def test_the_next_start_finds_what_was_accepted(home: Home) -> None:
    """What was in flight included: the database outlives the last request, and then it is gone."""
    expected: set[str] = set()
    for stop in (terminate, control_c):
        with home.serving() as service:
            token = home.kept_token()
            assert service.titles(token) == expected
            service.create(token, f"before {stop.__name__}")
            everything = tree(service.pid)
            assert home.postgres_pids() < everything
            with service.holding(token, f"during {stop.__name__}") as held:
                stop(service)
                eventually(lambda: not service.is_listening())
                status, _ = held.finish()
            assert status == 201
            assert service.wait() == 0
            assert not running(everything)
            assert home.postmaster() is None
            assert not home.postgres_pids()
            assert service.problems == []
            expected |= {f"before {stop.__name__}", f"during {stop.__name__}"}

    with home.serving() as service:
        assert service.titles(token) == expected


@on_linux
def test_after_kill_9_nothing_is_left_running_and_nothing_is_lost(home: Home) -> None:
    """The next start may come at once, while the old server is still on its way out."""
    with home.serving() as service:
        token = home.kept_token()
        service.create(token, "committed")
        first = tree(service.pid)
        service.kill()

    with home.serving() as service:
        assert service.titles(token) == {"committed"}
        assert not running(first)
        second = tree(service.pid)
        assert len(second) > 2
        service.kill()
        eventually(lambda: not running(second))


def test_a_server_that_was_left_behind_is_adopted(home: Home) -> None:
    """As where the kernel does not end it together with its parent: it serves on, and is stopped
    by whoever adopted it."""
    home.make_database()
    postmaster = home.start_postgres()

    with home.serving() as service:
        assert home.postmaster() == postmaster
        service.create(home.kept_token(), "on the adopted server")
        assert service.terminate() == 0
        assert home.postmaster() is None
        assert not home.postgres_pids()


def test_commands_join_a_running_server_and_leave_it_running(home: Home) -> None:
    """It is the same process after each of them."""
    with home.serving() as service:
        postmaster = home.postmaster()
        assert postmaster is not None
        for command in (
            ("token", "ann@example.com"),
            ("check",),
            ("seed", "--users", "2", "--tasks", "3"),
        ):
            done = home.run(*command)
            assert done.code == 0, done.err
            assert home.postmaster() == postmaster
            assert running({postmaster})
        service.create(home.kept_token(), "still here")


def test_a_service_outlives_the_command_that_started_its_database(home: Home) -> None:
    """Whoever starts `serve` while `seed` is at work must not lose the database at its end."""
    with command_at_work(home) as command, home.serving() as service:
        assert command.wait(30) == 0

        eventually(lambda: service.responds("/readyz"))
        service.create(home.kept_token(), "after the command")


@contextmanager
def command_at_work(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the embedded server for some seconds, as a long command does."""
    code = (
        "import pathlib, sys, time\n"
        "from adapters.postgres_server.server import EmbeddedPostgres\n"
        "with EmbeddedPostgres(pathlib.Path(sys.argv[1])):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(4)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home.data)],
        stdout=subprocess.PIPE,
        text=True,
        **home.options(),
    ) as command:
        try:
            assert command.stdout is not None
            assert command.stdout.readline() == "ready\n"
            yield command
        finally:
            command.kill()


def test_two_commands_at_once_on_a_new_folder(home: Home) -> None:
    """One of them makes the database, and none takes it away from the other."""
    with ThreadPoolExecutor() as threads:
        tokens = set(threads.map(home.token, ["ann@example.com", "bob@example.com"]))

    assert len(tokens) == 2
    home.start_postgres()
    with psycopg.connect(home.database_url()) as connection:
        users = connection.execute('select email from public."user" order by 1').fetchall()
        assert users == [("ann@example.com",), ("bob@example.com",)]


def test_two_workers_share_the_database(home: Home) -> None:
    """Whichever of them answers; SIGTERM ends them all, after the last request."""
    with home.serving("--workers=2") as service:
        token = home.kept_token()
        service.create(token, "seen by both")
        assert all(service.titles(token) == {"seen by both"} for _ in range(10))
        everything = tree(service.pid)
        assert len(everything - home.postgres_pids()) >= 3

        with service.idle_connection() as idle, service.holding(token, "in flight") as held:
            terminate(service)
            assert idle.recv(1) == b""
            status, _ = held.finish()
        assert status == 201
        assert service.wait() == 0
        # What multiprocessing keeps beside the workers sees its parent end, and follows.
        eventually(lambda: not running(everything))
        assert not home.postgres_pids()


@on_linux
def test_workers_end_when_their_parent_is_killed(home: Home) -> None:
    """They would hold the port, and the next start could not have it."""
    with home.serving("--workers=2") as service:
        everything = tree(service.pid)
        assert len(everything - home.postgres_pids()) >= 3

        service.kill()

        eventually(lambda: not running(everything))
        assert not service.is_listening()


@pytest.mark.parametrize("name", ["editor", "postgres"])
def test_a_stale_lock_file_whose_number_belongs_to_somebody_else(home: Home, name: str) -> None:
    """After a crash of the machine it may be anybody's, the server of another folder included."""
    home.make_database()
    with stranger(home, name) as other:
        leave_lock_file(home, other.pid)

        with home.serving() as service:
            service.create(home.kept_token(), "all the same")
            assert home.postmaster() not in (None, other.pid)

        assert other.poll() is None


def test_a_start_that_fails_stops_nobody_else(home: Home) -> None:
    """Whatever process has the number of a stale lock file by now, no signal is for it."""
    home.make_database()
    with stranger(home, "editor") as other:
        leave_lock_file(home, other.pid)
        (home.data / "database-url").unlink()

        said = error_message(home.run("token", "ann@example.com"))

        assert str(home.data / "database-url") in said
        assert other.poll() is None


@contextmanager
def stranger(home: Home, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this name that has nothing to do with us."""
    program = home.folder / name
    program.symlink_to(shutil.which("sleep") or "/bin/sleep")
    # PostgreSQL itself sees through the number of a process that it may not signal.
    with subprocess.Popen([program, "100"], **OsUser.choose().options) as process:
        try:
            yield process
        finally:
            process.kill()


def leave_lock_file(home: Home, pid: int) -> None:
    data = home.data / "postgres"
    lines = (pid, data, 1_700_000_000, said_url(home)["port"], "", "127.0.0.1", "", "ready   ")
    lock_file = data / "postmaster.pid"
    lock_file.write_text("".join(f"{line}\n" for line in lines))
    os.chown(lock_file, data.stat().st_uid, data.stat().st_gid)
    lock_file.chmod(0o600)


def test_only_its_user_can_read_the_secrets(home: Home) -> None:
    """The files are for their owner, and nobody else can list the folder."""
    with home.serving() as service:
        for name in ("secret", "database-url", "owner.lock", "postgres.log"):
            assert stat.S_IMODE((home.data / name).stat().st_mode) == 0o600, name
        assert stat.S_IMODE((home.data / "postgres").stat().st_mode) == 0o700
        assert not stat.S_IMODE(home.data.stat().st_mode) & 0o066
        secret = (home.data / "secret").read_text().strip()
        assert service.terminate() == 0

    assert len(secret) >= 32
    said = said_url(home)
    shown = f"postgresql://{said['user']}@{said['host']}:{said['port']}/{said['dbname']}"
    assert shown in service.out
    for text in (service.out, service.err, (home.data / "postgres.log").read_text()):
        assert said["password"] not in text
        assert secret not in text


def test_a_taken_port_is_exchanged_for_another(home: Home) -> None:
    """The file with the URL follows; the password stays what it was."""
    home.make_database()
    before = said_url(home)

    with socket.create_server(("127.0.0.1", int(before["port"]))), home.serving() as service:
        after = said_url(home)
        assert after == {**before, "port": after["port"]}
        assert after["port"] != before["port"]
        assert f":{after['port']}/" in service.out
        service.create(home.kept_token(), "on another port")


def test_what_serve_prints_is_true(home: Home) -> None:
    """Where it listens, where the data is, how to make the first request, how to share it."""
    with home.serving() as service:
        said = service.out
        assert f"Taskport     {service.url}   (documentation: {service.url}/docs)" in said
        assert service.request("GET", "/docs").status_code == 200

        assert f"its data is in {home.data / 'postgres'}\n" in said
        assert (home.data / "postgres" / "PG_VERSION").exists()

        shared = dict(re.findall(r'([A-Z_]+)="\$\(cat (\S+)\)"', said))
        with psycopg.connect(Path(shared["DATABASE_URL"]).read_text().strip()) as connection:
            assert connection.execute("select count(*) from taskport.tasks").fetchone() == (0,)
        secret = Path(shared["BETTER_AUTH_SECRET"]).read_text().strip()
        service.create(signed_token(secret=secret), "by the front end")

        token_command = re.search(r'TOKEN="\$\(\S+/taskport (token \S+)\)"', said)
        request = re.search(r'curl -i (\S+) -H "Authorization: Bearer \$TOKEN"', said)
        assert token_command is not None
        assert request is not None
        done = home.run(*token_command[1].split())
        path = request[1].removeprefix(service.url)
        answer = service.request("GET", path, token=done.out.strip())
        assert answer.status_code == 200
        assert answer.json()["total"] == 0


@as_root
def test_an_ordinary_user_needs_no_other_account() -> None:
    """Everything belongs to that user, who has nothing but the folder."""
    user = pwd.getpwnam("nobody")
    with new_home(user.pw_uid, user.pw_gid) as home:
        with home.serving() as service:
            token = home.token()
            service.create(token, "as nobody")
            assert service.titles(token) == {"as nobody"}
            assert {path.stat().st_uid for path in home.data.iterdir()} == {user.pw_uid}
            assert stat.S_IMODE(home.data.stat().st_mode) == 0o700
            assert service.terminate() == 0
        assert not home.postgres_pids()


@as_root
def test_root_below_a_folder_of_its_own_is_told_what_to_do() -> None:
    """The account of the server could not get at its data."""
    with new_home() as home:
        home.folder.chmod(0o700)

        said = error_message(home.run("serve", "--host=127.0.0.1", "--port=0"))

        assert "TASKPORT_DATA_DIR" in said
        assert str(home.data) in said
        assert not (home.data / "postgres").exists()


def test_a_data_folder_with_a_space_in_its_name(home: Home) -> None:
    """What runs is recognised by its path."""
    spaced = home.folder / "a folder" / "data"
    with home.serving(env={"TASKPORT_DATA_DIR": str(spaced)}) as service:
        assert f"'{spaced}/secret'" in service.out
        started = time.monotonic()
        assert service.terminate() == 0
        assert time.monotonic() - started < 20, "the server was not found, and not stopped"
        assert not (spaced / "postgres" / "postmaster.pid").exists()


def test_a_server_that_dies_is_replaced(home: Home) -> None:
    """Its data is on disk, and the service that owns it is still there."""
    with home.serving() as service:
        token = home.kept_token()
        service.create(token, "before")
        killed = home.postmaster()
        assert killed is not None
        os.kill(killed, signal.SIGKILL)

        eventually(lambda: home.postmaster() not in (None, killed))
        eventually(lambda: service.responds("/readyz"))
        assert service.titles(token) == {"before"}
        assert service.terminate() == 0
    assert not home.postgres_pids()
