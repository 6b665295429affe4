"""`models-spec.md`: every entity, value and limit, and every schema of the wire."""

import dataclasses
from enum import Enum
from typing import Any, Final

import pytest

import domain
from tests.specs.markdown import SPECS, Section, code, document, rows
from tests.specs.test_services import modules, own

MODELS: Final = document(SPECS / "models-spec.md")


def values_of_the_domain() -> dict[str, type]:
    """Its dataclasses and enumerations; an error is neither."""
    return {
        name: kind
        for name, kind in own(object).items()
        if kind.__module__.split(".")[0] == domain.__name__
        and (dataclasses.is_dataclass(kind) or issubclass(kind, Enum))
        and not issubclass(kind, Exception)
    }


def sections(heading: str) -> dict[str, Section]:
    return {
        code(section.heading): section
        for section in MODELS.below(heading)
        if section.heading.startswith("`")
    }


def first_column(section: Section, *headers: str) -> list[str]:
    return [code(row[0]) for t in section.tables if t.header[0] in headers for row in t.rows]


def test_every_value_is_documented() -> None:
    assert set(sections("Entities and values")) == set(values_of_the_domain())


@pytest.mark.parametrize("name", sorted(values_of_the_domain()))
def test_every_field_is_documented(name: str) -> None:
    kind: Any = values_of_the_domain()[name]
    section = sections("Entities and values")[name]
    if issubclass(kind, Enum):
        assert first_column(section, "Value") == [member.value for member in kind]
    else:
        fields = [f.name for f in dataclasses.fields(kind) if not f.name.startswith("_")]
        assert first_column(section, "Field") == fields


def test_every_limit_is_documented() -> None:
    known = {
        name: (value, module.__name__.replace(".", "/") + ".py")
        for module in modules()
        if module.__name__.startswith("domain.")
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int)
    }
    found = rows(MODELS.tables("Constant", "Value", "Where"))
    assert {
        code(name): (int(code(value).replace("_", "")), code(where))
        for name, value, where, *_ in found
    } == known
