"""What no line of a log may hold, and who looks for it in all that is logged while tests run."""

import re
from collections.abc import Iterable, MutableMapping
from typing import Any, Final, NoReturn

import structlog

from adapters.logs import exceptions, rendering

Event = MutableMapping[str, Any]

PLANTED: Final = (
    # The secrets that sign.
    "a-secret-of-the-tests-0123456789abcdef",
    "a secret that only tests know, long enough for each of the HMACs",
    # Passwords, and what they are hashed to.
    "horse battery",
    "canary",
    # Addresses, titles, session tokens.
    "@example.com",
    "Water the plants",
    "a secret plan",
    "TokenOf",
)
_FORMS: Final = re.compile(
    r"eyJ[\w-]+\.eyJ"  # JWTs
    r"|Bearer |better-auth\.session_token=|__Secure-"
    r"|[0-9a-f]{32}:[0-9a-f]{128}"  # password hashes
    r"|postgres(?:ql)?(?:\+\w+)?://[^\s\"@/]*:[^\s\"@/]*@"
)

_said: Final[list[str]] = []


def found(text: str, more: Iterable[str] = ()) -> set[str]:
    """What of all that is in a text."""
    return {secret for secret in (*PLANTED, *more) if secret in text} | set(_FORMS.findall(text))


def refuse(text: str, more: Iterable[str] = ()) -> None:
    """Raises `AssertionError` where there is any of it."""
    if secrets := found(text, more):
        lines = [line for line in text.splitlines() if found(line, more)]
        raise AssertionError(f"{secrets} in the log: {lines[:3]}")


def refuse_in_what_was_said() -> None:
    """The same, of all that was logged in this process since the last look."""
    text = "\n".join(_said)
    _said.clear()
    refuse(text)


def as_line(_logger: object, level: str, event: Event) -> str:
    """As a service would write it."""
    return rendering.json_line("", level, event.pop("event"), event)


def keep(_logger: object, _level: str, line: Any) -> NoReturn:
    """Let a line be looked at, and be written nowhere."""
    _said.append(line)
    raise structlog.DropEvent


def keep_events(events: Iterable[Event]) -> None:
    """Let events be looked at that were caught before they became lines."""
    for event in events:
        told = exceptions.drop_exception_messages(None, "", dict(event))
        _said.append(as_line(None, told.pop("log_level"), told))
