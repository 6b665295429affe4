"""Users, and the grammar of their addresses."""

from datetime import UTC, datetime

import pytest

from domain.errors import Invalid
from domain.text import Refused
from domain.users import User, clean_email

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("a.b+c_d-e'f@sub.example.co", "a.b+c_d-e'f@sub.example.co"),
        ("1@2.io", "1@2.io"),
    ],
)
def test_addresses_that_better_auth_takes(text: str, cleaned: str) -> None:
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
def test_addresses_that_could_never_sign_in(text: str) -> None:
    with pytest.raises(Refused):
        clean_email(text)


def test_a_new_user_is_unproven() -> None:
    user = User.create(id="u", email="Ann@example.com", now=NOW)
    assert (user.email, user.email_verified, user.name) == ("ann@example.com", False, "")


def test_a_user_without_an_address_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        User.create(id="u", email="nobody", now=NOW)
    assert caught.value.problems[0].field == "email"
