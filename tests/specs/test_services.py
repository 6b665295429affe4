"""`services-spec.md`: every use case and every port."""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Final

import application
import domain
from application.use_cases import UseCases
from tests.specs.markdown import SPECS, document

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
