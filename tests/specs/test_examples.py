"""Every example request in the documents, asked of a service, which answers as written."""

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
_FURTHER: Final = re.compile(r"^(\s*)\.\.\.$", re.MULTILINE)
_TIME: Final = TypeAdapter(AwareDatetime)


@dataclass(frozen=True)
class Message:
    """One side of an example: `start` is what stands behind the protocol or before it."""

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
    """Pairs of blocks; a request without its answer is a mistake."""
    asked: Code | None = None
    for code in document.codes:
        assert code.kind == "http" or not _IS_HTTP.match(code.text), f"line {code.line}: not run"
        if asked is not None:
            assert code.kind == "http", f"line {asked.line}: no answer"
            assert code.follows_code, f"line {asked.line}: no answer"
            yield Example(asked.line, message(asked), message(code))
            asked = None
        elif code.kind == "http":
            asked = code
    assert asked is None, "the last request has no answer"


@dataclass
class Names:
    """What the document calls by a name: `$ANN`, or what an answer has brought."""

    known: dict[str, str] = field(
        default_factory=lambda: {
            "ANN": shared_secret_token("ann"),
            "BOB": shared_secret_token("bob"),
        }
    )

    def fill(self, text: str) -> str:
        return _NAME.sub(lambda found: self.known[found[1]], text)

    def match(self, written: str, said: str) -> bool:
        """Whether a text is as written, where a name stands for anything once and then for that."""
        parts, place, fresh = [], 0, []
        for found in _NAME.finditer(written):
            parts.append(re.escape(written[place : found.start()]))
            name, place = found[1], found.end()
            if name in self.known:
                parts.append(re.escape(self.known[name]))
            elif name in fresh:
                parts.append(f"(?P={name})")
            else:
                fresh.append(name)
                parts.append(f"(?P<{name}>.+?)")
        matched = re.fullmatch("".join(parts) + re.escape(written[place:]), said, re.DOTALL)
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
    """The JSON of an example, in which `...` stands for further members of an object."""
    return json.loads(_FURTHER.sub(r'\1"...": null', body), object_pairs_hook=_without_doubles)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a member stands there twice"
    return found


def differences(written: Any, said: Any, names: Names, where: str = "") -> list[str]:
    """Where an answer is not as written. Times and ids that are made anew are so by their shape."""
    if isinstance(written, Mapping) and isinstance(said, Mapping):
        missing, further = written.keys() - said.keys() - {"..."}, said.keys() - written.keys()
        if "..." in written:
            # It must stand for something.
            further = set() if further else {"..."}
        found = [f"{where}/{name}" for name in (*missing, *further)]
        for name in [name for name in written if name in said]:
            found += differences(written[name], said[name], names, f"{where}/{name}")
        return found
    if isinstance(written, list) and isinstance(said, list) and len(written) == len(said):
        pairs = enumerate(zip(written, said, strict=True))
        return [d for n, (w, s) in pairs for d in differences(w, s, names, f"{where}/{n}")]
    if isinstance(written, str) and isinstance(said, str):
        alike = any(test(written) and test(said) for test in (_is_time, _is_uuid))
        return [] if alike or names.match(written, said) else [f"{where}: {said!r}"]
    same = written == said and type(written) is type(said)
    return [] if same else [f"{where}: {said!r}"]


async def play(found: list[Example], app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    names = Names()
    for example in found:
        method, target = example.request.start.split()
        # A client of its own: only the cookies that are written are sent.
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            answer = await client.request(
                method,
                names.fill(target),
                headers=[(name, names.fill(value)) for name, value in example.request.headers],
                content=names.fill(example.request.body).encode() or None,
            )
        where = f"line {example.line}, {method} {target}"
        status = f"{answer.status_code} {title_of(answer.status_code)}"
        assert status == example.response.start, f"{where}: {answer.text}"
        for name, value in example.response.headers:
            given = answer.headers.get_list(name)
            assert any(names.match(value, one) for one in given), f"{where}: {name}: {given}"
        if "json" in answer.headers.get("content-type", "") and method != "HEAD":
            assert not differences(_parse(example.response.body), answer.json(), names), where
        else:
            assert names.match(example.response.body, answer.text.strip()), where


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[FastAPI]:
    app = from_service(build(settings, {Passwords: FakePasswords()}), settings)
    async with app.router.lifespan_context(app):
        yield app


WITH_EXAMPLES: Final = [path for path in DOCUMENTS if list(examples(document(path)))]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As they are by themselves."""
    for name in ("RATE_LIMIT", "AUTH_RATE_LIMIT"):
        monkeypatch.delenv(name)
    return Settings(better_auth_secret=SECRET)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=ids)
async def test_the_examples_run(path: Path, settings: Settings) -> None:
    async with service(settings) as app:
        await play(list(examples(document(path))), app)


@pytest.mark.postgres
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=ids)
async def test_the_examples_run_on_postgres(
    path: Path, settings: Settings, database_url: str
) -> None:
    async with service(settings.with_database(database_url, SECRET)) as app:
        await play(list(examples(document(path))), app)


def test_every_operation_of_the_api_has_an_example(app: FastAPI) -> None:
    api = document(SPECS / "api-spec.md")
    asked = {example.request.start.split("?")[0] for example in examples(api)}
    missing = [
        name
        for name, _ in operations(app)
        if name != "GET /metrics"
        and not any(re.fullmatch(re.sub(r"\{\w+\}", r"[^/ ]+", name), one) for one in asked)
    ]
    assert not missing


async def test_an_example_that_is_not_so_is_found(settings: Settings) -> None:
    ask = Message("GET /livez", (), "")
    for answer, is_so in (
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
                await play([Example(1, ask, answer)], app)
            except AssertionError:
                assert not is_so, answer
            else:
                assert is_so, answer


def test_what_is_compared_by_its_shape_and_what_is_not() -> None:
    def alike(written: Any, said: Any) -> bool:
        return not differences(written, said, Names())

    assert alike("2026-11-20T16:31:35Z", "2027-01-01T00:00:00.123456Z")
    assert not alike("2026-11-20T16:31:35Z", "2027-01-01T00:00:00")
    assert alike("2b1e7c1c-6d3c-4d0e-9a5f-0f6b6f1b8a34", "7d44a5a6-3f0b-4f07-8f7c-5c7f0f5f8a10")
    assert not alike("2b1e7c1c-6d3c-4d0e-9a5f-0f6b6f1b8a34", "2b1e7c1c")
    assert alike({"a": [1, None], "b": "$X"}, {"b": "anything", "a": [1, None]})
    assert not alike(["$X", "$X"], ["one", "other"])
    assert not alike([1], [True])
    assert not alike([1], [1, 2])
    assert not alike("$X", "")
