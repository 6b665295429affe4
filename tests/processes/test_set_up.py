"""`make run` sets everything up, and mends what an earlier attempt or a move of the folder left.

The Makefile is the real one. Python is a script that notes how it was called, so that nothing is
downloaded.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.requirements import program

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
PYTHON = """\
#!/bin/sh
# Notes its arguments, and does as much as the Makefile looks at.
here="$(dirname "$0")"
echo "PIP_USER=$PIP_USER PIP_INDEX_URL=$PIP_INDEX_URL $*" >>"$CALLS"
case "$*" in
  *sys.version_info*) [ -z "$IS_OLD" ] ;;
  *"import ensurepip"*) [ -z "$HAS_NO_VENV" ] ;;
  *"import pip"*) [ -e "$here/../has-pip" ] ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/has-pip" ;;
  *"pip install"*) [ -z "$IS_INTERRUPTED" ] ;;
esac
"""
VENV, INSTALL, SERVE = "-m venv", "pip install", "-m entrypoints serve"


@dataclass
class Folder:
    """A folder with the Makefile and a Python of its own."""

    path: Path
    calls: list[str] = field(default_factory=list)

    def make_run(self, **env: str) -> subprocess.CompletedProcess[str]:
        """`make run`; `calls` are then the calls of Python that it made."""
        log = self.path / "calls"
        log.write_text("")
        settings = {"PYTHON": str(self.path.parent / "python3"), "CALLS": str(log), **env}
        done = subprocess.run(
            [program("make", "make"), "run"],
            cwd=self.path,
            env={"PATH": os.environ["PATH"], **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        self.calls = log.read_text().splitlines()
        return done

    def called(self, what: str) -> bool:
        return any(what in call for call in self.calls)

    @property
    def is_set_up_anew(self) -> bool:
        return self.called(VENV) and self.called(INSTALL) and self.called(SERVE)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """With spaces and letters beyond ASCII in its path."""
    path = tmp_path / "a path ü" / "taskport"
    path.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, path)
    python = path.parent / "python3"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return Folder(path)


def test_it_sets_up_once(folder: Folder) -> None:
    assert folder.make_run().returncode == 0
    assert folder.is_set_up_anew
    assert folder.make_run().returncode == 0
    assert not folder.called(VENV)
    assert not folder.called(INSTALL)
    assert folder.called(SERVE)


def test_new_requirements_are_installed(folder: Folder) -> None:
    folder.make_run()
    # Not `touch`: the clock of a file system may stand still for longer than the run took.
    installed = (folder.path / ".venv/run").stat().st_mtime
    os.utime(folder.path / "requirements.txt", (installed + 1, installed + 1))
    folder.make_run()
    assert not folder.called(VENV)
    assert folder.called(INSTALL)


def test_a_folder_that_was_moved_is_set_up_anew(folder: Folder) -> None:
    """The editable installation, and the first line of each script, name the old path."""
    folder.make_run()
    moved = Folder(folder.path.rename(folder.path.with_name("moved")))
    assert "made elsewhere" in moved.make_run().stdout
    assert moved.is_set_up_anew
    moved.make_run()
    assert not moved.called(VENV)


def test_an_environment_without_pip_is_made_anew(folder: Folder) -> None:
    """Debian without python3-venv leaves one behind."""
    (folder.path / ".venv/bin").mkdir(parents=True)
    shutil.copy(folder.path.parent / "python3", folder.path / ".venv/bin/python")
    assert folder.make_run().returncode == 0
    assert folder.is_set_up_anew


def test_an_environment_whose_python_has_gone_is_made_anew(folder: Folder) -> None:
    folder.make_run()
    python = folder.path / ".venv/bin/python"
    python.unlink()
    python.symlink_to(folder.path / "nowhere")
    assert folder.make_run().returncode == 0
    assert folder.is_set_up_anew


def test_an_interrupted_installation_starts_anew(folder: Folder) -> None:
    """Half a package may be there, which pip takes for a whole one."""
    assert folder.make_run(IS_INTERRUPTED="yes").returncode != 0
    assert folder.called(INSTALL)
    assert not folder.called(SERVE)
    assert folder.make_run().returncode == 0
    assert folder.is_set_up_anew


def test_of_the_settings_of_pip_only_the_impossible_one_is_overridden(folder: Folder) -> None:
    """In a virtual environment `pip install --user` is an error."""
    assert folder.make_run(PIP_USER="yes", PIP_INDEX_URL="file:///index").returncode == 0
    installs = [call for call in folder.calls if INSTALL in call]
    assert installs
    assert all(call.startswith("PIP_USER=no PIP_INDEX_URL=file:///index ") for call in installs)


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"HAS_NO_VENV": "yes"}, "apt-get install python3-venv"),
        ({"IS_OLD": "yes"}, "needs Python 3.11 or newer, and"),
        (
            {"PYTHON": "python-that-is-not-there"},
            "there is no python-that-is-not-there: install it",
        ),
    ],
)
def test_a_python_that_will_not_do_is_named(
    folder: Folder, env: dict[str, str], sentence: str
) -> None:
    done = folder.make_run(**env)
    assert done.returncode != 0
    first, *rest = done.stderr.splitlines()
    assert sentence in first
    # The second line is make's own.
    assert len(rest) == 1
    assert not (folder.path / ".venv").exists()
