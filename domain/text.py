"""Rules for text.

In this order: CRLF and CR become LF; the text is normalized to Unicode NFC; control characters,
unpaired surrogates and bidirectional overrides are rejected; surrounding white space is removed;
the length is counted in code points. The rules are idempotent: cleaning a clean text returns the
same text, so a client reads back exactly what it sent, if that was clean.
"""

import re
import unicodedata

from domain.validation import RuleViolation

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_NEWLINE_AND_TAB = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Embeddings and isolates reorder text just as overrides do (CVE-2021-42574).
_BIDI_OVERRIDE = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
# Letters, marks and symbols without a visible glyph, beyond the categories of control, format and
# space characters. Unassigned code points count as visible: they may be emoji of a newer Unicode.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f"
    "\U000e0100-\U000e01ef]"
)
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})


def clean_line(text: str, *, max_length: int, may_be_blank: bool = False) -> str:
    """One line with a visible character, at most `max_length` code points.

    Raises `RuleViolation`.
    """
    text = _normalized(text, _CONTROL).strip()
    if not may_be_blank and not any(map(_is_visible, text)):
        raise RuleViolation("must have at least one visible character")
    return _bounded(text, max_length)


def clean_block(text: str, *, max_length: int) -> str:
    """Any number of lines, at most `max_length` code points. May be empty.

    Raises `RuleViolation`.
    """
    return _bounded(_normalized(text, _CONTROL_BUT_NEWLINE_AND_TAB).strip(), max_length)


def clean_search(text: str, *, max_length: int) -> str:
    """A search text, not empty. Surrounding white space is kept.

    Raises `RuleViolation`.
    """
    text = _normalized(text, _CONTROL_BUT_NEWLINE_AND_TAB)
    if not text:
        raise RuleViolation("must have at least one character")
    return _bounded(text, max_length)


def _normalized(text: str, control: re.Pattern[str]) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    # The other rules concern only characters outside ASCII.
    is_ascii = text.isascii()
    if not is_ascii:
        text = unicodedata.normalize("NFC", text)
    if control.search(text):
        raise RuleViolation("must not contain control characters")
    if is_ascii:
        return text
    if _SURROGATE.search(text):
        raise RuleViolation("must not contain unpaired surrogates")
    if _BIDI_OVERRIDE.search(text):
        raise RuleViolation("must not contain bidirectional overrides")
    return text


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in _INVISIBLE_CATEGORIES and not _BLANK.match(
        character
    )


def _bounded(text: str, max_length: int) -> str:
    if len(text) > max_length:
        raise RuleViolation(f"must have at most {max_length} characters")
    return text
