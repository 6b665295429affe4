"""The worked examples in `docs/`, followed step by step in a copy of the repository."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.processes.service import Home, Outcome, new_home
from tests.requirements import program
from tests.specs.markdown import ROOT, document, rows
from tests.specs.test_snippets import copy_repository

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(600)]

GUIDE: Final = ROOT / "docs" / "add-a-field.md"
_TABLE: Final = rows(document(GUIDE).tables("Step", "File"))
#: The line above a block, the kind of the block, and its text.
_STEP: Final = re.compile(
    r"^([^\n]*)\n\n```(sh fails|sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_PLACE: Final = re.compile(
    r"At the end of `(?P<end>[^`]+)`:"
    r"|In `(?P<file>[^`]+)`,(?: in `(?P<scope>\w+)`,)? (?P<side>before|after) `(?P<anchor>[^`]+)`:"
)
OTHER_STORE: Final = document(ROOT / "docs" / "swap-postgres.md")
_STEP_SECONDS: Final = 400
_FIELD: Final = "priority"
_DRAFT: Final = f"op.add_column('tasks', sa.Column('{_FIELD}'"

# The commands of an environment; each is handed to the Python that runs the tests.
_COMMANDS: Final = {
    "python": "",
    "taskport": "-m entrypoints",
    "alembic": "-m alembic.config",
    "ruff": "-m ruff",
    "mypy": "-m mypy",
    "lint-imports": '-c "import sys; from importlinter.cli import lint_imports_command as lint;'
    ' sys.exit(lint())"',
}
# `make check` runs all tests, this one among them: here, those that see the field.
_CHECK: Final = """
.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
.venv/bin/lint-imports --no-cache
.venv/bin/python -m pytest -q -p no:cacheprovider -m "not node and not debian" \
    -k "not pool" \
    tests/domain/test_tasks.py tests/application/test_tasks.py \
    tests/architecture/test_conventions.py \
    tests/contracts/test_tasks.py tests/adapters/test_rows.py tests/http/test_tasks.py \
    tests/http/test_openapi.py tests/http/test_fields.py tests/http/test_hostile_text.py \
    tests/specs/test_generated.py tests/specs/test_examples.py \
    tests/migrations/test_schema.py::test_models_and_migrations_do_not_drift \
    tests/migrations/test_schema.py::test_downgrade_and_upgrade
"""


@dataclass(frozen=True)
class RepositoryCopy:
    """A copy of the repository, and a home of its own."""

    home: Home

    @property
    def folder(self) -> Path:
        return self.home.folder

    def shell(self, script: str) -> Outcome:
        """Run commands as a reader pastes them, in the folder of the repository."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_STEP_SECONDS,
            **self.home.options(),
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def apply(self, diff: str) -> Outcome:
        """Also where the lines around it have moved."""
        done = subprocess.run(
            ["git", "apply", "-"],
            input=diff,
            capture_output=True,
            text=True,
            check=False,
            **self.home.options(),
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def changed(self) -> set[str]:
        """The files that are not as they were."""
        # The folder is the home of the commands as well: tools keep files in its hidden folders.
        own = "':!data' ':!serve-*' ':(glob,exclude).*/**'"
        listed = self.shell(f"git status --porcelain --untracked-files=all -- . {own}")
        assert listed.code == 0, listed.err
        return {line[3:] for line in listed.out.splitlines()}


@pytest.fixture
def copy(monkeypatch: pytest.MonkeyPatch) -> Iterator[RepositoryCopy]:
    program("git", "git")
    program("make", "make")
    # Coverage is not measured in the copy.
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)
    with new_home() as home:
        copy_repository(home.folder)
        _give_environment(home.folder)
        copy = RepositoryCopy(Home(home.folder, home.user_options, library=str(home.folder)))
        begun = copy.shell(
            "git init -q && git add -A"
            " && git -c user.name=x -c user.email=x@example.com commit -qm begin"
        )
        assert begun.code == 0, begun.err
        yield copy


def _give_environment(folder: Path) -> None:
    """A `.venv` that `make` takes for complete, so that it installs nothing."""
    environment = folder / ".venv"
    environment.unlink(missing_ok=True)
    (environment / "bin").mkdir(parents=True)
    for name, arguments in _COMMANDS.items():
        command = environment / "bin" / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        command.chmod(0o755)
    for mark in ("run", "dev"):
        (environment / mark).touch()


@dataclass(frozen=True)
class Step:
    """A block of the guide: a command, or text for the place that the line above it names."""

    place: str
    kind: str
    text: str

    @property
    def file(self) -> str:
        """The file that the text belongs to; `*` stands for the number of a migration."""
        return self._named["end"] or self._named["file"]

    @property
    def _named(self) -> re.Match[str]:
        named = _PLACE.fullmatch(self.place)
        assert named, self.place
        return named

    def insert(self, folder: Path) -> None:
        """Write the text into its file."""
        named = self._named
        [path] = folder.glob(self.file)
        lines = path.read_text().splitlines()
        if named["end"]:
            lines += ["", "", *self.text.splitlines()]
        else:
            scope = rf"(class |(async )?def )?{named['scope']}\b"
            start = _line(lines, scope) if named["scope"] else 0
            place = start + _line(lines[start:], rf"\s*{re.escape(named['anchor'])}")
            place += named["side"] == "after"
            lines[place:place] = self.text.splitlines()
        path.write_text("\n".join(lines) + "\n")


def _line(lines: list[str], pattern: str) -> int:
    """The number of the first line that begins with a pattern."""
    return next(number for number, line in enumerate(lines) if re.match(pattern, line))


STEPS: Final = [Step(*found) for found in _STEP.findall(GUIDE.read_text())]


def test_steps_of_the_guide_add_a_field(copy: RepositoryCopy) -> None:
    """From the first insertion to the response over HTTP; nothing is done beside the guide."""
    has_drifted = False
    for number, step in enumerate(STEPS):
        if step.text == "make run\n":
            [last] = STEPS[number + 1 :]
            _ask(copy, last)
            break
        if not step.kind.startswith("sh"):
            step.insert(copy.folder)
            continue
        done = copy.shell(_CHECK if step.text == "make check\n" else step.text)
        if (done.code != 0) is not (step.kind == "sh fails"):
            pytest.fail(f"{step.text}: {done.code}\n{done.out[-6000:]}{done.err[-2000:]}")
        if step.kind == "sh fails":
            assert f"Column('{_FIELD}'" in done.out
            has_drifted = True
        if step.text.startswith("make migration "):
            assert has_drifted, "the drift test comes first"
            [draft] = copy.folder.glob("alembic/versions/*_add_a_priority.py")
            assert _DRAFT in draft.read_text()
    else:
        pytest.fail("the guide does not start the service")
    changed = copy.changed()
    listed = {name.removesuffix(" (new)").replace("`", "") for _, name, *_ in _TABLE}
    assert {re.sub(r"/\d+_add", "/*_add", name) for name in changed} == listed
    assert len(changed) <= 11


def _ask(copy: RepositoryCopy, step: Step) -> None:
    """The database that was migrated before the last migration is brought to head and serves."""
    with copy.home.serving() as service:
        done = copy.shell(step.text.replace("http://localhost:8000", service.url))
        assert done.code == 0, done.err
        created, got, cleared = done.out.strip().splitlines()
        assert f'"{_FIELD}":2' in created
        assert got == created
        assert f'"{_FIELD}":null' in cleared
        token = copy.home.token("bob@example.com")
        wanted = {"title": "x", _FIELD: 5}
        made = service.request("POST", "/api/tasks", token=token, json=wanted)
        assert made.status_code == 201, made.text
        read = service.request("GET", made.headers["location"], token=token).json()
        assert read == made.json()
        assert read[_FIELD] == wanted[_FIELD]
        rejected = service.request("POST", "/api/tasks", token=token, json={**wanted, _FIELD: 6})
        assert rejected.json()["details"]["field"] == _FIELD


def test_example_store_passes_the_contracts_it_claims(copy: RepositoryCopy) -> None:
    """The adapter for SQLite is complete but for what the document says that it lacks."""
    steps = {code.kind: code.text for code in OTHER_STORE.codes if code.kind != "text"}
    assert steps.keys() == {"python", "diff", "sh fails"}
    expected = next(code.text for code in OTHER_STORE.codes if code.kind == "text")
    package = copy.folder / "adapters" / "sqlite"
    package.mkdir()
    (package / "__init__.py").write_text('"""SQLite."""\n')
    (package / "tasks.py").write_text(steps["python"])
    applied = copy.apply(steps["diff"])
    assert applied.code == 0, applied.err
    checked = copy.shell(
        ".venv/bin/ruff format --check adapters tests/contracts\n"
        ".venv/bin/ruff check adapters tests/contracts\n"
        ".venv/bin/mypy -p adapters.sqlite\n"
    )
    assert checked.code == 0, checked.out

    done = copy.shell(steps["sh fails"])

    missing = {line for line in expected.splitlines() if line.startswith("FAILED ")}
    assert missing
    found = re.findall(r"^FAILED \S+", done.out, re.MULTILINE)
    assert set(found) == missing, done.out[-4000:]
    assert expected.splitlines()[-1] in done.out
