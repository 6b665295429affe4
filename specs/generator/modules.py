"""The modules and classes that tables describe, and their docstrings."""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import adapters
import application
import domain
import entrypoints

_FIRST: Final = ("domain.tasks", "domain.users", "domain.sessions")


def modules(*packages: ModuleType) -> Iterator[ModuleType]:
    """The modules of these packages, or of the core: first those of the main nouns."""
    names = [
        found.name
        for package in packages or (domain, application)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not found.name.endswith(".__main__")
    ]
    first = [name for name in _FIRST if name in names]
    for name in (*first, *(name for name in sorted(names) if name not in first)):
        yield import_module(name)


def import_all() -> None:
    """Import every module, so that every subclass and every metric is known."""
    list(modules(domain, application, adapters, entrypoints))


def classes(*packages: ModuleType) -> Iterator[type]:
    """The public classes that these packages, or the core, define."""
    for module in modules(*packages):
        for name, value in vars(module).items():
            is_own = isinstance(value, type) and value.__module__ == module.__name__
            if is_own and not name.startswith("_"):
                yield value


def path_of(thing: Any) -> str:
    """The path of a module, or of the module of a class or function, in the repository."""
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    return str(name).replace(".", "/") + ".py"


def paragraphs(thing: Any) -> list[str]:
    """The paragraphs of the docstring of a class, method or property, each on one line."""
    text = thing.__doc__ or ""
    if isinstance(thing, type) and (
        "__doc__" not in vars(thing) or text.startswith(f"{thing.__name__}(")
    ):
        # `dataclass` generates this docstring.
        text = ""
    return [" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n") if part]


def sentence(thing: Any) -> str:
    """The whole docstring on one line."""
    return " ".join(paragraphs(thing))
