"""Tables of the domain: its entities, values and limits."""

import dataclasses
import inspect
from datetime import timedelta
from enum import Enum
from typing import Any

import domain
from specs.generator.markdown import code, section, table
from specs.generator.modules import classes, modules, paragraphs, path_of, sentence
from specs.generator.source import annotations_of, comments_of, values_of


def limits() -> str:
    """The public constants of the core that are numbers or durations."""
    return table(
        ("Constant", "Value", "Where", "Meaning"),
        (
            (
                code(name),
                code(_number(value)),
                code(path_of(module)),
                comments_of(module).get(name, ""),
            )
            for module in modules()
            for name in values_of(module)
            if name.isupper() and name[0] != "_" and _is_number(value := getattr(module, name))
        ),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | timedelta) and not isinstance(value, bool)


def _number(value: int | timedelta) -> str:
    return str(value).removesuffix(", 0:00:00")


def entities(*kinds: type) -> str:
    """A section for each entity and value of the domain."""
    return "\n\n".join(map(_entity, kinds or filter(_is_value, classes(domain))))


def _is_value(kind: type) -> bool:
    is_data = dataclasses.is_dataclass(kind) or issubclass(kind, Enum)
    return is_data and not issubclass(kind, Exception)


def _entity(kind: Any) -> str:
    members = _values(kind) if issubclass(kind, Enum) else _fields(kind)
    return section(3, code(kind.__name__), *paragraphs(kind), members, _methods(kind))


def _values(kind: type[Enum]) -> str:
    comments = comments_of(kind)
    return table(
        ("Value", "Member", "Meaning"),
        ((code(str(m.value)), code(m.name), comments.get(m.name, "")) for m in kind),
    )


def _fields(kind: Any) -> str:
    comments, annotations, values = comments_of(kind), annotations_of(kind), values_of(kind)
    return table(
        ("Field", "Type", "Default", "Meaning"),
        (
            (
                code(field.name),
                code(annotations[field.name]),
                "" if field.default is dataclasses.MISSING else code(values[field.name]),
                comments.get(field.name, ""),
            )
            for field in dataclasses.fields(kind)
            if not field.name.startswith("_")
        ),
    )


def _methods(kind: type) -> str:
    """The public methods and properties that have a docstring."""
    rows = []
    for name, value in vars(kind).items():
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        if inspect.isfunction(function) and not name.startswith("_") and function.__doc__:
            rows.append((code(_call_text(kind, name, value)), sentence(function)))
    return table(("Method", "Meaning"), rows) if rows else ""


def _call_text(kind: type, name: str, value: object) -> str:
    if isinstance(value, property):
        return name
    parameters = [p for p in inspect.signature(getattr(kind, name)).parameters if p != "self"]
    prefix = f"{kind.__name__}." if isinstance(value, classmethod) else ""
    return f"{prefix}{name}({', '.join(parameters)})"
