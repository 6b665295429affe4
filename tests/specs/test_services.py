"""`services-spec.md`: every use case and every port."""

import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Final

import pytest

import application
import domain
from application.use_cases import UseCases
from tests.specs.markdown import SPECS, code, codes, document, rows

SERVICES: Final = document(SPECS / "services-spec.md")
USE_CASES: Final = {kind.__name__: kind for kind in inspect.get_annotations(UseCases).values()}


def modules() -> Iterator[ModuleType]:
    for package in (domain, application):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield import_module(found.name)


def own(kind: type) -> dict[str, type]:
    """The classes of the core that are of a kind, by name."""
    return {
        name: value
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and issubclass(value, kind)
    }


def documented() -> dict[str, set[str]]:
    """What each use case can raise."""
    header = ("Use case", "Customary name", "Called by", "Rules", "Errors")
    found = rows(SERVICES.tables(*header))
    assert len({row[0] for row in found}) == len(found)
    return {code(name): set(codes(errors)) for name, *_, errors in (row[:5] for row in found)}


def test_every_use_case_is_documented() -> None:
    assert set(documented()) == set(USE_CASES)


def test_every_use_case_is_one_of_them() -> None:
    """What can be called in the application is a use case, unless it is a port."""
    called = {
        name
        for name, kind in own(object).items()
        if kind.__module__.startswith("application.")
        and "__call__" in vars(kind)
        and not getattr(kind, "_is_protocol", False)
    }
    assert called == set(USE_CASES)


@pytest.mark.parametrize("name", sorted(USE_CASES))
def test_what_it_says_of_its_errors_is_documented(name: str) -> None:
    """In the docstrings of what is called; all of them may raise `Unavailable`."""
    said = documented()[name]
    own_errors = set(own(Exception))
    assert said <= own_errors
    told = inspect.getdoc(USE_CASES[name].__call__) or ""
    sentences = re.findall(r"Raises (.*?)(?:\.(?:\s|$)|$)", told, re.DOTALL)
    assert own_errors & set(codes(" ".join(sentences))) <= said


def test_every_port_is_documented() -> None:
    ports = {name for name, kind in own(object).items() if getattr(kind, "_is_protocol", False)}
    assert {code(row[0]) for row in rows(SERVICES.tables("Port"))} == ports
