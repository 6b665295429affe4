"""The `#:` comments of fields and constants."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
_MARK: Final = "#:"


@cache
def comments_of(scope: type | ModuleType) -> Mapping[str, str]:
    """The comment above each field of a class and of its bases, or each constant of a module."""
    if isinstance(scope, ModuleType):
        return _comments(inspect.getsource(scope))
    found: dict[str, str] = {}
    for kind in reversed(scope.__mro__):
        if _is_ours(kind):
            found.update(_comments(textwrap.dedent(inspect.getsource(kind))))
    return found


def _is_ours(kind: type) -> bool:
    path = getattr(sys.modules[kind.__module__], "__file__", None)
    return (
        path is not None and Path(path).parent.is_relative_to(_ROOT) and "site-packages" not in path
    )


def _comments(source: str) -> dict[str, str]:
    lines = source.splitlines()
    body: list[ast.stmt] = ast.parse(source).body
    if len(body) == 1 and isinstance(body[0], ast.ClassDef):
        body = body[0].body
    found = {}
    for statement in body:
        if isinstance(statement, ast.AnnAssign | ast.Assign):
            target = (
                statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
            )
            if isinstance(target, ast.Name):
                found[target.id] = _above(lines, statement.lineno - 1)
    return {name: text for name, text in found.items() if text}


def _above(lines: list[str], place: int) -> str:
    parts: list[str] = []
    while place and lines[place - 1].strip().startswith(_MARK):
        place -= 1
        parts.insert(0, lines[place].strip().removeprefix(_MARK).strip())
    return " ".join(parts)
