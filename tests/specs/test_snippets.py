"""Runs the code blocks that the documents mark as runnable (`sh run` behind the fence)."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.http.client import SECRET
from tests.servers import PostgresServer, postgres_programs
from tests.specs.markdown import ROOT, document
from tests.specs.test_links import DOCUMENTS, ids

pytestmark = [pytest.mark.postgres, pytest.mark.process]

_MARK: Final = "sh run"
_NOT_CLONED: Final = (
    *(".git", ".venv", ".data", ".env", ".coverage*", ".hypothesis", ".*_cache"),
    *("__pycache__", "*.egg-info", "build", "node_modules", "results"),
)
RUNNABLE: Final = [
    path for path in DOCUMENTS if any(code.kind == _MARK for code in document(path).codes)
]


def copy_repository(folder: Path) -> None:
    """Copy the files that a clone would have, with a link to this environment."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_NOT_CLONED), dirs_exist_ok=True)
    (folder / ".venv").symlink_to(sys.prefix)


@pytest.mark.parametrize("path", RUNNABLE, ids=ids)
def test_runnable_blocks_succeed(
    path: Path, tmp_path: Path, postgres_18_server: PostgresServer
) -> None:
    """All blocks of a document, in order, in one shell, beginning with an empty database."""
    copy_repository(tmp_path)
    blocks = [code for code in document(path).codes if code.kind == _MARK]
    script = "".join(f"# line {code.line}\n{code.text}\n" for code in blocks)
    with postgres_18_server.database(template="template0") as url:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            env={
                "DATABASE_URL": url,
                "BETTER_AUTH_SECRET": SECRET,
                "HOME": str(tmp_path),
                "PATH": f"{postgres_programs()}{os.pathsep}{os.environ['PATH']}",
            },
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_every_runnable_block_is_marked() -> None:
    """And no block has a misspelled mark."""
    marked = [(path.stem, code.kind) for path in DOCUMENTS for code in document(path).codes]
    assert {kind for _, kind in marked if "run" in kind.split()} == {_MARK}
    assert Counter(name for name, kind in marked if kind == _MARK) == {
        "deployment": 6,
        "database-spec": 1,
    }
