"""Users, their bans, and the rules for their addresses and names."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import Invalid
from domain.users import NAME_MAX_LENGTH, User, clean_email, clean_name
from domain.validation import RuleViolation

NOW = datetime(2026, 11, 20, tzinfo=UTC)
TICK = timedelta.resolution


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("a.b+c_d-e'f@sub.example.co", "a.b+c_d-e'f@sub.example.co"),
        ("1@2.io", "1@2.io"),
    ],
)
def test_valid_email_addresses_are_lowercased(text: str, cleaned: str) -> None:
    assert clean_email(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "a@b",
        "a@b.c",
        "ü@example.com",
        "a@exämple.com",
        "a%b@example.com",
        "a!b@example.com",
        "a@[127.0.0.1]",
        " a@example.com",
        "a@example.com\n",
        "a..b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a@-example.com",
        "a" * 250 + "@example.com",
    ],
)
def test_invalid_email_addresses_are_rejected(text: str) -> None:
    with pytest.raises(RuleViolation):
        clean_email(text)


def test_new_user_is_unverified() -> None:
    user = User.create(id="u", email="Ann@example.com", now=NOW)
    assert (user.email, user.email_verified, user.name) == ("ann@example.com", False, "")


def test_user_without_an_email_address_is_rejected() -> None:
    with pytest.raises(Invalid) as caught:
        User.create(id="u", email="nobody", now=NOW)
    assert caught.value.problems[0].field == "email"


@pytest.mark.parametrize(
    ("banned", "expires_at", "is_banned"),
    [
        (False, None, False),
        (True, None, True),
        (True, NOW + TICK, True),
        (True, NOW, True),
        (True, NOW - TICK, False),
        (False, NOW + TICK, False),
    ],
)
def test_ban_lasts_until_it_expires(
    banned: bool, expires_at: datetime | None, is_banned: bool
) -> None:
    """Without an expiration it lasts forever. For Better Auth it is over if `banExpires` < now."""
    user = User.create(id="u", email="u@example.com", now=NOW)
    user.banned, user.ban_expires_at = banned, expires_at
    assert user.is_banned(NOW) is is_banned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("", ""),
        (" \u3000 ", ""),
        ("  Zoë 👩\u200d👧  ", "Zoë 👩\u200d👧"),
        ("Zoe\u0308", "Zoë"),
        ("a" * NAME_MAX_LENGTH + " ", "a" * NAME_MAX_LENGTH),
        ("e\u0301" * NAME_MAX_LENGTH, "é" * NAME_MAX_LENGTH),
    ],
)
def test_valid_names_are_cleaned(text: str, cleaned: str) -> None:
    assert clean_name(text) == cleaned
    assert clean_name(cleaned) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "a\0b",
        "a\nb",
        "Ann\r\n",
        "a\tb",
        "\x1b[31m",
        "a\x85b",
        "\ud800",
        "\u202egpj.exe",
        "👩" * 256,
    ],
)
def test_invalid_names_are_rejected(text: str) -> None:
    with pytest.raises(RuleViolation):
        clean_name(text)
