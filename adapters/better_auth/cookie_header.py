"""The `Cookie` header of a request."""

from collections.abc import Iterator
from typing import Final

#: White space around names and values. `str.strip` would remove more, such as U+00A0: to a browser
#: a name after U+00A0 has no prefix, so that a page on plain http may set it.
_WHITE_SPACE: Final = " \t"


def pairs(header: str) -> Iterator[tuple[str, str]]:
    """The names and values of all cookies."""
    for pair in header.split(";"):
        name, separator, value = pair.partition("=")
        if separator:
            yield name.strip(_WHITE_SPACE), value.strip(_WHITE_SPACE).strip('"')
