"""The generated blocks of a document, each between two markers."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

_BLOCK: Final = re.compile(
    r"^<!-- generated: (?P<name>[a-z_]+)(?: (?P<argument>\S+))? -->$.*?^<!-- end -->$",
    re.MULTILINE | re.DOTALL,
)

Block = Callable[..., str]


def names(text: str) -> Iterator[tuple[str, str | None]]:
    """The name and the argument of each block of a document."""
    for found in _BLOCK.finditer(text):
        yield found["name"], found["argument"]


def fill(text: str, blocks: Mapping[str, Block]) -> str:
    """The document with each block generated again. Raises `KeyError` for an unknown name."""

    def write(found: re.Match[str]) -> str:
        name, argument = found["name"], found["argument"]
        body = blocks[name](argument) if argument else blocks[name]()
        first_line = found[0].partition("\n")[0]
        return f"{first_line}\n\n{body.strip()}\n\n<!-- end -->"

    return _BLOCK.sub(write, text)
