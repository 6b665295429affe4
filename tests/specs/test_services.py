"""Every use case is in `UseCases`, from which `services-spec.md` is generated."""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Final

import application
import domain
from application.use_cases import UseCases

USE_CASES: Final = {kind.__name__: kind for kind in inspect.get_annotations(UseCases).values()}


def modules() -> Iterator[ModuleType]:
    for package in (domain, application):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield import_module(found.name)


def own(kind: type) -> dict[str, type]:
    """The public subclasses of a class in the core, by name."""
    return {
        name: value
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and issubclass(value, kind)
    }


def test_every_callable_class_is_a_use_case() -> None:
    """Except ports."""
    called = {
        name
        for name, kind in own(object).items()
        if kind.__module__.startswith("application.")
        and "__call__" in vars(kind)
        and not getattr(kind, "_is_protocol", False)
    }
    assert called == set(USE_CASES)
