"""Validation of several fields at once, so that a client learns of all problems in one response.

A rule takes a value and returns it cleaned, or raises `RuleViolation`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeVar

from domain.errors import FieldError, Invalid

V = TypeVar("V")


class RuleViolation(ValueError):
    """A value breaks a rule. The message names the rule and never contains the value."""


class Keep(Enum):
    """The type of `KEEP`."""

    #: Leave the field unchanged; None would clear it. On the wire: an absent member.
    KEEP = "keep"


#: The value of a field that a partial update leaves unchanged. None would clear the field.
KEEP: Final = Keep.KEEP


def optional(rule: Callable[[V], V]) -> Callable[[V | None], V | None]:
    """The same rule, but None is valid."""
    return lambda value: None if value is None else rule(value)


@dataclass(slots=True)
class Validator:
    """Cleans values one by one and collects their problems."""

    #: The problems so far.
    problems: list[FieldError] = field(default_factory=list)

    def clean(self, name: str, rule: Callable[[V], V], value: V) -> V:
        """The cleaned value. If it breaks the rule, the problem is collected under `name`."""
        try:
            return rule(value)
        except RuleViolation as error:
            self.problems.append(FieldError(name, str(error)))
            return value

    def raise_problems(self) -> None:
        """Raises `Invalid` if there are any problems."""
        if self.problems:
            raise Invalid(*self.problems)


def clean_fields(instance: object, rules: Mapping[str, Callable[[Any], Any]]) -> None:
    """Clean the fields of a frozen dataclass in its `__post_init__`; `KEEP` is left as it is.

    Raises `Invalid` with every problem.
    """
    problems: list[FieldError] | None = None
    for name, rule in rules.items():
        value = getattr(instance, name)
        if value is KEEP:
            continue
        try:
            cleaned = rule(value)
        except RuleViolation as error:
            problems = [*(problems or ()), FieldError(name, str(error))]
        else:
            if cleaned is not value:
                object.__setattr__(instance, name, cleaned)
    if problems:
        raise Invalid(*problems)
