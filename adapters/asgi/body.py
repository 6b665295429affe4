"""Strict JSON bodies: bounded in size, time and depth, and read by all parsers alike."""

import asyncio
import json
import re
from typing import Any, Final

from starlette.requests import Request

from adapters.asgi.errors import (
    BodyTooLarge,
    MalformedRequest,
    RequestTimeout,
    UnsupportedMediaType,
)

ABSENT: Final = object()
BODY_MAX_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 8.0
DEPTH_MAX: Final = 32

# How much of a large body is read and dropped before the response: a client that is still sending
# would otherwise see a reset connection instead of the response.
_DRAIN_BYTES: Final = 1024 * 1024
_MEDIA_TYPE: Final = re.compile(
    r"""application/json\s*(;\s*charset\s*=\s*("utf-8"|utf-8)\s*)?""", re.IGNORECASE
)


class JsonRequest(Request):
    """A request whose body is JSON in UTF-8, bounded in size, time and depth.

    Raises `UnsupportedMediaType`, `BodyTooLarge`, `RequestTimeout`, `MalformedRequest`.
    """

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    self._body = await self._read()
            except TimeoutError:
                raise RequestTimeout({"Connection": "close"}) from None
            if self._body:
                self._check_media_type()
        return self._body

    async def parse_json(self) -> Any:
        """The value of the body, or `ABSENT` if there is no body."""
        body = await self.body()
        return parse_json(body) if body else ABSENT

    async def _read(self) -> bytes:
        chunks, size = [], 0
        async for chunk in self.stream():
            size += len(chunk)
            if size <= BODY_MAX_BYTES:
                chunks.append(chunk)
            elif size > BODY_MAX_BYTES + _DRAIN_BYTES:
                break
        if size > BODY_MAX_BYTES:
            raise BodyTooLarge({"Connection": "close"})
        return b"".join(chunks)

    def _check_media_type(self) -> None:
        types = self.headers.getlist("content-type")
        encodings = self.headers.getlist("content-encoding")
        if (
            len(types) != 1
            or not _MEDIA_TYPE.fullmatch(types[0].strip())
            or any(encoding.lower() != "identity" for encoding in encodings)
        ):
            raise UnsupportedMediaType


def parse_json(body: bytes) -> Any:
    """Parse a JSON text on which all parsers agree.

    Raises `MalformedRequest` for text that is not UTF-8, NaN and infinities, an object with a
    duplicate member, and more than `DEPTH_MAX` levels.
    """
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_distinct_members,
            parse_constant=_reject_constant,
            parse_float=_finite,
        )
        _check_depth(value)
    except (ValueError, RecursionError):
        raise MalformedRequest from None
    return value


def _check_depth(value: Any) -> None:
    """Level by level, so that each value is visited once."""
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        containers = [inner for inner in level if isinstance(inner, dict | list)]
        if not containers:
            return
        level = [
            inner
            for container in containers
            for inner in (container.values() if isinstance(container, dict) else container)
        ]
    raise ValueError("too deep")


def _distinct_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("not a finite number")
    return number


def _reject_constant(name: str) -> None:
    raise ValueError(name)
