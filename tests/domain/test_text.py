"""The rules for text: any text is either cleaned idempotently or rejected with a reason."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.tasks import (
    DESCRIPTION_MAX_LENGTH,
    TITLE_MAX_LENGTH,
    clean_description,
    clean_title,
)
from domain.text import clean_search
from domain.validation import RuleViolation

ANYTHING = st.text(st.characters(), max_size=1_100) | st.text(
    st.sampled_from("a \t\r\n\x00\x1f\x85\u202e\u2066\u200b\u200d\ufe0f\u3164\ud800é\u0301🙂"),
    max_size=250,
)


@given(ANYTHING)
def test_cleaned_title_is_idempotent(text: str) -> None:
    try:
        title = clean_title(text)
    except RuleViolation as error:
        assert str(error).startswith("must ")
        return
    assert clean_title(title) == title
    assert 1 <= len(title) <= TITLE_MAX_LENGTH
    assert title == title.strip()
    assert unicodedata.is_normalized("NFC", title)
    title.encode()
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in title)


@given(ANYTHING)
def test_cleaned_description_is_idempotent(text: str) -> None:
    try:
        description = clean_description(text)
    except RuleViolation:
        return
    assert clean_description(description) == description
    assert len(description) <= DESCRIPTION_MAX_LENGTH
    assert description == description.strip()
    description.encode()
    assert not any(unicodedata.category(c) == "Cc" for c in description if c not in "\n\t")


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=200))
def test_visible_characters_are_accepted(text: str) -> None:
    normal = unicodedata.normalize("NFC", text)
    if len(normal) <= TITLE_MAX_LENGTH and not set(text) & set("\u115f\u1160\u3164\uffa0\u2800"):
        assert clean_title(text) == normal


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  spaced\u00a0", "spaced"),
        ("e\u0301", "é"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("a" * 200, "a" * 200),
        ("e\u0301" * 200, "é" * 200),
        (" " + "a" * 200 + " ", "a" * 200),
        ("100%_done\\", "100%_done\\"),
        ("\u2028x\u2029", "x"),
    ],
)
def test_valid_titles_are_cleaned(text: str, cleaned: str) -> None:
    assert clean_title(text) == cleaned


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "visible"),
        ("   ", "visible"),
        ("\u200b\u200d\u2060\ufeff", "visible"),
        ("\u3164", "visible"),
        ("\ufe0f", "visible"),
        ("\u2800\u2800", "visible"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("a\r\nb", "control"),
        ("a\tb", "control"),
        ("a\n", "control"),
        ("a\x7f", "control"),
        ("a\x85", "control"),
        ("a\ud800", "surrogates"),
        ("\udfffa", "surrogates"),
        ("a\u202eb", "bidirectional"),
        ("a\u2067b", "bidirectional"),
        ("a" * 201, "at most 200"),
        ("🙂" * 201, "at most 200"),
    ],
)
def test_invalid_titles_are_rejected(text: str, reason: str) -> None:
    with pytest.raises(RuleViolation, match=reason):
        clean_title(text)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("", ""),
        ("  ", ""),
        ("a\r\nb\rc\n", "a\nb\nc"),
        ("\ta\tb", "a\tb"),
        ("a" * 1_000, "a" * 1_000),
    ],
)
def test_valid_descriptions_are_cleaned(text: str, cleaned: str) -> None:
    assert clean_description(text) == cleaned


@pytest.mark.parametrize("text", ["a\x00", "\x0b", "a\u202d", "\ud83d", "a" * 1_001])
def test_invalid_descriptions_are_rejected(text: str) -> None:
    with pytest.raises(RuleViolation):
        clean_description(text)


def test_search_text_keeps_surrounding_white_space() -> None:
    assert clean_search(" a", max_length=200) == " a"


@pytest.mark.parametrize("text", ["", "a" * 201, "\x00"])
def test_invalid_search_texts_are_rejected(text: str) -> None:
    with pytest.raises(RuleViolation):
        clean_search(text, max_length=200)
