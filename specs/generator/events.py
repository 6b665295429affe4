"""The table of log events, read from the calls that log them."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from specs.generator.markdown import code, codes, table
from specs.generator.source import ROOT, comment_above

_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
_LOGGER: Final = "_log"
_GET_LOGGER: Final = "structlog.get_logger"
#: The function whose unpacked result has the fields that identify a request.
_CONTEXT: Final = "log_context"


@dataclass
class Event:
    name: str
    level: str
    logger: str
    fields: dict[str, None] = field(default_factory=dict)
    comment: str = ""


def events(*paths: Path) -> str:
    """Every event that the service logs, with the comment above the call as its meaning."""
    found: dict[str, Event] = {}
    for path in paths or sorted(
        path for folder in ("adapters", "entrypoints") for path in (ROOT / folder).rglob("*.py")
    ):
        for event in _events_of(path.read_text()):
            known = found.setdefault(event.name, event)
            known.fields.update(event.fields)
            known.comment = known.comment or event.comment
    return table(
        ("Event", "Level", "Logger", "Fields", "Meaning"),
        (
            (code(e.name), e.level, code(e.logger), _fields_text(e), e.comment)
            for e in sorted(found.values(), key=lambda event: event.name)
        ),
    )


def _fields_text(event: Event) -> str:
    named = codes(name for name in event.fields if name != _CONTEXT)
    request = "request" if _CONTEXT in event.fields else ""
    return ", ".join(part for part in (named, request) if part)


def _events_of(source: str) -> Iterator[Event]:
    tree, lines = ast.parse(source), source.splitlines()
    logger, aliases = _logger_of(tree), _aliases(tree)
    if not logger:
        return
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            level = _level(call.func, aliases)
            if level and call.args:
                name = ast.literal_eval(call.args[0])
                fields = dict.fromkeys(_fields_of(call, tree))
                if level == "exception":
                    level, fields = "error", {"exception": None, **fields}
                yield Event(name, level, logger, fields, comment_above(lines, statement.lineno))


def _fields_of(call: ast.Call, tree: ast.Module) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg
        elif isinstance(keyword.value, ast.Call):
            yield ast.unparse(keyword.value.func)
        else:
            yield from _keys_of(ast.unparse(keyword.value), tree)


def _keys_of(name: str, tree: ast.Module) -> Iterator[str]:
    """The keys of the dictionary that is assigned to a variable."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Dict)
            and ast.unparse(node.targets[0]) == name
        ):
            yield from (ast.literal_eval(key) for key in node.value.keys if key is not None)


def _logger_of(tree: ast.Module) -> str:
    """The name of the module's structlog logger, if it has one."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if (ast.unparse(target), ast.unparse(node.value.func)) == (_LOGGER, _GET_LOGGER):
                return str(ast.literal_eval(node.value.args[0]))
    return ""


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Local names of a method of the logger, such as `debug = _log.bind().debug`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                target, value = target.elts[0], value.elts[0]
            method = re.fullmatch(rf"{_LOGGER}\.bind\(\)\.(\w+)", ast.unparse(value))
            if method and method[1] in _LEVELS:
                found[ast.unparse(target)] = method[1]
    return found


def _level(function: ast.expr, aliases: dict[str, str]) -> str | None:
    if isinstance(function, ast.Attribute) and ast.unparse(function.value) == _LOGGER:
        return function.attr if function.attr in _LEVELS else None
    return aliases.get(ast.unparse(function))
