"""The table of Better Auth's options, and how this service answers each."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, get_args

from specs.generator.markdown import code, section, table
from specs.generator.source import ROOT

Kind = Literal["setting", "works", "must", "no_effect"]

#: The answers.
_FILE: Final = ROOT / "specs" / "better_auth_options.toml"
#: All options of the newest version that is tested: the output of `tests/interop/node/options.mjs`.
OPTIONS_FILE: Final = ROOT / "specs" / "better_auth_options.json"
_WORDS: Final[dict[Kind, str]] = {
    "setting": "**Setting:**",
    "works": "**Works:**",
    "must": "**Must**",
    "no_effect": "**No effect here:**",
}
_SUBTREE: Final = ".*"
_HEADING_LEVEL: Final = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an option, or to a group of options."""

    section: str
    #: A path such as `session.expiresIn`. `*` stands for one part, and at the end for any number.
    option: str
    kind: Kind
    #: Completes the words of its kind.
    text: str
    #: The test against the real Better Auth, if it has one.
    test: str | None

    @property
    def names(self) -> list[str]:
        """The settings and the error codes that the text names."""
        return re.findall(r"`([A-Z_]{4,})(?:=\w+)?`", self.text)

    @property
    def specificity(self) -> tuple[int, bool]:
        """Of two answers for one option, the one with the greater value counts."""
        parts = self.option.removesuffix(_SUBTREE).split(".")
        named = sum(part != "*" for part in parts)
        return named, not self.option.endswith(_SUBTREE)

    def matches(self, path: str) -> bool:
        """Whether it answers the option with this path."""
        expected, parts = self.option.removesuffix(_SUBTREE).split("."), path.split(".")
        is_subtree = self.option.endswith(_SUBTREE)
        return (len(parts) == len(expected) or (is_subtree and len(parts) > len(expected))) and all(
            e in ("*", p) for e, p in zip(expected, parts, strict=False)
        )


@cache
def answers() -> Sequence[Answer]:
    """All answers, in the order of the document."""
    return tuple(_read())


def find(path: str) -> list[Answer]:
    """The most specific answers to an option: there should be one."""
    found = [answer for answer in answers() if answer.matches(path)]
    best = max((answer.specificity for answer in found), default=None)
    return [answer for answer in found if answer.specificity == best]


def better_auth_options() -> str:
    sections = dict.fromkeys(answer.section for answer in answers())
    return "\n\n".join(
        section(_HEADING_LEVEL, name, table(("Option", "Here"), _rows(name))) for name in sections
    )


def _rows(name: str) -> Iterator[tuple[str, str]]:
    for answer in answers():
        if answer.section == name:
            yield code(answer.option), f"{_WORDS[answer.kind]} {answer.text}"


def _read() -> Iterator[Answer]:
    for name, options in tomllib.loads(_FILE.read_text()).items():
        for option, values in options.items():
            [kind] = [kind for kind in get_args(Kind) if kind in values]
            yield Answer(name, option, kind, values[kind], values.get("test"))
