"""A JWKS endpoint on loopback that tests can make misbehave."""

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
    """An HTTP server that sends the same response to every request."""

    def __init__(self) -> None:
        #: The response to requests that arrive from now on.
        self.response = key_set([])
        #: The heads of all requests so far.
        self.requests: list[str] = []
        #: Responses are sent while this is set.
        self.gate = asyncio.Event()
        self.gate.set()
        #: Connections are closed after the response while this is set.
        self.may_close = asyncio.Event()
        self.may_close.set()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/auth/jwks"

    @property
    def hits(self) -> int:
        return len(self.requests)

    def publish(self, *signers: Signer) -> None:
        """Respond with the key set of these signers."""
        self.response = key_set([signer.jwk() for signer in signers])

    def send(self, more: bytes) -> None:
        """Send more bytes on all open connections."""
        for writer in self._open.values():
            writer.write(more)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            response = self.response
            self.requests.append(head.decode())
            await self.gate.wait()
            writer.write(response)
            await writer.drain()
            await self.may_close.wait()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            del self._open[task]
            writer.close()
