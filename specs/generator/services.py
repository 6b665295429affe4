"""Tables of the application: use cases and ports."""

import inspect
import re
from collections.abc import Iterator
from typing import get_type_hints

import adapters
from application.use_cases import UseCases
from entrypoints import container
from specs.generator.markdown import code, codes, table
from specs.generator.modules import classes, path_of, sentence

_RAISES = re.compile(r"\s*Raises (.+?)\.(?=\s|$)")


def use_cases(kind: type = UseCases) -> str:
    errors = {error.__name__ for error in classes() if issubclass(error, Exception)}
    return table(
        ("Use case", "Where", "Meaning", "Raises"),
        (_use_case(found, errors) for found in get_type_hints(kind).values()),
    )


def _use_case(kind: type, errors: set[str]) -> tuple[str, ...]:
    raised = re.findall(r"`(\w+)`", " ".join(_RAISES.findall(sentence(vars(kind)["__call__"]))))
    return (
        code(kind.__name__),
        code(path_of(kind)),
        sentence(kind),
        codes(name for name in raised if name in errors),
    )


def ports() -> str:
    """Every port, and the adapters that implement it."""
    header = ("Port", "Where", "Meaning", "Adapters")
    found = [kind for kind in classes() if getattr(kind, "_is_protocol", False)]
    return table(
        header,
        (
            (code(kind.__name__), code(path_of(kind)), sentence(kind), codes(_adapters(kind)))
            for kind in found
        ),
    )


def _adapters(port: type) -> Iterator[str]:
    """The adapters that the container registers for a port, and those that have its name."""
    source, name = inspect.getsource(container), port.__name__
    found = [kind.__name__ for kind in classes(adapters) if kind.__name__.endswith(name)]
    registered = rf"register\(\s*{name},\s*(?:instance=|lambda: container\.resolve\()?(\w+)"
    for adapter in re.findall(registered, source):
        # A local variable is assigned a few lines above.
        made = re.search(rf"\b{adapter} = (\w+)\(", source)
        found += _made_by(made[1] if made else adapter, port)
    yield from sorted(set(found))


def _made_by(name: str, port: type) -> Iterator[str]:
    """The class of this name, or those that the container's function makes for the port."""
    function = getattr(container, name, None)
    if not inspect.isfunction(function) or function.__module__ != container.__name__:
        yield name
        return
    methods = {method for method in vars(port) if not method.startswith("_")}
    for kind in classes(adapters):
        is_made = re.search(rf"return {kind.__name__}\(", inspect.getsource(function))
        if is_made and methods <= set(dir(kind)):
            yield kind.__name__
