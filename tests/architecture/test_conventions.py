"""Rules of the house that no tool knows."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("domain", "application", "adapters", "entrypoints")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def names(module: Path) -> set[str]:
    return {
        node.id for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Name)
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_and_says_what_it_is(module: Path) -> None:
    text = module.read_text()
    assert len(text.splitlines()) <= 320
    assert ast.get_docstring(ast.parse(text)), "the first line says what belongs here"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_settings_read_the_environment(module: Path) -> None:
    """Whoever starts processes may hand an environment on, or say where a terminal is."""
    reads = re.findall(r"os\.(?:getenv|environ(?:\.get|\[)(?!\S*\] = ))", module.read_text())
    assert not reads


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_slow_middleware_and_no_clock_in_the_core(module: Path) -> None:
    assert "BaseHTTPMiddleware" not in module.read_text()
    if module.relative_to(ROOT).parts[0] in ("domain", "application"):
        assert not re.search(r"datetime\.now|time\.time|uuid4|random\.", module.read_text())


def test_nothing_names_a_registry_or_a_machine() -> None:
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
