"""A JWKS endpoint on loopback that misbehaves as it is told to."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from tests.better_auth.signer import Signer


def response(
    body: bytes, *, status: str = "200 OK", length: int | None = None, **headers: str
) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body) if length is None else length}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def key_set(jwks: Sequence[Any]) -> bytes:
    return response(json.dumps({"keys": jwks}).encode(), Content_Type="application/json")


class Provider:
    """Shows `answer` to whoever asks, as soon as `gate` is open.

    What it answers is settled when it is asked. Until it may `hang_up` it may `add` to that.
    """

    def __init__(self) -> None:
        self.answer = key_set([])
        self.requests: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.hang_up = asyncio.Event()
        self.hang_up.set()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._busy: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/auth/jwks"

    @property
    def hits(self) -> int:
        return len(self.requests)

    def show(self, *signers: Signer) -> None:
        self.answer = key_set([signer.jwk() for signer in signers])

    def add(self, more: bytes) -> None:
        for writer in self._busy.values():
            writer.write(more)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy[task] = writer
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            answer = self.answer
            self.requests.append(head.decode())
            await self.gate.wait()
            writer.write(answer)
            await writer.drain()
            await self.hang_up.wait()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            del self._busy[task]
            writer.close()
