"""Parses Markdown documents: headings, tables, code and links."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).parents[2]
SPECS: Final = ROOT / "specs" / "backend"
_EMPTY: Final = "—"


@dataclass(frozen=True)
class Table:
    """The header and the rows; cells are Markdown source text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> list[str]:
        index = self.header.index(name)
        return [row[index] for row in self.rows]


@dataclass(frozen=True)
class Code:
    """A fenced code block."""

    #: The info string behind the opening fence.
    kind: str
    text: str
    #: The number of its first line in the document.
    line: int
    #: Whether another code block precedes it without text between them.
    follows_code: bool


@dataclass
class Section:
    """A heading and its content, up to the next heading of any level."""

    heading: str
    level: int
    tables: list[Table] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Document:
    path: Path
    sections: tuple[Section, ...]
    links: tuple[str, ...]
    #: HTML, whose links are not parsed, and links whose target is not defined.
    strays: tuple[str, ...]

    @property
    def anchors(self) -> set[str]:
        """The anchors of the headings, as GitHub generates them."""
        counts: dict[str, int] = {}
        anchors = set()
        for section in self.sections:
            slug = _slug(section.heading)
            number = counts.get(slug, 0)
            counts[slug] = number + 1
            anchors.add(f"{slug}-{number}" if number else slug)
        return anchors

    @property
    def codes(self) -> Iterator[Code]:
        for section in self.sections:
            yield from section.codes

    def section(self, heading: str) -> Section:
        [found] = [section for section in self.sections if section.heading == heading]
        return found

    def below(self, heading: str) -> list[Section]:
        """The subsections of a heading."""
        start = self.sections.index(self.section(heading))
        level, below = self.sections[start].level, []
        for section in self.sections[start + 1 :]:
            if section.level <= level:
                break
            below.append(section)
        return below

    def tables(self, *header: str) -> list[Table]:
        """The tables whose first columns are these."""
        return tables(self.sections, *header)


def tables(sections: Iterable[Section], *header: str) -> list[Table]:
    return [t for s in sections for t in s.tables if t.header[: len(header)] == header]


def rows(found: Iterable[Table]) -> list[tuple[str, ...]]:
    return [row for table in found for row in table.rows]


def code(cell: str) -> str:
    """The inline code of a cell; empty if it has none."""
    [name] = codes(cell) or [""]
    return name


def codes(text: str) -> list[str]:
    return [single or double for double, single in re.findall(r"``\s?(.+?)\s?``|`([^`]+)`", text)]


@cache
def document(path: Path) -> Document:
    return read(path, path.read_text())


def read(path: Path, text: str) -> Document:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    sections: list[Section] = [Section("", 0)]
    links: list[str] = []
    strays: list[str] = []
    follows_code = False
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            sections.append(Section(tokens[index + 1].content, int(token.tag[1:])))
        elif token.type == "table_open":
            sections[-1].tables.append(_table(tokens[index:]))
        elif token.type == "fence":
            line = token.map[0] + 1 if token.map else 0
            sections[-1].codes.append(Code(token.info.strip(), token.content, line, follows_code))
        elif token.type == "paragraph_open":
            sections[-1].paragraphs.append(tokens[index + 1].content)
        follows_code = token.type == "fence"
        links += [
            str(child.attrs.get("href") or child.attrs.get("src"))
            for child in token.children or ()
            if child.type in ("link_open", "image")
        ]
        strays += [
            part.content
            for part in (token, *(token.children or ()))
            if part.type in ("html_block", "html_inline")
            or (part.type == "text" and "][" in part.content)
        ]
    return Document(path, tuple(sections), tuple(links), tuple(strays))


def _table(tokens: list[Token]) -> Table:
    found: list[list[str]] = []
    for index, token in enumerate(tokens):
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            found.append([])
        elif token.type in ("th_open", "td_open"):
            cell = tokens[index + 1].content.strip()
            found[-1].append("" if cell == _EMPTY else cell)
    header, *rest = found
    return Table(tuple(header), tuple(tuple(row) for row in rest))


def _slug(heading: str) -> str:
    """The anchor of a heading: lower case, without punctuation, spaces as dashes."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    kept = (c for c in text if c in " -_" or unicodedata.category(c)[0] in "LMN")
    return "".join(kept).replace(" ", "-")
