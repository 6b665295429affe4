"""Renders values as Markdown."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

_WIDTH: Final = 100


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a dash in each empty cell."""
    lines = [_row(header), "|" + "---|" * len(header)]
    return "\n".join([*lines, *(_row([cell or "—" for cell in row]) for row in rows)])


def code(text: str) -> str:
    """Inline code; empty for an empty text."""
    if not text:
        return ""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def codes(texts: Iterable[str]) -> str:
    return ", ".join(map(code, texts))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def section(level: int, heading: str, *parts: str) -> str:
    """A heading with paragraphs and tables below it; empty ones are left out."""
    return "\n\n".join(
        [
            f"{'#' * level} {heading}",
            *(part if part.startswith("|") else wrapped(part) for part in parts if part),
        ]
    )


def wrapped(paragraph: str) -> str:
    """The paragraph on several lines. A word, such as a link, stays whole."""
    return textwrap.fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)
