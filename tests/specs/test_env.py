"""`env-spec.md`: every setting, what is refused, and every command."""

import re
import shlex
from typing import Final

import pytest
import typer.main
from pydantic import ValidationError
from typer.core import TyperArgument, TyperGroup, TyperOption

from entrypoints.cli import app as cli
from entrypoints.settings import Settings, problems
from tests.specs.markdown import ROOT, SPECS, code, codes, document, rows

ENV: Final = document(SPECS / "env-spec.md")
REFUSED: Final = [
    (codes(given)[0], codes(message)[0]) for given, message, *_ in rows(ENV.tables("InvalidText"))
]


def documented() -> dict[str, str]:
    found = rows(ENV.tables("Variable", "Default"))
    assert len({row[0] for row in found}) == len(found)
    return {code(name): code(default) for name, default, *_ in found}


def known(settings: type[Settings]) -> set[str]:
    return {name.upper() for name in settings.model_fields}


def test_every_setting_is_documented() -> None:
    assert set(documented()) == known(Settings)


def test_a_setting_without_its_line_is_missed() -> None:
    class Grown(Settings):
        colour: str = "red"

    assert known(Grown) - set(documented()) == {"COLOUR"}


def test_the_defaults_are_those_of_the_example() -> None:
    """Whose own test holds them against the settings."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert documented() == dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]", line))


def test_every_column_is_filled() -> None:
    for table in ENV.tables("Variable", "Default"):
        assert table.header == ("Variable", "Default", "Effect", "When wrong")
        for row in table.rows:
            assert row[2], row[0]
            assert row[3], row[0]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_what_is_wrong_is_refused_as_written(
    given: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for assignment in shlex.split(given):
        name, value = assignment.split("=", 1)
        assert name in known(Settings)
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert message in problems(caught.value)


def test_whatever_can_be_refused_has_an_example() -> None:
    """Everything but what takes any text."""
    free = {"API_HOST", "TASKPORT_DATA_DIR"}
    shown = {part.split("=", 1)[0] for given, _ in REFUSED for part in shlex.split(given)}
    assert shown == known(Settings) - free


def test_every_command_and_option_is_documented() -> None:
    said = {
        code(row[0]).split()[1]: set(codes(" ".join(row))) for row in rows(ENV.tables("Command"))
    }
    group = typer.main.get_command(cli)
    assert isinstance(group, TyperGroup)
    assert set(said) == set(group.commands)
    for name, command in group.commands.items():
        # Settings are read in one place.
        assert not any(param.envvar for param in command.params)
        arguments = [p.name.upper() for p in command.params if isinstance(p, TyperArgument)]
        assert " ".join(["taskport", name, *arguments]) in said[name]
        wanted = {
            max(option.opts, key=len)
            for option in command.params
            if isinstance(option, TyperOption) and not option.hidden and option.name != "help"
        }
        shown = {text.split()[0] for text in said[name] if text.startswith("--")}
        assert wanted <= shown, name
        known_options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        assert shown <= known_options, name
