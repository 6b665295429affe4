"""The secrets in the settings: their form, and what is rejected."""

import subprocess
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from entrypoints.secret_types import fingerprint
from entrypoints.setting_problems import problems
from entrypoints.settings import Settings

NEW: Final = "new-secret-0123456789abcdef-012345"
OLD: Final = "old-secret-0123456789abcdef-012345"
CANARY: Final = "canary-of-a-secret"


def rejected(**settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Settings(**settings)
    [message] = problems(caught.value)
    return message


def test_list_takes_precedence_over_the_single_secret() -> None:
    settings = Settings(better_auth_secret=OLD, better_auth_secrets=f"7:{NEW}")
    assert settings.secrets == (NEW,)


@pytest.mark.parametrize(
    "text",
    [
        f"2:{NEW},1:{OLD}",
        f" 2 : {NEW} , 1 : {OLD} ",
        f"02:{NEW},1:{OLD}",
        f"1:{NEW},0:{OLD}",
    ],
)
def test_first_secret_of_the_list_is_the_current_one(text: str) -> None:
    assert Settings(better_auth_secrets=text).secrets == (NEW, OLD)


def test_secret_may_contain_colons() -> None:
    secret = f"a:b:{NEW}"
    assert Settings(better_auth_secrets=f"1:{secret}").secrets == (secret,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CANARY, "must be versions with secrets such as 2:new-secret,1:old-secret"),
        (f"{NEW},{OLD}", "must be versions with secrets such as 2:new-secret,1:old-secret"),
        (f"v2:{NEW}", "must be versions with secrets such as 2:new-secret,1:old-secret"),
        (f"-1:{NEW}", "must be versions with secrets such as 2:new-secret,1:old-secret"),
        (f"2:{NEW},", "must be versions with secrets such as 2:new-secret,1:old-secret"),
        ("2:", "must be versions with secrets such as 2:new-secret,1:old-secret"),
        (f"1:{NEW},01:{OLD}", "has version 1 twice"),
        (f"2:{NEW},1:{CANARY}", "must have at least 32 characters"),
        (f"2:{NEW},1:{'z' * 40}", "repeats one character"),
        ("1:better-auth-secret-12345678901234567890", "is Better Auth's default"),
    ],
)
def test_list_that_is_none_is_rejected(text: str, message: str) -> None:
    found = rejected(better_auth_secrets=text)
    assert found.startswith(f"BETTER_AUTH_SECRETS {message}")
    assert CANARY not in found


@given(st.characters(exclude_categories=["Cs"]), st.integers(32, 200))
def test_secret_of_one_repeated_character_is_rejected(character: str, length: int) -> None:
    message = rejected(better_auth_secret=character * length)
    assert message.startswith("BETTER_AUTH_SECRET repeats one character")


@pytest.mark.parametrize("name", ["better_auth_secret", "better_auth_secrets"])
@given(before=st.text(st.characters(codec="utf-8", exclude_characters=","), max_size=40))
def test_secret_that_is_not_utf_8_is_rejected(name: str, before: str) -> None:
    """The environment may have any bytes."""
    undecodable = (f"a{before}".encode() + b"\xe9" + NEW.encode()).decode(errors="surrogateescape")
    message = rejected(**{name: f"1:{undecodable}"})
    assert message == f"{name.upper()} must be text in UTF-8"


def test_secret_is_required_in_either_form() -> None:
    url = "postgresql://ann@db/app"
    assert Settings(database_url=url, better_auth_secrets=f"1:{NEW}").secrets == (NEW,)
    assert rejected(database_url=url).startswith("BETTER_AUTH_SECRET must be set")


def test_fingerprint_can_be_computed_in_a_shell() -> None:
    command = 'printf %s "$BETTER_AUTH_SECRET" | sha256sum'
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"BETTER_AUTH_SECRET": f"{NEW} ü", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert fingerprint(f"{NEW} ü") == done.stdout[:8]


def test_secrets_are_in_no_representation() -> None:
    settings = Settings(better_auth_secrets=f"2:{CANARY}-{NEW},1:{CANARY}-{OLD}")
    assert CANARY not in f"{settings!r} {settings} {settings.model_dump()}"
