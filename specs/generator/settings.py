"""Tables of the settings and of the commands, and `.env.example`."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import typer.main
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from typer.core import TyperArgument, TyperGroup, TyperOption

from application.limits import Limit
from entrypoints.cli import app
from entrypoints.settings import Settings
from specs.generator.markdown import code, codes, table
from specs.generator.source import comments_of

_SPANS: Final = {86_400: "day", 3_600: "hour", 60: "minute", 1: "second"}
_WIDTH: Final = 98
_EXAMPLE_HEAD: Final = """\
# Every setting with its default. Copy this file to `.env` and change what you need. How settings
# are read, and what happens if one is wrong, is in specs/backend/env-spec.md.
"""


def settings(kind: type[Settings] = Settings) -> str:
    comments, properties = comments_of(kind), kind.model_json_schema()["properties"]
    return table(
        ("Variable", "Default", "Values", "Meaning"),
        (
            (
                code(name.upper()),
                code(_default(field)),
                _values(properties[name]),
                ("**Secret.** " if _is_secret(field) else "") + comments.get(name, ""),
            )
            for name, field in kind.model_fields.items()
        ),
    )


def env_example(kind: type[Settings] = Settings) -> str:
    """The text of `.env.example`."""
    comments = comments_of(kind)
    lines = [_EXAMPLE_HEAD]
    for name, field in kind.model_fields.items():
        lines += (f"# {line}" for line in textwrap.wrap(comments.get(name, ""), _WIDTH))
        lines.append(f"{name.upper()}={_default(field)}")
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Every command with its arguments and options, as `--help` shows them."""
    return table(("Command", "Values", "Default", "Meaning"), _command_rows())


def _command_rows() -> Iterator[tuple[str, str, str, str]]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        arguments = [p.name.upper() for p in command.params if isinstance(p, TyperArgument)]
        yield code(" ".join(["taskport", name, *arguments])), "", "", _one_line(command.help)
        for option in command.params:
            if isinstance(option, TyperOption) and option.name != "help":
                schema = {"minimum": option.min, "maximum": option.max}
                default = "" if option.default in (None, False) else str(option.default)
                flag = " ".join(["taskport", name, max(option.opts, key=len)])
                yield code(flag), _values(schema), code(default), _one_line(option.help)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _is_secret(field: FieldInfo) -> bool:
    return not field.repr or "SecretStr" in str(field.annotation)


def _values(schema: Mapping[str, Any]) -> str:
    """The values that a JSON schema allows; empty if it allows any text."""
    [schema] = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    if "enum" in schema:
        return codes(schema["enum"])
    if schema.get("type") == "boolean":
        return codes(("true", "false"))
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None:
        return f"{low} to {high}"
    return "" if low is None else f"from {low}"


def _default(field: FieldInfo) -> str:
    """The default as it is written in the environment."""
    return _text(field.default)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case Limit():
            seconds = next(span for span in _SPANS if value.seconds % span == 0)
            times = value.seconds // seconds
            return f"{value.amount}/{times if times > 1 else ''}{_SPANS[seconds]}" + "s" * (
                times > 1
            )
        case tuple():
            return ",".join(map(_text, value))
        case SecretStr():
            raise TypeError("a secret has no default")
    return str(value)
