"""Conventions that no other tool checks."""

import ast
import re
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from tests import deadlines

ROOT = Path(__file__).parents[2]
LAYERS = ("domain", "application", "adapters", "entrypoints")
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_short_and_has_a_docstring(module: Path) -> None:
    text = module.read_text()
    assert len(text.splitlines()) <= 320
    assert ast.get_docstring(ast.parse(text)), "the module needs a docstring"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_settings_read_the_environment(module: Path) -> None:
    """A module that starts processes may pass the environment on, or set a variable."""
    reads = re.findall(r"os\.(?:getenv|environ(?:\.get|\[)(?!\S*\] = ))", module.read_text())
    assert not reads


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_slow_middleware_and_no_clock_in_the_core(module: Path) -> None:
    assert "BaseHTTPMiddleware" not in module.read_text()
    if module.relative_to(ROOT).parts[0] in ("domain", "application"):
        assert not re.search(r"datetime\.now|time\.time|uuid4|random\.", module.read_text())


def test_no_file_names_a_registry_or_a_machine() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    hosts = re.compile(
        r"(?:files|registry|deb|//)\.?(?:pythonh[o]sted|p[y]pi|n[p]mjs|d[e]bian)\.org|/w[o]rk/|bash_j[o]bs"
    )
    for name in tracked:
        path = ROOT / name
        if path.is_file():
            assert not hosts.search(path.read_text(errors="replace")), name


@pytest.mark.parametrize("path", deadlines.LIFTED)
def test_deadline_that_tests_replace_exists(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert hasattr(import_module(module), name)
