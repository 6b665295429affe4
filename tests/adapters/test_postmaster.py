"""Telling the embedded server's process from a stale lock file."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.postgres_server.errors import EmbeddedPostgresError
from adapters.postgres_server.postmaster import Postmaster


@pytest.fixture
def postmaster(tmp_path: Path) -> Postmaster:
    return Postmaster(tmp_path)


@contextmanager
def process(*arguments: str) -> Iterator[int]:
    """The id of a running process with the name and the arguments of a PostgreSQL server."""
    command = ["postgres", "-c", "echo ready; read line", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, executable="/bin/sh", stdin=pipe, stdout=pipe) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.readline() == b"ready\n"
            yield started.pid
        finally:
            started.kill()


def id_of_ended_process() -> int:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    return ended.pid


def write_lock_file(data: Path, first_line: object) -> Path:
    lock_file = data / "postmaster.pid"
    lock_file.write_text(f"{first_line}\n{data}\n1700000000\n")
    return lock_file


def forbid_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process belong to another user."""

    def kill(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)


def test_without_a_lock_file_no_server_runs(postmaster: Postmaster) -> None:
    assert postmaster.pid() is None


def test_server_is_recognized_by_its_data_directory(postmaster: Postmaster, tmp_path: Path) -> None:
    with process("-D", str(tmp_path)) as pid:
        write_lock_file(tmp_path, pid)
        assert postmaster.pid() == pid


@pytest.mark.parametrize("folder", ["/other", "{data}-2", "/x{data}"])
def test_server_of_another_data_directory_is_not_ours(
    postmaster: Postmaster, tmp_path: Path, folder: str
) -> None:
    with process("-D", folder.format(data=tmp_path)) as pid:
        write_lock_file(tmp_path, pid)
        assert postmaster.pid() is None


def test_lock_file_of_an_ended_process_is_stale(postmaster: Postmaster, tmp_path: Path) -> None:
    lock_file = write_lock_file(tmp_path, id_of_ended_process())
    assert postmaster.pid() is None
    postmaster.remove_stale_lock_file()
    assert not lock_file.exists()


def test_lock_file_of_a_running_server_is_not_removed(
    postmaster: Postmaster, tmp_path: Path
) -> None:
    with process("-D", str(tmp_path)) as pid:
        lock_file = write_lock_file(tmp_path, pid)
        postmaster.remove_stale_lock_file()
        assert lock_file.exists()


def test_process_of_another_user_can_make_a_lock_file_stale(
    postmaster: Postmaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot, the process id in the lock file may belong to a process of root."""
    forbid_signals(monkeypatch)
    write_lock_file(tmp_path, os.getpid())
    assert postmaster.pid() is None


def test_server_of_another_user_is_running(
    postmaster: Postmaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with process("-D", str(tmp_path)) as pid:
        write_lock_file(tmp_path, pid)
        with monkeypatch.context() as patch:
            forbid_signals(patch)
            assert postmaster.pid() == pid


def test_process_that_cannot_be_examined_is_an_error(
    postmaster: Postmaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system can hide the command lines of other users' processes."""
    lock_file = write_lock_file(tmp_path, id_of_ended_process())
    forbid_signals(monkeypatch)
    with pytest.raises(EmbeddedPostgresError, match="cannot be read"):
        postmaster.remove_stale_lock_file()
    assert lock_file.exists()


@pytest.mark.parametrize("first_line", ["", "not a number", "-1"])
def test_lock_file_without_a_process_id_is_an_error(
    postmaster: Postmaster, tmp_path: Path, first_line: str
) -> None:
    """PostgreSQL does not start either: another server may just be writing the file."""
    lock_file = write_lock_file(tmp_path, first_line)
    with pytest.raises(EmbeddedPostgresError, match=r"postmaster\.pid names no process"):
        postmaster.remove_stale_lock_file()
    assert lock_file.exists()


def test_lock_file_that_cannot_be_read_is_an_error(postmaster: Postmaster, tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").mkdir()
    with pytest.raises(IsADirectoryError):
        postmaster.pid()
