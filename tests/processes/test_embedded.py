"""The embedded PostgreSQL server: start, join, takeover, adoption, stop."""

import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
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

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux stops a process when its parent ends"
)


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


def url_parameters(home: Home) -> dict[str, str]:
    parameters = conninfo_to_dict(home.database_url())
    return {name: str(value) for name, value in parameters.items()}


def control_c(service: Service) -> None:
    """Send SIGINT as a terminal does, to every process of the foreground."""
    os.killpg(service.pid, signal.SIGINT)


def terminate(service: Service) -> None:
    os.kill(service.pid, signal.SIGTERM)


def test_accepted_requests_survive_a_restart(home: Home) -> None:
    """Also a request in flight: the database server stops after the last request."""
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
def test_sigkill_leaves_no_process_and_loses_no_data(home: Home) -> None:
    """The next start may come while the old server is still shutting down."""
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


def test_server_without_an_owner_is_adopted(home: Home) -> None:
    """On macOS, the server survives a SIGKILL of its owner. The process that adopts it stops it."""
    home.make_database()
    postmaster = home.start_postgres()

    with home.serving() as service:
        assert home.postmaster() == postmaster
        service.create(home.kept_token(), "on the adopted server")
        assert service.terminate() == 0
        assert home.postmaster() is None
        assert not home.postgres_pids()


def test_commands_join_a_running_server_and_do_not_stop_it(home: Home) -> None:
    with home.serving() as service:
        postmaster = home.postmaster()
        assert postmaster is not None
        for command in (
            ("token", "ann@example.com"),
            ("check",),
            ("seed", "--users", "2", "--tasks", "3"),
        ):
            completed = home.run(*command)
            assert completed.code == 0, completed.err
            assert home.postmaster() == postmaster
            assert running({postmaster})
        service.create(home.kept_token(), "still here")


@pytest.mark.parametrize("is_killed", [False, True], ids=["exits", "is killed"])
def test_service_takes_over_from_an_owner_that(home: Home, is_killed: bool) -> None:
    """A command owns the server that `serve` joins, and stops it when it ends."""
    with running_command(home) as command, home.serving() as service:
        token = home.kept_token()
        service.create(token, "before")
        if is_killed:
            command.kill()
            command.wait()
        else:
            command.communicate()
            assert command.returncode == 0

        eventually(lambda: service.responds("/readyz"))
        assert service.titles(token) == {"before"}
        assert service.terminate() == 0
        assert home.postmaster() is None


@contextmanager
def running_command(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A process that owns the embedded server until its standard input is closed."""
    code = (
        "import pathlib, sys\n"
        "from adapters.postgres_server.server import EmbeddedPostgres\n"
        "with EmbeddedPostgres(pathlib.Path(sys.argv[1])):\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home.data)],
        stdin=subprocess.PIPE,
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


def test_two_concurrent_commands_on_a_new_folder(home: Home) -> None:
    """One creates the database, and does not stop the server while the other uses it."""
    with ThreadPoolExecutor() as threads:
        tokens = set(threads.map(home.token, ["ann@example.com", "bob@example.com"]))

    assert len(tokens) == 2
    home.start_postgres()
    with psycopg.connect(home.database_url()) as connection:
        users = connection.execute('select email from public."user" order by 1').fetchall()
        assert users == [("ann@example.com",), ("bob@example.com",)]


def test_two_workers_share_the_database(home: Home) -> None:
    """SIGTERM ends both workers, after the last request."""
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
        # The resource tracker of multiprocessing ends after its parent.
        eventually(lambda: not running(everything))
        assert not home.postgres_pids()


@on_linux
def test_workers_end_when_their_parent_is_killed(home: Home) -> None:
    """Otherwise they would keep the port, and the next start would fail."""
    with home.serving("--workers=2") as service:
        everything = tree(service.pid)
        assert len(everything - home.postgres_pids()) >= 3

        service.kill()

        eventually(lambda: not running(everything))
        assert not service.is_listening()


@pytest.mark.parametrize("name", ["editor", "postgres"])
def test_stale_lock_file_with_the_id_of_another_process(home: Home, name: str) -> None:
    """After a reboot the id may be any process's, even that of the server of another folder."""
    home.make_database()
    with unrelated_process(home, name) as other:
        leave_lock_file(home, other.pid)

        with home.serving() as service:
            service.create(home.kept_token(), "all the same")
            assert home.postmaster() not in (None, other.pid)

        assert other.poll() is None


def test_failed_start_stops_no_other_process(home: Home) -> None:
    """No process with the id of a stale lock file gets a signal."""
    home.make_database()
    with unrelated_process(home, "editor") as other:
        leave_lock_file(home, other.pid)
        (home.data / "database-url").unlink()

        message = error_message(home.run("token", "ann@example.com"))

        assert str(home.data / "database-url") in message
        assert other.poll() is None


def test_incomplete_data_is_not_replaced(home: Home) -> None:
    """Without PG_VERSION, the folder is no data directory, but its files may be of value."""
    home.make_database()
    url = home.database_url()
    (home.data / "postgres" / "PG_VERSION").unlink()

    message = error_message(home.run("token", "ann@example.com"))

    assert f"{home.data / 'postgres'} has no PG_VERSION" in message
    assert home.database_url() == url
    assert (home.data / "postgres" / "global").is_dir()


@contextmanager
def unrelated_process(home: Home, name: str) -> Iterator[subprocess.Popen[bytes]]:
    program = home.folder / name
    program.symlink_to(shutil.which("sleep") or "/bin/sleep")
    # As the user of the server: PostgreSQL itself ignores the id of a process of another user.
    with subprocess.Popen([program, "3600"], **OsUser.choose().options) as process:
        try:
            yield process
        finally:
            process.kill()


def leave_lock_file(home: Home, pid: int) -> None:
    data = home.data / "postgres"
    lines = (
        pid,
        data,
        1_700_000_000,
        url_parameters(home)["port"],
        "",
        "127.0.0.1",
        "",
        "ready   ",
    )
    lock_file = data / "postmaster.pid"
    lock_file.write_text("".join(f"{line}\n" for line in lines))
    os.chown(lock_file, data.stat().st_uid, data.stat().st_gid)
    lock_file.chmod(0o600)


def test_only_its_user_can_read_the_secrets(home: Home) -> None:
    """Other users can neither read the files nor list the folder."""
    with home.serving() as service:
        for name in ("secret", "database-url", "owner.lock", "postgres.log"):
            assert stat.S_IMODE((home.data / name).stat().st_mode) == 0o600, name
        assert stat.S_IMODE((home.data / "postgres").stat().st_mode) == 0o700
        assert not stat.S_IMODE(home.data.stat().st_mode) & 0o066
        secret = (home.data / "secret").read_text().strip()
        assert service.terminate() == 0

    assert len(secret) >= 32
    url = url_parameters(home)
    printed = f"postgresql://{url['user']}@{url['host']}:{url['port']}/{url['dbname']}"
    assert printed in service.out
    for text in (service.out, service.err, (home.data / "postgres.log").read_text()):
        assert url["password"] not in text
        assert secret not in text


def test_another_port_is_used_if_the_port_is_taken(home: Home) -> None:
    """The file with the URL is updated; the password does not change."""
    home.make_database()
    before = url_parameters(home)

    with socket.create_server(("127.0.0.1", int(before["port"]))), home.serving() as service:
        after = url_parameters(home)
        assert after == {**before, "port": after["port"]}
        assert after["port"] != before["port"]
        assert f":{after['port']}/" in service.out
        service.create(home.kept_token(), "on another port")


def test_output_of_serve_is_correct(home: Home) -> None:
    """The address, the data folder, the first request, and how to share the database."""
    with home.serving() as service:
        output = service.out
        assert f"Taskport     {service.url}   (documentation: {service.url}/docs)" in output
        assert service.request("GET", "/docs").status_code == 200

        assert f"its data is in {home.data / 'postgres'}\n" in output
        assert (home.data / "postgres" / "PG_VERSION").exists()

        shared = dict(re.findall(r'([A-Z_]+)="\$\(cat (\S+)\)"', output))
        with psycopg.connect(Path(shared["DATABASE_URL"]).read_text().strip()) as connection:
            assert connection.execute("select count(*) from taskport.tasks").fetchone() == (0,)
        secret = Path(shared["BETTER_AUTH_SECRET"]).read_text().strip()
        service.create(signed_token(secret=secret), "by the front end")

        token_command = re.search(r'TOKEN="\$\(\S+/taskport (token \S+)\)"', output)
        request = re.search(r'curl -i (\S+) -H "Authorization: Bearer \$TOKEN"', output)
        assert token_command is not None
        assert request is not None
        completed = home.run(*token_command[1].split())
        path = request[1].removeprefix(service.url)
        response = service.request("GET", path, token=completed.out.strip())
        assert response.status_code == 200
        assert response.json()["total"] == 0


@as_root
def test_ordinary_user_needs_no_system_user() -> None:
    """All files belong to the user, who needs access to the data folder only."""
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
def test_root_with_an_inaccessible_folder_gets_an_error_message() -> None:
    """The system user of the server could not reach its data."""
    with new_home() as home:
        home.folder.chmod(0o700)

        message = error_message(home.run("serve", "--host=127.0.0.1", "--port=0"))

        assert "TASKPORT_DATA_DIR" in message
        assert str(home.data) in message
        assert not (home.data / "postgres").exists()


def test_data_folder_with_a_space_in_its_name(home: Home) -> None:
    """The server's process is found by the path in its command line."""
    spaced = home.folder / "a folder" / "data"
    with home.serving(env={"TASKPORT_DATA_DIR": str(spaced)}) as service:
        assert f"'{spaced}/secret'" in service.out
        assert service.terminate() == 0
        assert not (spaced / "postgres" / "postmaster.pid").exists()


def test_crashed_server_is_restarted(home: Home) -> None:
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
