"""A Better Auth server on loopback whose sessions are in a dictionary, and that can misbehave."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from domain.sessions import Session
from domain.users import User
from tests.better_auth.provider import response
from tests.better_auth.session_texts import dumped, session_value, text_of

_TOKEN: Final = re.compile(r"Bearer (.+)|(?:.*; )?better-auth\.session_token=([^;]*)")
_UNAUTHORIZED: Final = response(b'{"code":"UNAUTHORIZED"}', status="401 Unauthorized")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    #: By name in lower case.
    headers: Mapping[str, str]
    body: bytes

    @property
    def endpoint(self) -> str:
        """The last part of the path."""
        return self.path.partition("?")[0].rpartition("/")[2]

    @property
    def token(self) -> str:
        """The session token of a bearer or of a cookie, which is not signed here."""
        found = _TOKEN.match(self.headers.get("authorization") or self.headers.get("cookie", ""))
        return "" if found is None else found[1] or found[2]


@dataclass
class FakeServer:
    """Responds as Better Auth's API does to what this service asks."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    #: By token.
    sessions: dict[str, tuple[Session, User]] = field(default_factory=dict)
    #: All requests so far.
    requests: list[Request] = field(default_factory=list)
    #: Sent instead of every response; the connection is closed then.
    fault: bytes | None = None
    #: The same, by the last part of the path.
    faults: dict[str, bytes] = field(default_factory=dict)
    #: Whether the response to every request is one that never ends, a byte at a time.
    drips: bool = False
    #: Responses are made, from the sessions of then, before this is awaited; then they are sent.
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    #: Responses for these do not wait, by the last part of the path.
    ungated: set[str] = field(default_factory=set)
    port: int = 0
    _server: asyncio.Server | None = None
    _connections: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/auth"

    def put(self, session: Session, user: User) -> None:
        self.sessions[session.token] = (session, user)

    async def start(self) -> None:
        """Start on a free port, or again on the same one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while True:
                request = await _read(reader)
                self.requests.append(request)
                fault = self.fault or self.faults.get(request.endpoint)
                reply = fault or self._respond(request)
                if request.endpoint not in self.ungated:
                    await self.gate.wait()
                if self.drips:
                    await self._drip(writer)
                writer.write(reply)
                await writer.drain()
                if fault:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    def _respond(self, request: Request) -> bytes:
        token, now = request.token, self.now()
        session, user = self.sessions.get(token, (None, None))
        if session is None or user is None or not session.is_alive(now):
            session = user = None
        match request.endpoint:
            case "get-session":
                found = "null" if session is None or user is None else text_of(session, user)
                return _ok(found)
            case "sign-out":
                self.sessions.pop(token, None)
                return _ok('{"success":true}')
            case _ if user is None:
                return _UNAUTHORIZED
            case "list-sessions":
                of_user = [each for each, owner in self.sessions.values() if owner.id == user.id]
                return _ok(dumped([session_value(s) for s in of_user if s.is_alive(now)]))
            case "revoke-session":
                ended = json.loads(request.body)["token"]
                if ended in self.sessions and self.sessions[ended][1].id == user.id:
                    del self.sessions[ended]
                return _ok('{"status":true}')
        return response(b"", status="404 Not Found")


@asynccontextmanager
async def fake_server(now: Callable[[], datetime] | None = None) -> AsyncIterator[FakeServer]:
    server = FakeServer() if now is None else FakeServer(now)
    server.gate.set()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def _ok(text: str) -> bytes:
    return response(text.encode(), Content_Type="application/json")


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)
