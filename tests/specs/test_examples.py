"""Sends every example request of the documents; the response must be the documented one."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from adapters.asgi.problems import title_of
from application.ports.passwords import Passwords
from entrypoints.app import from_service
from entrypoints.container import build
from entrypoints.settings import Settings
from specs.generator.openapi import operations
from tests.http.client import SECRET, shared_secret_token
from tests.http.fakes import FakePasswords
from tests.specs.markdown import SPECS, Code, Document, document
from tests.specs.test_links import DOCUMENTS, ids

BASE: Final = "http://localhost:8000"
_NAME: Final = re.compile(r"\$([A-Z][A-Z0-9_]*)")
_IS_HTTP: Final = re.compile(r"HTTP/1|[A-Z]{3,} /")
_ELLIPSIS: Final = re.compile(r"^(\s*)\.\.\.$", re.MULTILINE)
_TIME: Final = TypeAdapter(AwareDatetime)


@dataclass(frozen=True)
class Message:
    """A request or a response of an example."""

    #: The start line without the protocol version.
    start: str
    headers: tuple[tuple[str, str], ...]
    body: str


@dataclass(frozen=True)
class Example:
    line: int
    request: Message
    response: Message


def message(code: Code) -> Message:
    head, _, body = code.text.partition("\n\n")
    start, *lines = head.strip().splitlines()
    headers = tuple((name, value.strip()) for name, _, value in (h.partition(":") for h in lines))
    return Message(re.sub(r" ?HTTP/1\.1 ?", "", start), headers, body.strip())


def examples(document: Document) -> Iterator[Example]:
    """Pairs of code blocks. A request without a response is an error."""
    request: Code | None = None
    for code in document.codes:
        assert code.kind == "http" or not _IS_HTTP.match(code.text), f"line {code.line}: not run"
        if request is not None:
            assert code.kind == "http", f"line {request.line}: no response"
            assert code.follows_code, f"line {request.line}: no response"
            yield Example(request.line, message(request), message(code))
            request = None
        elif code.kind == "http":
            request = code
    assert request is None, "the last request has no response"


@dataclass
class Names:
    """The values of names such as `$ANN`; a response gives a value to a new name."""

    known: dict[str, str] = field(
        default_factory=lambda: {
            "ANN": shared_secret_token("ann"),
            "BOB": shared_secret_token("bob"),
        }
    )

    def fill(self, text: str) -> str:
        return _NAME.sub(lambda found: self.known[found[1]], text)

    def match(self, expected: str, actual: str) -> bool:
        """Whether a text is the expected one. A new name matches any text, which it then has."""
        parts, end, new = [], 0, []
        for found in _NAME.finditer(expected):
            parts.append(re.escape(expected[end : found.start()]))
            name, end = found[1], found.end()
            if name in self.known:
                parts.append(re.escape(self.known[name]))
            elif name in new:
                parts.append(f"(?P={name})")
            else:
                new.append(name)
                parts.append(f"(?P<{name}>.+?)")
        matched = re.fullmatch("".join(parts) + re.escape(expected[end:]), actual, re.DOTALL)
        if matched is None:
            return False
        self.known.update(matched.groupdict())
        return True


def _is_time(text: str) -> bool:
    try:
        _TIME.validate_python(text)
    except ValidationError:
        return False
    return text.endswith("Z") and "T" in text


def _is_uuid(text: str) -> bool:
    try:
        UUID(text.removeprefix("urn:uuid:"))
    except ValueError:
        return False
    return True


def _parse(body: str) -> Any:
    """The JSON of an example, in which `...` means further members of an object."""
    return json.loads(_ELLIPSIS.sub(r'\1"...": null', body), object_pairs_hook=_unique_members)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a member is there twice"
    return found


def differences(expected: Any, actual: Any, names: Names, where: str = "") -> list[str]:
    """The differences of a response. Of generated times and ids, only the format is compared."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        missing = expected.keys() - actual.keys() - {"..."}
        further = actual.keys() - expected.keys()
        if "..." in expected:
            # There must be further members.
            further = set() if further else {"..."}
        found = [f"{where}/{name}" for name in (*missing, *further)]
        for name in [name for name in expected if name in actual]:
            found += differences(expected[name], actual[name], names, f"{where}/{name}")
        return found
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [d for n, (e, a) in pairs for d in differences(e, a, names, f"{where}/{n}")]
    if isinstance(expected, str) and isinstance(actual, str):
        alike = any(test(expected) and test(actual) for test in (_is_time, _is_uuid))
        return [] if alike or names.match(expected, actual) else [f"{where}: {actual!r}"]
    same = expected == actual and type(expected) is type(actual)
    return [] if same else [f"{where}: {actual!r}"]


async def run(found: list[Example], app: FastAPI) -> None:
    """Send the requests one after the other, and compare the responses."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    names = Names()
    for example in found:
        method, target = example.request.start.split()
        # Another client for each request: it sends only the cookies of the example.
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            response = await client.request(
                method,
                names.fill(target),
                headers=[(name, names.fill(value)) for name, value in example.request.headers],
                content=names.fill(example.request.body).encode() or None,
            )
        where = f"line {example.line}, {method} {target}"
        status = f"{response.status_code} {title_of(response.status_code)}"
        assert status == example.response.start, f"{where}: {response.text}"
        for name, value in example.response.headers:
            values = response.headers.get_list(name)
            assert any(names.match(value, v) for v in values), f"{where}: {name}: {values}"
        if "json" in response.headers.get("content-type", "") and method != "HEAD":
            assert not differences(_parse(example.response.body), response.json(), names), where
        else:
            assert names.match(example.response.body, response.text.strip()), where


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[FastAPI]:
    app = from_service(build(settings, {Passwords: FakePasswords()}), settings)
    async with app.router.lifespan_context(app):
        yield app


WITH_EXAMPLES: Final = [path for path in DOCUMENTS if list(examples(document(path)))]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The default settings."""
    for name in ("RATE_LIMIT", "AUTH_RATE_LIMIT"):
        monkeypatch.delenv(name)
    return Settings(better_auth_secret=SECRET)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=ids)
async def test_examples_run(path: Path, settings: Settings) -> None:
    async with service(settings) as app:
        await run(list(examples(document(path))), app)


@pytest.mark.postgres
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=ids)
async def test_examples_run_on_postgres(path: Path, settings: Settings, database_url: str) -> None:
    async with service(settings.with_local_database(database_url).with_secret(SECRET)) as app:
        await run(list(examples(document(path))), app)


def test_every_operation_of_the_api_has_an_example(app: FastAPI) -> None:
    api = document(SPECS / "api-spec.md")
    requests = {example.request.start.split("?")[0] for example in examples(api)}
    missing = [
        name
        for name, _ in operations(app)
        if name != "GET /metrics"
        and not any(re.fullmatch(re.sub(r"\{\w+\}", r"[^/ ]+", name), one) for one in requests)
    ]
    assert not missing


async def test_wrong_example_is_found(settings: Settings) -> None:
    request = Message("GET /livez", (), "")
    for response, is_right in (
        (Message("200 OK", (("Content-Type", "application/json"),), '{"status": "ok"}'), True),
        (Message("204 OK", (), '{"status": "ok"}'), False),
        (Message("200 OK", (("Content-Type", "text/plain"),), '{"status": "ok"}'), False),
        (Message("200 OK", (("ETag", "$TAG"),), '{"status": "ok"}'), False),
        (Message("200 OK", (), '{"status": "no"}'), False),
        (Message("200 OK", (), '{"status": "ok", "more": null}'), False),
        (Message("200 OK", (), "{}"), False),
        (Message("200 OK", (), "{\n  ...\n}"), True),
        (Message("200 OK", (), '{"status": "ok",\n  ...\n}'), False),
        (Message("200 OK", (), '{"more": null,\n  ...\n}'), False),
    ):
        async with service(settings) as app:
            try:
                await run([Example(1, request, response)], app)
            except AssertionError:
                assert not is_right, response
            else:
                assert is_right, response


def test_generated_values_are_compared_by_their_format() -> None:
    def alike(expected: Any, actual: Any) -> bool:
        return not differences(expected, actual, Names())

    assert alike("2026-11-20T16:31:35Z", "2027-01-01T00:00:00.123456Z")
    assert not alike("2026-11-20T16:31:35Z", "2027-01-01T00:00:00")
    assert alike("2b1e7c1c-6d3c-4d0e-9a5f-0f6b6f1b8a34", "7d44a5a6-3f0b-4f07-8f7c-5c7f0f5f8a10")
    assert not alike("2b1e7c1c-6d3c-4d0e-9a5f-0f6b6f1b8a34", "2b1e7c1c")
    assert alike({"a": [1, None], "b": "$X"}, {"b": "anything", "a": [1, None]})
    assert not alike(["$X", "$X"], ["one", "other"])
    assert not alike([1], [True])
    assert not alike([1], [1, 2])
    assert not alike("$X", "")
