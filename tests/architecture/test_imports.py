"""The dependencies between the layers, and that import-linter finds a forbidden one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
LAYERS = ("domain", "application", "adapters", "entrypoints")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of `pyproject.toml` over the layers in a folder."""
    code = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    """A copy of the layers, to plant an import in."""
    for layer in LAYERS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / layer, tmp_path / layer, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_are_kept(layers: Path) -> None:
    found = lint_imports(layers)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("domain/tasks.py", "import sqlmodel"),
        ("domain/users.py", "import application.ports.clock"),
        ("application/tasks.py", "import psycopg"),
        ("application/ports/clock.py", "import adapters.memory"),
        ("adapters/http/tasks.py", "import adapters.postgres.tasks"),
        ("adapters/http/app.py", "import sqlalchemy"),
        ("adapters/memory/tasks.py", "import adapters.postgres.database"),
        ("adapters/better_auth/tokens.py", "import adapters.http"),
        ("adapters/asgi/body.py", "import adapters.http"),
        ("adapters/asgi/cors.py", "import domain.tasks"),
        ("adapters/postgres/pool_database.py", "import adapters.asgi"),
        ("adapters/postgres_server/server.py", "import adapters.postgres"),
        ("adapters/logs/process_log.py", "import entrypoints.settings"),
        ("adapters/postgres/pool_database.py", "import entrypoints.settings"),
        ("entrypoints/cli.py", "import punq"),
    ],
)
def test_planted_import_is_found(layers: Path, file: str, line: str) -> None:
    target = layers / file
    target.write_text(f"{target.read_text()}\n{line}\n")
    found = lint_imports(layers)
    assert found.returncode != 0
    assert "BROKEN" in found.stdout
