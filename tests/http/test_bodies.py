"""JSON bodies: syntax, media types, size and time limits."""

import asyncio
import sys
from contextlib import suppress
from typing import Any

import httpx
import pytest

from adapters.asgi import body as json_body
from adapters.asgi.errors import MalformedRequest
from tests.conftest import AdvanceTime
from tests.http.api import TASKS
from tests.http.client import error_of, new_task

DEEP = b'{"title":' + b"[" * 32 + b"]" * 32 + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"title":"x",}',
        b"{'title':'x'}",
        b'{"title":"x"}{}',
        b'{"title":NaN}',
        b'{"title":Infinity}',
        b'{"title":-Infinity}',
        b'{"title":1e999}',
        b'{"title":-1e999}',
        b'{"title":"x","title":"y"}',
        b'{"title":"x","description":{"a":1,"a":2}}',
        b'{"title":"\xff"}',
        b'\xef\xbb\xbf{"title":"x"}',
        '{"title":"x"}'.encode("utf-16"),
        b'{"title":"a\nb"}',
        b'{"title":' + b"9" * 5_000 + b"}",
        DEEP,
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ],
)
async def test_malformed_bodies_are_rejected(ann: httpx.AsyncClient, body: bytes) -> None:
    response = await ann.post(TASKS, content=body, headers={"Content-Type": "application/json"})
    assert error_of(response) == (400, "MALFORMED_REQUEST")


async def test_parsing_takes_linear_time() -> None:
    """Also for a string that never ends. Function calls are counted, because times vary."""

    def calls(body: bytes) -> int:
        number = 0

        def count(*_: object) -> None:
            nonlocal number
            number += 1

        sys.setprofile(count)
        try:
            with suppress(MalformedRequest):
                json_body.parse_json(body)
        finally:
            sys.setprofile(None)
        return number

    for pattern in (b"[" * 33 + b'"', b'{"a":[' * 40, b"[[],"):
        small, large = (calls(pattern + b'\\"' * n) for n in (1_000, 16_000))
        assert large <= 32 * max(small, 1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"title":"\\ud800"}',
        b'{"title":"x","\\ud800":1}',
        b'{"title":"x","status":"\\ud800"}',
        b'{"title":"\\u0000"}',
        b'{"title":1.5}',
        b'{"title":{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}}',
        DEEP.replace(b"[", b"", 1).replace(b"]", b"", 1),
    ],
)
async def test_well_formed_bodies_with_invalid_values_are_rejected(
    ann: httpx.AsyncClient, body: bytes
) -> None:
    response = await ann.post(TASKS, content=body, headers={"Content-Type": "application/json"})
    assert error_of(response) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/merge-patch+json"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/json, text/plain"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_other_media_types_are_rejected(
    ann: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await ann.post(TASKS, content=b'{"title":"x"}', headers=headers)
    assert error_of(response) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'],
)
async def test_json_media_types_are_accepted(ann: httpx.AsyncClient, media_type: str) -> None:
    response = await ann.post(TASKS, content=b'{"title":"x"}', headers={"Content-Type": media_type})
    assert response.status_code == 201


async def test_body_larger_than_64_kib_is_rejected(ann: httpx.AsyncClient) -> None:
    def padded(size: int) -> bytes:
        return b'{"title":"x"' + b" " * (size - 13) + b"}"

    headers = {"Content-Type": "application/json"}
    assert (await ann.post(TASKS, content=padded(65_536), headers=headers)).status_code == 201
    response = await ann.post(TASKS, content=padded(65_537), headers=headers)
    assert error_of(response) == (413, "BODY_TOO_LARGE")
    assert response.headers["connection"] == "close"

    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 65_536

    assert error_of(await ann.post(TASKS, content=chunks(), headers=headers)) == (
        413,
        "BODY_TOO_LARGE",
    )


async def test_stalled_body_times_out(ann: httpx.AsyncClient, advance_time: AdvanceTime) -> None:
    started = asyncio.Event()

    async def stalled() -> Any:
        yield b"{"
        started.set()
        await asyncio.Event().wait()

    headers = {"Content-Type": "application/json"}
    request = asyncio.create_task(ann.post(TASKS, content=stalled(), headers=headers))
    await started.wait()
    advance_time(json_body.BODY_SECONDS)
    response = await request
    assert error_of(response) == (408, "REQUEST_TIMEOUT")
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("length", [{"Transfer-Encoding": "chunked"}, {}])
async def test_upgrade_with_a_body_is_rejected(
    ann: httpx.AsyncClient, length: dict[str, str]
) -> None:
    """The HTTP parser would lose the body, or take it for another request."""
    task = await new_task(ann)
    path = f"{TASKS}/{task['id']}"
    headers = {"Connection": "Upgrade", "Upgrade": "h2c"}
    response = await ann.patch(
        f"{path}/complete", json={"completed": False}, headers={**headers, **length}
    )
    assert error_of(response) == (400, "MALFORMED_REQUEST")
    assert response.headers["connection"] == "close"
    assert (await ann.get(path, headers=headers)).json() == task


async def test_missing_body_is_rejected(ann: httpx.AsyncClient) -> None:
    response = await ann.post(TASKS)
    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert response.json()["details"]["errors"] == [
        {"field": None, "pointer": "", "error": "is required"}
    ]
