"""Reads what is given to `taskport explain`: header lines, a bare credential, or a reason."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from starlette.datastructures import Headers

from domain.refusals import Reason

MAX_BYTES: Final = 65_536

#: Browsers copy the pseudo-headers of HTTP/2 too, such as `:path`.
_HEADER: Final = re.compile(r":?([A-Za-z][A-Za-z0-9-]*)\s*:\s*(.*)", re.DOTALL)
_REQUEST_LINE: Final = re.compile(r"[A-Z]+ \S+ HTTP/[0-9.]+|HTTP/[0-9.]+ \d+.*")
#: What `curl -v` prints besides the request: its own words, the response and the data.
_NOT_SENT: Final = re.compile(r"[<*{}]( .*)?")
#: A session cookie as the storage views of Chrome (tabs) and Firefox (colon) copy it.
_STORED_COOKIE: Final = re.compile(
    r"([A-Za-z0-9_.-]*session[_-]?token)(?:\t|\s*:\s*|\s+=\s*)['\"]?([^\s'\"]+).*"
)
#: Headers that decide about a request.
_RELEVANT: Final = frozenset({"authorization", "cookie", "origin", "referer", "sec-fetch-site"})
#: As a browser copies them for `fetch`, or in a HAR file.
_JSON_HEADER: Final = re.compile(
    rf'"(?:name"\s*:\s*")?({"|".join(_RELEVANT)})"\s*[:,]\s*(?:"value"\s*:\s*)?("(?:[^"\\]|\\.)*")',
    re.IGNORECASE,
)
_CREDENTIAL_HEADER: Final = re.compile(r"\b(?:authorization|cookie)['\"]?\s*:", re.IGNORECASE)
_OPTION: Final = re.compile(r"^\s*(?:curl\b|-H\b|-b\b|--header\b|--cookie\b)", re.MULTILINE)
#: Options of curl, and what stands before their values in a header line.
_HEADER_OPTIONS: Final = {
    "-H": "",
    "--header": "",
    "-b": "Cookie: ",
    "--cookie": "Cookie: ",
    "--oauth2-bearer": "Authorization: Bearer ",
}
#: A name and a value. The `=` at the end of a signature is not followed by a value.
_COOKIE: Final = re.compile(r"[A-Za-z0-9_.-]+=[^=\s].*")
_REASONS: Final = {reason.value: reason for reason in Reason}
#: In a log line, as JSON or as on a console; or alone.
_REASON: Final = re.compile(r"\breason\"?\s*[:=]\s*\"?'?([a-z_]+)(?![^\s\"',}])")


def reason_in(text: str) -> Reason | None:
    """The reason that a text is, or that a log line has."""
    if _CREDENTIAL_HEADER.search(text):
        # A cookie may have the name `reason`.
        return None
    found = _REASON.search(text)
    name = found[1] if found else text.strip().lower()
    return _REASONS.get(name)


def headers_in(text: str) -> Headers | None:
    """The headers of a request, of which the text has lines or only a credential; else None."""
    text = text.removeprefix("\ufeff").removeprefix("ï»¿")
    headers, bare = _json_headers(text), ""
    if not headers and not text.lstrip().startswith("{"):
        headers, bare = _header_lines(_curl_lines(text) if _OPTION.search(text) else _lines(text))
    headers = [header for header in map(_as_sent, headers) if header[0] in _RELEVANT]
    if bare and not any(name in ("authorization", "cookie") for name, _ in headers):
        headers.append(_credential(bare))
    if not headers:
        return None
    return Headers(raw=[(_bytes(name), _bytes(value)) for name, value in headers])


def _json_headers(text: str) -> list[tuple[str, str]]:
    found = _JSON_HEADER.finditer(text)
    try:
        return [(match[1].lower(), json.loads(match[2], strict=False)) for match in found]
    except ValueError:
        return []


def _header_lines(lines: Iterable[str]) -> tuple[list[tuple[str, str]], str]:
    """The headers of these lines, and all other lines as one text.

    A name and its value may be on two lines, as Chrome copies them. A long value may be wrapped, by
    a terminal or by a sender that folds headers.
    """
    headers: list[tuple[str, str]] = []
    rest: list[str] = []
    can_continue = False
    for line in lines:
        text = line.strip()
        header = _HEADER.fullmatch(text)
        name, value = headers[-1] if can_continue else ("", "")
        is_value = can_continue and not value
        if header and not (is_value and header[1].lower() not in _RELEVANT):
            headers.append((header[1].lower(), header[2].strip()))
            can_continue = True
        elif not text or _REQUEST_LINE.fullmatch(text):
            # A body may follow.
            can_continue = False
        elif can_continue:
            fold = " " if line.startswith(" ") and value else ""
            headers[-1] = name, f"{value}{fold}{text}"
        else:
            rest.append(text)
    return headers, "".join(rest)


def _lines(text: str) -> Iterator[str]:
    """The lines without quotes around them, as far as they are sent; folded ones begin with " "."""
    for line in text.splitlines():
        stripped = line.strip().removeprefix("> ").strip("'\"").strip()
        if stripped == ">" or _NOT_SENT.fullmatch(stripped):
            stripped = ""
        yield f" {stripped}" if line[:1] in (" ", "\t") else stripped


def _curl_lines(text: str) -> Iterator[str]:
    """The header lines of a curl command, as browsers copy it for a shell or for Windows."""
    if '^"' in text:
        text = re.sub(r"\^(?:\r?\n)?(.?)", r"\1", text)
    try:
        words = shlex.split(text.replace("\\\r\n", " ").replace("\\\n", " "))
    except ValueError:
        return
    for option, value in pairwise([*words, ""]):
        long, is_joined, joined = option.partition("=")
        if option in _HEADER_OPTIONS:
            # bash: $'...' is a quoted word.
            yield f"{_HEADER_OPTIONS[option]}{value.removeprefix('$').strip()}"
        elif is_joined and long in _HEADER_OPTIONS:
            yield f"{_HEADER_OPTIONS[long]}{joined.strip()}"
        elif option[:2] in _HEADER_OPTIONS and option[2:]:
            yield f"{_HEADER_OPTIONS[option[:2]]}{option[2:].strip()}"


def _as_sent(header: tuple[str, str]) -> tuple[str, str]:
    """The header that a browser sends after it has received this one."""
    name, value = header
    return ("cookie", value.partition(";")[0]) if name == "set-cookie" else header


def _credential(bare: str) -> tuple[str, str]:
    if stored := _STORED_COOKIE.fullmatch(bare):
        return "cookie", f"{stored[1]}={stored[2]}"
    if _COOKIE.fullmatch(bare):
        return "cookie", bare
    return "authorization", bare if " " in bare else f"Bearer {bare}"


def _bytes(text: str) -> bytes:
    """As Starlette decodes it."""
    return text.encode("latin-1", "replace")
