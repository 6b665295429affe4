"""Comments, annotations and values of fields and constants, read from the source text."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_MARK: Final = "#:"


@cache
def comments_of(scope: type | ModuleType) -> Mapping[str, str]:
    """The `#:` comment above each field of a class and of its bases, or constant of a module."""
    return {
        name: comment
        for lines, statements in _bodies(scope)
        for name, statement in statements
        if (comment := comment_above(lines, statement.lineno))
    }


@cache
def annotations_of(kind: type) -> Mapping[str, str]:
    """The annotation of each field of a class and of its bases, as it is written."""
    return {
        name: ast.unparse(statement.annotation)
        for _, statements in _bodies(kind)
        for name, statement in statements
        if isinstance(statement, ast.AnnAssign)
    }


@cache
def values_of(scope: type | ModuleType) -> Mapping[str, str]:
    """The value that each field or constant is given, as it is written."""
    return {
        name: ast.unparse(statement.value)
        for _, statements in _bodies(scope)
        for name, statement in statements
        if statement.value is not None
    }


def _bodies(
    scope: type | ModuleType,
) -> Iterator[tuple[list[str], Iterator[tuple[str, ast.AnnAssign | ast.Assign]]]]:
    """The lines and the assignments of a module, or of a class and of its bases."""
    if isinstance(scope, ModuleType):
        source = inspect.getsource(scope)
        yield source.splitlines(), _assignments(ast.parse(source).body)
        return
    for kind in filter(_is_ours, reversed(scope.__mro__)):
        source = textwrap.dedent(inspect.getsource(kind))
        [definition] = ast.parse(source).body
        assert isinstance(definition, ast.ClassDef)
        yield source.splitlines(), _assignments(definition.body)


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AnnAssign | ast.Assign]]:
    for statement in body:
        if isinstance(statement, ast.AnnAssign | ast.Assign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if isinstance(targets[0], ast.Name):
                yield targets[0].id, statement


def _is_ours(kind: type) -> bool:
    path = Path(getattr(sys.modules[kind.__module__], "__file__", None) or "/")
    return path.is_relative_to(ROOT) and "site-packages" not in path.parts


def comment_above(lines: list[str], number: int) -> str:
    """The `#:` comment above a line, which is counted from 1."""
    parts: list[str] = []
    place = number - 1
    while place and lines[place - 1].strip().startswith(_MARK):
        place -= 1
        parts.insert(0, lines[place].strip().removeprefix(_MARK).strip())
    return " ".join(parts)
