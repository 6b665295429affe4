"""Reads what is given to `taskport explain`: header lines, a bare credential, or a reason."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from starlette.datastructures import Headers

from domain.refusals import Reason

MAX_BYTES: Final = 65_536

_HEADER: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*)\s*:\s*(.*)", re.DOTALL)
_REQUEST_LINE: Final = re.compile(r"[A-Z]+ \S+ HTTP/[0-9.]+|HTTP/[0-9.]+ \d+.*")
_OPTION: Final = re.compile(r"^\s*(?:curl\b|-H\b|-b\b|--header\b|--cookie\b)", re.MULTILINE)
_HEADER_OPTIONS: Final = frozenset({"-H", "--header"})
_COOKIE_OPTIONS: Final = frozenset({"-b", "--cookie"})
#: A name and a value. The `=` at the end of a signature is not followed by a value.
_COOKIE: Final = re.compile(r"[A-Za-z0-9_.-]+=[^=\s].*")
#: Headers that decide about a request.
_RELEVANT: Final = frozenset({"authorization", "cookie", "origin", "referer", "sec-fetch-site"})
_REASONS: Final = {reason.value: reason for reason in Reason}
#: In a log line, as JSON or as on a console; or alone.
_REASON: Final = re.compile(r"\breason\"?\s*[:=]\s*\"?'?([a-z_]+)")


def reason_in(text: str) -> Reason | None:
    """The reason that a text is, or that a log line has."""
    found = _REASON.search(text)
    name = found[1] if found else text.strip().lower()
    return _REASONS.get(name)


def headers_in(text: str) -> Headers | None:
    """The headers of a request, of which the text has lines or only a credential; else None."""
    lines = list(_lines(text.removeprefix("\ufeff").removeprefix("ï»¿")))
    headers: list[tuple[str, str]] = []
    rest: list[str] = []
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header:
            headers.append((header[1].lower(), header[2].strip()))
        elif not _REQUEST_LINE.fullmatch(line) and not line.startswith(":"):
            rest.append(line)
    headers = [header for header in map(_as_sent, headers) if header[0] in _RELEVANT]
    # A terminal may have wrapped a long value.
    bare = "".join(rest)
    if bare and not any(name in ("authorization", "cookie") for name, _ in headers):
        headers.append(_credential(bare))
    if not headers:
        return None
    return Headers(raw=[(_bytes(name), _bytes(value)) for name, value in headers])


def _lines(text: str) -> Iterator[str]:
    """The lines without white space and quotes around them, or the headers of a curl command."""
    if _OPTION.search(text):
        try:
            words = shlex.split(text.replace("\\\r\n", " ").replace("\\\n", " "))
        except ValueError:
            words = []
        for option, value in pairwise(words):
            if option in _HEADER_OPTIONS:
                yield value.strip()
            elif option in _COOKIE_OPTIONS:
                yield f"Cookie: {value.strip()}"
        if words:
            return
    for line in text.splitlines():
        stripped = line.strip().strip("'\"").strip()
        if stripped:
            yield stripped


def _as_sent(header: tuple[str, str]) -> tuple[str, str]:
    """The header that a browser sends after it has received this one."""
    name, value = header
    return ("cookie", value.partition(";")[0]) if name == "set-cookie" else header


def _credential(bare: str) -> tuple[str, str]:
    if _COOKIE.fullmatch(bare):
        return "cookie", bare
    return "authorization", bare if " " in bare else f"Bearer {bare}"


def _bytes(text: str) -> bytes:
    """As Starlette decodes it."""
    return text.encode("latin-1", "replace")
