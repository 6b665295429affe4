"""The patterns in the OpenAPI document match the text rules of the domain."""

import re
from collections.abc import Callable

import pytest

from adapters.http import patterns
from domain.tasks import clean_description, clean_title
from domain.users import clean_email, clean_name
from domain.validation import RuleViolation


def passes(rule: Callable[[str], str], text: str) -> bool:
    try:
        rule(text)
    except RuleViolation:
        return False
    return True


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        (patterns.LINE, clean_title),
        (patterns.MAYBE_BLANK_LINE, clean_name),
        (patterns.BLOCK, clean_description),
    ],
)
@pytest.mark.parametrize("frame", ["{}", "a{}"])
def test_pattern_agrees_on_every_character(
    pattern: str, rule: Callable[[str], str], frame: str
) -> None:
    """Each character alone and after a visible one, without surrogates."""
    # In Python, `$` also matches before a trailing newline.
    compiled = re.compile(pattern.removesuffix("$"))
    texts = [frame.format(chr(code)) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    assert [t for t in texts if bool(compiled.fullmatch(t)) is not passes(rule, t)] == []


@pytest.mark.parametrize(
    "email",
    ["ann@example.com", "a.b+c@x.example.org", "ann", "@example.com", "ann@example", "änn@x.com"],
)
def test_pattern_agrees_on_email_addresses(email: str) -> None:
    assert bool(re.fullmatch(patterns.EMAIL, email)) is passes(clean_email, email)
