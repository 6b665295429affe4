"""`error-handling-spec.md`: every code, and every event of the log."""

import ast
import re
from typing import Final

from adapters.asgi.errors import WireError
from adapters.asgi.problems import INTERNAL_ERROR
from adapters.http.errors import status_of
from domain.errors import Forbidden, TaskportError
from entrypoints import cli
from tests.specs.markdown import ROOT, SPECS, code, document, rows

# All that there is hangs on it, and an error that nobody imports would not be found.
assert cli
ERRORS: Final = document(SPECS / "error-handling-spec.md")
_LEVELS: Final = {"debug", "info", "warning", "error", "critical", "exception"}

Codes = set[tuple[str, int, str]]


def below(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(below(child) for child in kind.__subclasses__()))


def known_codes() -> Codes:
    found: Codes = {(INTERNAL_ERROR, 500, "")}
    for kind in below(TaskportError) | below(WireError):
        # What one inherits is not a code of one's own.
        if "code" in vars(kind) and kind.__module__.split(".")[0] != "tests":
            status = kind.status if issubclass(kind, WireError) else status_of(kind)  # type: ignore[arg-type]
            found.add((vars(kind)["code"], status, kind.__name__))
    return found


def documented_codes() -> Codes:
    found = rows(ERRORS.tables("Code", "Status", "Class"))
    return {(code(name), int(status), code(kind)) for name, status, kind, *_ in found}


def test_every_code_is_documented() -> None:
    assert documented_codes() == known_codes()


def test_a_code_without_its_line_is_missed() -> None:
    class TaskLocked(Forbidden):
        code = "TASK_LOCKED"

    TaskLocked.__module__ = "domain.tasks"
    missed = known_codes() - documented_codes()
    TaskLocked.__module__ = __name__
    assert missed == {("TASK_LOCKED", 403, "TaskLocked")}


def known_events() -> set[tuple[str, str]]:
    """What our own loggers are told, and how loudly."""
    found = set()
    for room in ("adapters", "entrypoints"):
        for path in (ROOT / room).rglob("*.py"):
            tree = ast.parse(path.read_text())
            if "structlog" not in path.read_text():
                continue
            aliases = _aliases(tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and node.args:
                    level = _level(node.func, aliases)
                    name = node.args[0]
                    if level:
                        assert isinstance(name, ast.Constant), f"{path}: what is it called?"
                        found.add((str(name.value), "error" if level == "exception" else level))
    return found


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Names that a method of a logger is given for speed: `say = _log.bind().debug`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = (
                list(zip(target.elts, value.elts, strict=True))
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
                else [(target, value)]
            )
            for name, said in pairs:
                if (
                    isinstance(name, ast.Name)
                    and isinstance(said, ast.Attribute)
                    and said.attr in _LEVELS
                    and re.search(r"\.bind\(\)$|^_log$", ast.unparse(said.value))
                ):
                    found[name.id] = said.attr
    return found


def _level(function: ast.expr, aliases: dict[str, str]) -> str | None:
    if isinstance(function, ast.Name):
        return aliases.get(function.id)
    if isinstance(function, ast.Attribute) and ast.unparse(function.value) == "_log":
        return function.attr if function.attr in _LEVELS else None
    return None


def test_every_event_is_documented() -> None:
    said = {(code(row[0]), row[1].strip("`")) for row in rows(ERRORS.tables("Event", "Level"))}
    assert known_events() >= {("request", "info"), ("statement", "debug")}
    assert said == known_events()
