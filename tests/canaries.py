"""Secrets that must not be logged, and the search for them in everything that tests log."""

import json
import re
from collections.abc import Iterable, MutableMapping
from typing import Any, Final, NoReturn

import structlog

from adapters.logs import exceptions, rendering

Event = MutableMapping[str, Any]

PLANTED: Final = (
    # Signing secrets.
    "a-secret-of-the-tests-0123456789abcdef",
    "a secret that only tests know, long enough for each of the HMACs",
    # Passwords.
    "horse battery",
    "canary",
    # Email addresses, titles, session tokens.
    "@example.com",
    "Water the plants",
    "a secret plan",
    "TokenOf",
)
_FORMS: Final = re.compile(
    r"eyJ[\w-]+\.eyJ"  # JWTs
    r"|Bearer |better-auth\.session_token=|__Secure-[\w.-]+="
    r"|[0-9a-f]{32}:[0-9a-f]{128}"  # password hashes
    r"|postgres(?:ql)?(?:\+\w+)?://[^\s\"@/]*:[^\s\"@/]*@"
)

_lines: Final[list[str]] = []


def secrets_in(text: str, more: Iterable[str] = ()) -> set[str]:
    """The planted secrets in a text, those in `more`, and anything that has the form of one."""
    return {secret for secret in (*PLANTED, *more) if secret in text} | set(_FORMS.findall(text))


def assert_no_secrets(text: str, more: Iterable[str] = ()) -> None:
    """Raises `AssertionError` if the text contains a secret."""
    if secrets := secrets_in(text, more):
        lines = [line for line in text.splitlines() if secrets_in(line, more)]
        raise AssertionError(f"{secrets} in the log: {lines[:3]}")


def assert_sound_log() -> None:
    """Check everything that this process has logged since the last call.

    It contains no secret; every error has its code, and every 401 and 403 its reason.
    """
    lines = [*_lines]
    _lines.clear()
    assert_no_secrets("\n".join(lines))
    for line in lines:
        if unexplained := _unexplained(json.loads(line)):
            raise AssertionError(f"{unexplained} is missing: {line}")


def _unexplained(event: Event) -> str:
    """The field that the access-log line of an error lacks."""
    # 499 is no response.
    if event["event"] != "request" or event["status"] < 400 or event["status"] == 499:
        return ""
    if not event.get("error_code"):
        return "error_code"
    is_refusal = event["status"] in (401, 403)
    return "reason" if is_refusal and not event["reason"] else ""


def render(_logger: object, level: str, event: Event) -> str:
    """A structlog processor: the line that the service would write."""
    return rendering.json_line("", level, event.pop("event"), event)


def collect(_logger: object, _level: str, line: Any) -> NoReturn:
    """A structlog processor: collect a line for the check, and write it nowhere."""
    _lines.append(line)
    raise structlog.DropEvent


def collect_events(events: Iterable[Event]) -> None:
    """Collect events that a test captured before they became lines."""
    for event in events:
        copy = exceptions.drop_exception_messages(None, "", dict(event))
        _lines.append(render(None, copy.pop("log_level"), copy))
