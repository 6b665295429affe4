"""`env-spec.md`: rejected values and their messages."""

import shlex
from typing import Final, Literal, get_args

import pytest
import typer.main
from pydantic import ValidationError
from typer.core import TyperGroup

from entrypoints.cli import app as cli
from entrypoints.setting_problems import problems
from entrypoints.settings import Settings
from tests.specs.markdown import SPECS, codes, document, rows

ENV: Final = document(SPECS / "env-spec.md")
REJECTED: Final = [
    (codes(assignments)[0], codes(message)[0])
    for assignments, message, *_ in rows(ENV.tables("Rejected"))
]


@pytest.mark.parametrize(("assignments", "message"), REJECTED)
def test_invalid_value_is_rejected_with_its_message(
    assignments: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for assignment in shlex.split(assignments):
        name, value = assignment.split("=", 1)
        assert name.lower() in Settings.model_fields
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert message in problems(caught.value)


def test_every_rule_of_our_own_has_an_example() -> None:
    """Types, bounds and enumerations are pydantic's: an example of each kind is enough."""
    found = {part.split("=", 1)[0].lower() for text, _ in REJECTED for part in shlex.split(text)}
    validated = {
        name
        for name, field in Settings.model_fields.items()
        if "Validator" in repr((field.annotation, field.metadata))
        and Literal not in (field.annotation, *get_args(field.annotation))
    }
    assert validated - {"log_level", "log_format"} <= found
    assert {"better_auth_secret", "api_port", "sign_up", "log_level"} <= found


def test_no_option_reads_the_environment() -> None:
    """Settings are read in one place."""
    group = typer.main.get_command(cli)
    assert isinstance(group, TyperGroup)
    assert not [p for command in group.commands.values() for p in command.params if p.envvar]
