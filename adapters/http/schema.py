"""The base classes of all schemas.

A schema checks shapes; the domain checks values. Response schemas only document: entities are
encoded as they are, field by field the same (a test compares both), because a pass through a
Pydantic model would cost three times as much CPU.
"""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

ID_MAX: Final = 2**63 - 1


class Schema(BaseModel):
    """A JSON object of a request or a response."""


class RequestBody(Schema):
    """The body of a request. Unknown members are errors."""

    model_config = ConfigDict(extra="forbid")

    def sent_members(self) -> dict[str, Any]:
        """The members that the client sent."""
        return {name: self.__dict__[name] for name in self.model_fields_set}


def canonical_integer(text: object) -> object:
    """Rejects what Python's `int` accepts besides: signs, leading zeros, `1_0`, `1.0`, spaces."""
    if isinstance(text, str) and not (text.isascii() and text.isdigit() and text[0] != "0"):
        raise ValueError("must be a whole number from 1, written in the plain way")
    return text


def all_schemas(base: type[Schema] = Schema) -> Iterator[type[Schema]]:
    """Every subclass of `Schema`."""
    for schema in base.__subclasses__():
        yield schema
        yield from all_schemas(schema)
