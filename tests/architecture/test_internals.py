"""Only one module for each dependency uses its internals, and documents that."""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "application", "adapters", "entrypoints")
OURS = frozenset((*PACKAGES, "benchmarks", "specs", "tests"))
SOURCES = sorted(
    path
    for folder in (*OURS, "alembic")
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts
)
#: Modules without an underscore in their names that their documentation leaves out.
UNDOCUMENTED = (
    "fastapi.dependencies",
    "psycopg.generators",
    "psycopg.waiting",
    "uvicorn.protocols",
    "uvicorn.server",
    "uvicorn.supervisors",
)
#: The module that uses the internals of a dependency.
HOMES = {
    "fastapi": "adapters/http/fastapi_internals.py",
    "prometheus_client": "specs/generator/metrics.py",
    "psycopg": "adapters/postgres/psycopg_internals.py",
    "structlog": "adapters/logs/rendering.py",
    "uvicorn": "adapters/uvicorn/uvicorn_internals.py",
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def is_foreign(module: str) -> bool:
    top = module.split(".", maxsplit=1)[0]
    return top not in OURS and top not in sys.stdlib_module_names


@cache
def nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def imports(source: str) -> Iterator[tuple[str, str]]:
    """Each import as a module and the name imported from it, empty for the module itself."""
    for node in nodes(source):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def imported_internals(source: str) -> set[str]:
    """The dependencies from whose internals a source file imports."""
    return {
        module.split(".")[0]
        for module, name in imports(source)
        if is_foreign(module)
        and (
            any(map(is_private, (*module.split("."), name)))
            or f"{module}.{name}.".startswith(tuple(f"{known}." for known in UNDOCUMENTED))
        )
    }


def read_attributes(source: str) -> set[str]:
    """The attributes with an underscore that a source file reads or sets on any object."""
    return {
        node.attr
        for node in nodes(source)
        if isinstance(node, ast.Attribute) and is_private(node.attr)
    }


def defined_names(source: str) -> Iterator[str]:
    """The names with an underscore that a source file defines."""
    for node in nodes(source):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(value=ast.Name("self"), ctx=ast.Store()):
                yield node.attr


def overridden_internals(module: ModuleType) -> set[str]:
    """The dependencies of which a class of this module overrides private methods or attributes."""
    found = set()
    for _, ours in inspect.getmembers(module, inspect.isclass):
        if ours.__module__ != module.__name__:
            continue
        own = {name for name in (*vars(ours), *inspect.get_annotations(ours)) if is_private(name)}
        for base in ours.__mro__[1:]:
            names = {*vars(base), *inspect.get_annotations(base)} - {"_abc_impl"}
            if is_foreign(base.__module__) and own & names:
                found.add(base.__module__.split(".")[0])
    return found


def modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        for found in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def test_internals_are_imported_in_one_module_for_each_dependency() -> None:
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("benchmarks/"):
            continue
        for dependency in imported_internals(path.read_text()):
            assert HOMES.get(dependency) == name, f"{name} imports internals of {dependency}"


def test_no_private_attribute_of_a_dependency_is_read_elsewhere() -> None:
    ours = {name for path in SOURCES for name in defined_names(path.read_text())}
    # os._exit is documented.
    foreign = {
        path.relative_to(ROOT).as_posix(): read_attributes(path.read_text()) - ours - {"_exit"}
        for path in SOURCES
    }
    assert {name for name, attributes in foreign.items() if attributes} <= {*HOMES.values()}


def test_no_private_method_of_a_dependency_is_overridden_elsewhere() -> None:
    for module in modules():
        assert module.__file__ is not None
        name = Path(module.__file__).relative_to(ROOT).as_posix()
        for dependency in overridden_internals(module):
            assert HOMES.get(dependency) == name, f"{name} overrides internals of {dependency}"


@pytest.mark.parametrize(
    ("source", "dependency"),
    [
        ("from fastapi._compat import ModelField", "fastapi"),
        ("import pydantic._internal", "pydantic"),
        ("from psycopg.errors import _WaitTimeout", "psycopg"),
        ("from psycopg import errors, waiting", "psycopg"),
        ("from uvicorn.supervisors import Multiprocess", "uvicorn"),
    ],
)
def test_import_of_internals_is_found(source: str, dependency: str) -> None:
    assert imported_internals(source) == {dependency}


def test_import_of_a_documented_module_is_allowed() -> None:
    assert not imported_internals("import os._x\nfrom psycopg import errors\nimport uvicorn")
    assert not imported_internals("from adapters.postgres.schema import _SCRIPTS")


def test_private_attribute_is_found() -> None:
    assert read_attributes("errors._WaitTimeout") - {*defined_names("_x = 1")} == {"_WaitTimeout"}
    # An attribute that is only set on a foreign object is not defined here.
    assert "_transport" not in {*defined_names("client._transport = 1")}


def test_override_is_found() -> None:
    internals = importlib.import_module("adapters.uvicorn.uvicorn_internals")
    assert overridden_internals(internals) == {"uvicorn"}
