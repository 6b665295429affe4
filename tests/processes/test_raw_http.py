"""Malformed and unusual HTTP, request smuggling, and slow clients (S10, S76, R57).

Each test sends one more request, the sentinel, on the same connection. It gets a response if the
service could find the end of the request before it, and none otherwise.
"""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx
import pytest
import uvicorn

from adapters.asgi import body
from adapters.uvicorn import protocol
from entrypoints import serving
from entrypoints.settings import Settings
from tests import deadlines
from tests.processes.service import SECRET, Service, new_home, signed_token
from tests.waiting import LIMIT_SECONDS, eventually_async

TOKEN: Final = signed_token()
HOST: Final = b"Host: localhost\r\n"
AUTHORIZATION: Final = f"Authorization: Bearer {TOKEN}\r\n".encode()
BODY: Final = b'{"title":"smuggled"}'
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
SENTINEL: Final = (
    b"GET /livez HTTP/1.1\r\n%sX-Request-ID: sentinel\r\nConnection: close\r\n\r\n" % HOST
)


def get(headers: bytes = b"", line: bytes = b"GET /livez HTTP/1.1") -> bytes:
    return b"%s\r\n%s%s\r\n" % (line, HOST, headers)


def post(headers: bytes, body: bytes = b"") -> bytes:
    """A request that creates a task."""
    first = b"POST /api/tasks HTTP/1.1\r\n" + HOST + AUTHORIZATION
    return b"%sContent-Type: application/json\r\n%s\r\n%s" % (first, headers, body)


SMUGGLED: Final = post(b"Content-Length: 20\r\n", BODY)
CHUNKS: Final = b"14\r\n%s\r\n0\r\n\r\n" % BODY

REJECTED: Final[dict[str, bytes]] = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "words": b"hello\r\n\r\n",
    "NUL": bytes(64),
    "an unknown version": get(line=b"GET /livez HTTP/9.9"),
    "HTTP/1.2": get(line=b"GET /livez HTTP/1.2"),
    "a long version": get(line=b"GET /livez HTTP/1.10"),
    "a version in lower case": get(line=b"GET /livez http/1.1"),
    "another protocol": get(line=b"GET /livez SIP/2.0"),
    "a version twice": get(line=b"GET /livez HTTP/1.1 HTTP/1.1"),
    "a tab": get(line=b"GET\t/livez HTTP/1.1"),
    "a method in lower case": get(line=b"get /livez HTTP/1.1"),
    "an unknown method": get(line=b"BREW /livez HTTP/1.1"),
    "no method": get(line=b" /livez HTTP/1.1"),
    "no path": get(line=b"GET HTTP/1.1"),
    "a space in the path": get(line=b"GET /li vez HTTP/1.1"),
    "NUL in the path": get(line=b"GET /li\0vez HTTP/1.1"),
    "UTF-8 in the path": get(line=b"GET /api/tasks/\xc3\xa4 HTTP/1.1"),
    "UTF-8 in the query": get(AUTHORIZATION, b"GET /api/tasks?q=\xc3\xa4 HTTP/1.1"),
    "a tunnel": get(line=b"CONNECT localhost:80 HTTP/1.1"),
    "a length and chunks": post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n" + SMUGGLED),
    "chunks and a length": post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n" + SMUGGLED),
    "an unknown transfer coding": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked, and not last": post(b"Transfer-Encoding: chunked, x\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunks twice": post(CHUNKED * 2, b"0\r\n\r\n" + SMUGGLED),
    "identity": post(b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunks behind a tab": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunks before a space": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "two lengths": post(b"Content-Length: 20\r\nContent-Length: 5\r\n", BODY),
    "two lengths, the same": post(b"Content-Length: 20\r\n" * 2, BODY),
    "a list of lengths": post(b"Content-Length: 20, 20\r\n", BODY),
    "a negative length": post(b"Content-Length: -1\r\n", BODY),
    "a length with a sign": post(b"Content-Length: +20\r\n", BODY),
    "a length in hexadecimal": post(b"Content-Length: 0x14\r\n", BODY),
    "a length of 23 digits": post(b"Content-Length: 99999999999999999999999\r\n", BODY),
    "an empty length": post(b"Content-Length: \r\n", BODY),
    "a length with a space": post(b"Content-Length: 2 0\r\n", BODY),
    "a length with a point": post(b"Content-Length: 20.0\r\n", BODY),
    "a folded header": get(b"X-A: a\r\n b\r\n"),
    "a header folded by a tab": get(b"X-A: a\r\n\tb\r\n"),
    "a first header that is folded": b"GET /livez HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "bare LF": b"GET /livez HTTP/1.1\nHost: localhost\n\n",
    "a bare LF": b"GET /livez HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n",
    "a bare CR": b"GET /livez HTTP/1.1\r\nHost: localhost\rX-A: b\r\n\r\n",
    "NUL in a value": get(b"X-A: a\0b\r\n"),
    "NUL in a name": get(b"X-\0A: b\r\n"),
    "a control in a value": get(b"X-A: a\x01b\r\n"),
    "a delete in a value": get(b"X-A: a\x7fb\r\n"),
    "a space before the colon": get(b"X-A : b\r\n"),
    "no colon": get(b"X-A\r\n"),
    "no name": get(b": b\r\n"),
    "UTF-8 in a name": get(b"X-\xc3\xa4: b\r\n"),
    "a chunk size of 72 bits": post(CHUNKED, b"ffffffffffffffffff\r\n" + BODY),
    "a negative chunk size": post(CHUNKED, b"-1\r\n" + BODY),
    "an invalid chunk size": post(CHUNKED, b"zz\r\n" + BODY),
    "an empty chunk size": post(CHUNKED, b"\r\n" + BODY),
    "a chunk size with 0x": post(CHUNKED, b"0x14\r\n%s\r\n0\r\n\r\n" % BODY),
    "a chunk size with a space": post(CHUNKED, b"14 \r\n%s\r\n0\r\n\r\n" % BODY),
    "chunks with bare LF": post(CHUNKED, b"14\n%s\n0\n\n" % BODY),
    "a chunk longer than its size": post(CHUNKED, b"14\r\n%sXX0\r\n\r\n" % BODY),
    "a chunk much longer than its size": post(CHUNKED, b"5\r\n%s\r\n0\r\n\r\n" % BODY),
    "a chunk extension with LF": post(CHUNKED, b"14;a\nb\r\n%s\r\n0\r\n\r\n" % BODY),
    "a malformed trailer": post(CHUNKED, b"14\r\n%s\r\n0\r\nX\r\n\r\n" % BODY),
}
#: A valid request, and malformed data after it.
REJECTED_SECOND: Final[dict[str, bytes]] = {
    "garbage after a request": get() + b"garbage\r\n\r\n",
    "a body that is longer than its length": post(b"Content-Length: 13\r\n", b'{"title":"a"}}}'),
}


@dataclass(frozen=True)
class Response:
    """A response as it was received."""

    status: int
    request_id: str
    code: str


def parse_responses(stream: bytes) -> list[Response]:
    """The responses in a stream, separated by the length of each."""
    responses = []
    while stream:
        head, _, stream = stream.partition(b"\r\n\r\n")
        text = head.decode("latin-1").lower()
        assert text.startswith("http/1.1 "), head[:80]
        assert "\r\nserver:" not in text
        status = int(text.split()[1])
        length = re.search(r"\r\ncontent-length: (\d+)", text)
        # A response to HEAD has a length, but no body.
        size = int(length[1]) if length and not stream.startswith(b"HTTP/1.1 ") else 0
        body, stream = stream[:size], stream[size:]
        request_id = re.search(r"\r\nx-request-id: (\S+)", text)
        code = re.search(rb'"error_code":"(\w+)"', body)
        if status != 100:
            responses.append(
                Response(
                    status,
                    request_id[1] if request_id else "",
                    code[1].decode() if code else "",
                )
            )
    return responses


Exchange = Callable[..., list[Response]]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """`taskport serve --memory`, which must not log any error."""
    with (
        new_home() as home,
        home.serving("--memory", ready=False, env={"BETTER_AUTH_SECRET": SECRET}) as service,
    ):
        yield service
        assert service.responds("/livez")
        assert "Traceback" not in service.err
        assert '"level":"error"' not in service.err


@pytest.fixture(scope="module")
def exchange(service: Service) -> Exchange:
    def exchange(*parts: bytes) -> list[Response]:
        """Send data, each part after the response to the one before, until the server closes."""
        url = httpx.URL(service.url)
        with socket.create_connection((url.host, url.port or 80), LIMIT_SECONDS) as connection:
            stream = b""
            for part in parts[:-1]:
                connection.sendall(part)
                stream += connection.recv(65_536)
            # The server may close the connection before it has read all of this.
            with suppress(ConnectionError):
                connection.sendall(parts[-1])
                while data := connection.recv(65_536):
                    stream += data
            return parse_responses(stream)

    return exchange


def statuses(responses: list[Response]) -> list[int | str]:
    """The status of each response; "sentinel" for that to the sentinel."""
    return [r.request_id if r.request_id == "sentinel" else r.status for r in responses]


@pytest.mark.parametrize("name", REJECTED)
def test_malformed_request_is_rejected(service: Service, exchange: Exchange, name: str) -> None:
    """With a plain 400, and the connection is closed: nothing after it is read as a request."""
    responses = exchange(REJECTED[name] + SENTINEL)
    assert statuses(responses) == [400]
    assert "smuggled" not in service.titles(TOKEN)


@pytest.mark.parametrize("name", REJECTED_SECOND)
def test_malformed_data_after_a_request_is_rejected(
    service: Service, exchange: Exchange, name: str
) -> None:
    """The connection is closed. The response to the request before it may be lost."""
    received = statuses(exchange(REJECTED_SECOND[name] + SENTINEL))
    assert "sentinel" not in received
    assert received in ([400], [200, 400], [201, 400])


UNUSUAL: Final[dict[str, tuple[list[int], tuple[bytes, ...]]]] = {
    "two at once": ([200, 200], (get() + get(),)),
    "line breaks before a request": ([200], (b"\r\n\r\n" + get(),)),
    "two spaces": ([200], (get(line=b"GET  /livez HTTP/1.1"),)),
    "a fragment": ([200], (get(line=b"GET /livez#x HTTP/1.1"),)),
    "an asterisk as the target": ([404], (get(line=b"OPTIONS * HTTP/1.1"),)),
    "TRACE": ([405], (get(b"Cookie: a=b\r\n", b"TRACE /livez HTTP/1.1"),)),
    "PROPFIND": ([405], (get(line=b"PROPFIND /livez HTTP/1.1"),)),
    "CONNECT with a path": ([405], (get(line=b"CONNECT /livez HTTP/1.1"), b"")),
    "UTF-8 in a value": ([200], (get(b"X-A: \xc3\xa4\r\n"),)),
    "a path that is not UTF-8": ([422], (get(AUTHORIZATION, b"GET /api/tasks/%ff HTTP/1.1"),)),
    "a query that is not UTF-8": ([422], (get(AUTHORIZATION, b"GET /api/tasks?q=%ff HTTP/1.1"),)),
    "5,000 headers": ([200], (get(b"a:b\r\n" * 5_000),)),
    "a body that is not read": ([200], (get(b"Content-Length: 20\r\n") + BODY,)),
    "a request as a body that is not read": (
        [200],
        (get(b"Content-Length: %d\r\n" % len(SMUGGLED)) + SMUGGLED,),
    ),
    "chunks that are not read": ([200], (get(CHUNKED) + CHUNKS,)),
    "a body of a HEAD request": (
        [200],
        (get(b"Content-Length: %d\r\n" % len(SMUGGLED), b"HEAD /docs HTTP/1.1") + SMUGGLED,),
    ),
    "a body that is rejected": ([415], (post(b"Content-Encoding: gzip\r\n" + CHUNKED, CHUNKS),)),
    "h2c": ([200], (get(b"Connection: Upgrade\r\nUpgrade: h2c\r\n"), b"")),
    "a WebSocket": ([200], (get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), b"")),
    "a request after an upgrade": (
        [200],
        (get(b"Connection: Upgrade\r\nUpgrade: h2c\r\n") + SMUGGLED, b""),
    ),
    "another expectation": ([200], (get(b"Expect: 200-ok\r\n"),)),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_request_gets_a_response(service: Service, exchange: Exchange, name: str) -> None:
    """One response to each request, in order, and then one to the sentinel."""
    expected, parts = UNUSUAL[name]
    responses = exchange(*parts[:-1], parts[-1] + SENTINEL)
    assert statuses(responses) == [*expected, "sentinel"]
    assert "smuggled" not in service.titles(TOKEN)


CLOSED: Final[dict[str, tuple[int, bytes]]] = {
    "HTTP/0.9": (200, b"GET /livez\r\n\r\n"),
    "HTTP/1.0": (200, get(line=b"GET /livez HTTP/1.0")),
    "chunks in HTTP/1.0": (422, post(CHUNKED, b"0\r\n\r\n").replace(b"/1.1", b"/1.0", 1)),
    "Connection: close": (200, get(b"Connection: close\r\n")),
    "an upgrade with a body": (
        400,
        post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 20\r\n", BODY),
    ),
    "an upgrade with a request in its body": (
        400,
        post(b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + CHUNKED, CHUNKS + SMUGGLED),
    ),
    "a body of 100 KB": (413, post(b"Content-Length: 100000\r\n", b"x" * 100_000)),
    "a body of 1 MB": (413, post(b"Content-Length: 1000000\r\n", b"x" * 1_000_000)),
    "chunks of 100 KB": (
        413,
        post(CHUNKED, b"4000\r\n%s\r\n" % (b"x" * 16_384) * 7 + b"0\r\n\r\n"),
    ),
    "chunks of 1 byte": (413, post(CHUNKED, b"1\r\nx\r\n" * 66_000 + b"0\r\n\r\n")),
    "a header of 100 KB": (431, get(b"X-A: %s\r\n" % (b"a" * 100_000))),
    "a header of 33 KB": (431, get(b"X-A: %s\r\n" % (b"a" * 33_000))),
    "a target of 70 KB": (431, get(line=b"GET /livez?%s HTTP/1.1" % (b"a" * 70_000))),
    "10,000 headers": (431, get(b"".join(b"X-%d: a\r\n" % n for n in range(10_000)))),
    "a header name of 40 KB": (431, get(b"%s: a\r\n" % (b"a" * 40_000))),
}


@pytest.mark.parametrize("name", CLOSED)
def test_connection_is_closed_after_the_response(
    service: Service, exchange: Exchange, name: str
) -> None:
    """The client can read the response, even if the service has not read the whole request."""
    status, request = CLOSED[name]
    assert statuses(exchange(request + SENTINEL)) == [status]
    assert "smuggled" not in service.titles(TOKEN)


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_large_body_is_read_before_it_is_rejected(service: Service, size: int) -> None:
    """Otherwise the client, while it sends, would see a reset connection and no response."""
    url = httpx.URL(service.url)
    with socket.create_connection((url.host, url.port or 80), LIMIT_SECONDS) as connection:
        connection.sendall(post(b"Content-Length: %d\r\n" % size, b"x" * size))
        stream = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert [r.code for r in parse_responses(stream)] == ["BODY_TOO_LARGE"]


def test_large_head_after_a_small_one_is_rejected(exchange: Exchange) -> None:
    """Although both arrive in one packet."""
    assert statuses(exchange(get() + get(b"X-A: %s\r\n" % (b"a" * 60_000)) + SENTINEL)) == [431]


def test_trailers_are_not_used_as_headers(service: Service, exchange: Exchange) -> None:
    """A proxy may not have checked them."""
    anonymous = b"POST /api/tasks HTTP/1.1\r\n%sContent-Type: application/json\r\n%s\r\n"
    trailers = b"14\r\n%s\r\n0\r\n%sX-Request-ID: trailer\r\n\r\n" % (BODY, AUTHORIZATION)
    responses = exchange(anonymous % (HOST, CHUNKED) + trailers + SENTINEL)
    assert [r.code for r in responses] == ["UNAUTHENTICATED", ""]
    assert "trailer" not in {r.request_id for r in responses}
    assert "smuggled" not in service.titles(TOKEN)


def test_expect_100_continue(service: Service, exchange: Exchange) -> None:
    head = post(b"Expect: 100-continue\r\nContent-Length: 19\r\n")
    assert statuses(exchange(head, b'{"title":"awaited"}' + SENTINEL)) == [201, "sentinel"]
    assert "awaited" in service.titles(TOKEN)


def test_chunk_extensions_and_trailers_are_allowed(service: Service, exchange: Exchange) -> None:
    body = b'13;name="value"\r\n{"title":"chunked"}\r\n0;last\r\nX-T: y\r\n\r\n'
    assert statuses(exchange(post(CHUNKED, body) + SENTINEL)) == [201, "sentinel"]
    assert "chunked" in service.titles(TOKEN)


def test_host_of_the_target_takes_precedence_over_the_header() -> None:
    """RFC 9112, 3.2.2."""
    hosts = {"BETTER_AUTH_SECRET": SECRET, "ALLOWED_HOSTS": "localhost,127.0.0.1"}
    with new_home() as home, home.serving("--memory", ready=False, env=hosts) as service:
        url = httpx.URL(service.url)

        def status(line: bytes, headers: bytes = HOST) -> int:
            with socket.create_connection((url.host, url.port or 80), LIMIT_SECONDS) as connection:
                connection.sendall(b"%s\r\n%sConnection: close\r\n\r\n" % (line, headers))
                stream = b"".join(iter(lambda: connection.recv(65_536), b""))
            [response] = parse_responses(stream)
            assert response.code == ("" if response.status == 200 else "MALFORMED_REQUEST")
            return response.status

        assert status(b"GET /docs HTTP/1.1") == 200
        assert status(b"GET http://localhost:8000/docs HTTP/1.1") == 200
        assert status(b"GET http://localhost/docs HTTP/1.1", b"Host: evil.com\r\n") == 200
        for target in (b"http://evil.com", b"http://localhost@evil.com", b"HTTP://EVIL.com:80"):
            assert status(b"GET %s/docs HTTP/1.1" % target) == 400
        for headers in (b"", HOST * 2, HOST + b"Host: evil.com\r\n", b"Host: evil.com#\r\n"):
            assert status(b"GET /docs HTTP/1.1", headers) == 400
            assert status(b"GET http://localhost/docs HTTP/1.1", headers) in (200, 400)


# Slow clients, and a service with short deadlines

HEAD, MESSAGE, BODY_WAIT = 0.2, 0.5, 0.25
#: Lower bounds only: a busy machine may fire a timer much later.
_EARLY: Final = 0.9
Shorten = Callable[..., None]


class HastyService:
    """The service in this process."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.server, self.port = server, port

    async def connect(
        self, first: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect and send the first bytes, before the event loop runs the server again.

        Otherwise a busy machine might exceed a short deadline before the client sends anything.
        """
        client = socket.create_connection(("127.0.0.1", self.port), LIMIT_SECONDS)
        client.sendall(first)
        return await asyncio.open_connection(sock=client)

    async def drip(self, first: bytes, drop: bytes, *, every: float = 0.02) -> tuple[bytes, float]:
        """Send some bytes, then more of them at intervals until the service closes the connection.

        Returns what was received, and after how many seconds the connection was closed.
        """
        began = time.monotonic()
        reader, writer = await self.connect(first)

        async def drops() -> None:
            with suppress(ConnectionError):
                while drop:
                    await asyncio.sleep(every)
                    writer.write(drop)
                    await writer.drain()

        dripping = asyncio.ensure_future(drops())
        received = b""
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                with suppress(ConnectionError):
                    while data := await reader.read(65_536):
                        received += data
        finally:
            dripping.cancel()
            writer.transport.abort()
        return received, time.monotonic() - began

    async def is_idle(self) -> None:
        """Wait until all connections are closed, then send one more request."""
        state = self.server.server_state
        await eventually_async(lambda: not state.connections and not state.tasks)
        received, _ = await self.drip(SENTINEL, b"")
        assert statuses(parse_responses(received)) == ["sentinel"]


@pytest.fixture
def shorten(monkeypatch: pytest.MonkeyPatch) -> Shorten:
    """Shortens the deadlines that a test is about; `hasty` lifts all of them."""

    def shorten(
        *, head: float | None = None, message: float | None = None, body_wait: float | None = None
    ) -> None:
        if head is not None:
            monkeypatch.setattr(protocol, "HEAD_SECONDS", head)
        if message is not None:
            monkeypatch.setattr(protocol, "MESSAGE_SECONDS", message)
        if body_wait is not None:
            monkeypatch.setattr(body, "BODY_SECONDS", body_wait)

    return shorten


@pytest.fixture
async def hasty(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HastyService]:
    """With the configuration of `taskport serve`, but for the deadlines."""
    deadlines.patch(monkeypatch)
    monkeypatch.setattr(serving, "KEEP_ALIVE_SECONDS", 3600)
    config = serving.server_config(Settings(better_auth_secret=SECRET), workers=1)
    # The lifespan would install signal handlers for the process.
    config.lifespan = "off"
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Otherwise the kernel would buffer megabytes of a response that is not read.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await eventually_async(lambda: server.started)
        hasty = HastyService(server, listener.getsockname()[1])
        yield hasty
        deadlines.patch(monkeypatch)
        try:
            await hasty.is_idle()
        finally:
            server.should_exit = True
            await running


async def test_silent_connection_is_closed(hasty: HastyService, shorten: Shorten) -> None:
    shorten(head=HEAD)
    connections = [hasty.drip(b"", b"") for _ in range(20)]
    for received, seconds in await asyncio.gather(*connections):
        assert received == b""
        assert seconds >= HEAD * _EARLY


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"G", b""),
        (b"GET /livez HTTP/1.1\r\nX-A: ", b"a"),
        (b"GET /livez HTTP/1.1\r\n", b"a: b\r\n"),
        (b"GET /", b"x"),
        (b"", b"\r\n"),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n", b""),
        # Large, but below the limit.
        (b"GET /livez HTTP/1.1\r\nX-A: " + b"a" * 8_000, b"a"),
    ],
    ids=["a letter", "a value", "headers", "a path", "line breaks", "no end", "8 KB at first"],
)
async def test_slow_head_is_closed(
    hasty: HastyService, shorten: Shorten, first: bytes, drop: bytes
) -> None:
    """Without a response, whether more data arrives or not."""
    shorten(head=HEAD)
    received, seconds = await hasty.drip(first, drop)
    assert received == b""
    assert seconds >= HEAD * _EARLY


async def test_slow_head_that_grows_too_large_is_rejected(hasty: HastyService) -> None:
    received, _ = await hasty.drip(b"GET /livez HTTP/1.1\r\nX-A: ", b"a" * 8_192, every=0.005)
    assert [r.status for r in parse_responses(received)] == [431]


@pytest.mark.parametrize("drop", [b"\r\n", b"\r", b"G"], ids=["CR LF", "CR", "a head"])
async def test_slow_head_of_a_second_request_is_closed(
    hasty: HastyService, shorten: Shorten, drop: bytes
) -> None:
    """The keep-alive timeout does not apply once data arrives."""
    shorten(head=HEAD)
    received, _ = await hasty.drip(get(), drop)
    assert statuses(parse_responses(received)) in ([200], [200, 400])


async def test_half_a_request_after_another_is_closed(
    hasty: HastyService, shorten: Shorten
) -> None:
    """Both arrive in one packet."""
    shorten(head=HEAD, message=MESSAGE)
    hasty.server.config.timeout_keep_alive = 1
    halves = b"GET /li", b"GET /livez HTTP/1.1\r\nHost: x", get(b"Content-Length: 9\r\n") + b"x"
    connections = [hasty.drip(get() + half, b"") for half in halves]
    for received, _ in await asyncio.gather(*connections):
        assert {r.status for r in parse_responses(received)} == {200}


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"Content-Length: 1000\r\n", b""),
        (b"Content-Length: 1000\r\n", b" "),
        (CHUNKED, b"1\r\n \r\n"),
        (CHUNKED, b"1"),
        (b"Content-Length: 9223372036854775808\r\n", b" "),
        (CHUNKED + b"\r\nffffffffffffffff\r\n", b" "),
        (b"Expect: 100-continue\r\nContent-Length: 9\r\n", b""),
    ],
    ids=["none of it", "bytes", "chunks", "a size", "2^63 bytes", "a chunk of 2^64", "awaited"],
)
async def test_slow_body_times_out(
    hasty: HastyService, shorten: Shorten, head: bytes, drop: bytes
) -> None:
    """With 408, and the connection is closed."""
    shorten(body_wait=BODY_WAIT)
    received, seconds = await hasty.drip(post(head), drop)
    [response] = parse_responses(received)
    assert (response.status, response.code) == (408, "REQUEST_TIMEOUT")
    assert b"connection: close" in received.lower()
    assert seconds >= BODY_WAIT * _EARLY


@pytest.mark.parametrize("drop", [b"", b" "], ids=["none of it", "bytes"])
async def test_slow_body_that_is_not_read_is_closed(
    hasty: HastyService, shorten: Shorten, drop: bytes
) -> None:
    """After the response: the connection is not kept for the rest of the body."""
    shorten(head=HEAD, message=MESSAGE)
    received, seconds = await hasty.drip(get(b"Content-Length: 100000\r\n"), drop)
    assert statuses(parse_responses(received)) == [200]
    assert seconds >= MESSAGE * _EARLY


async def test_endless_body_is_rejected(hasty: HastyService) -> None:
    """As soon as it is too large."""
    chunk = b"4000\r\n%s\r\n" % (b"x" * 0x4000)
    received, _ = await hasty.drip(post(CHUNKED), chunk * 4, every=0)
    assert [r.code for r in parse_responses(received)] in (["BODY_TOO_LARGE"], [])


@pytest.mark.parametrize(
    "rest",
    [b"0\r\nX-T: ", b"0\r\n", b"1;"],
    ids=["a trailer", "trailers", "an extension"],
)
async def test_size_of_trailers_and_extensions_is_limited(hasty: HastyService, rest: bytes) -> None:
    """The parser keeps them in memory until the message ends."""
    drop = b"a:b\r\n" * 20_000 if rest == b"0\r\n" else b"a" * 100_000
    received, _ = await hasty.drip(get(CHUNKED) + rest, drop, every=0)
    assert statuses(parse_responses(received)) == [200]


@pytest.mark.parametrize("closes", [False, True], ids=["keep-alive", "Connection: close"])
async def test_client_that_does_not_read_is_disconnected(
    hasty: HastyService, shorten: Shorten, closes: bool
) -> None:
    """Sooner if the response is the last one on its connection."""
    shorten(head=HEAD, message=None if closes else MESSAGE)
    line = b"GET /docs/swagger-ui-bundle.js HTTP/1.1"
    requests = get(b"Connection: close\r\n", line) if closes else get(line=line) * 20
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", hasty.port))
        await loop.sock_sendall(client, requests)
        connections = hasty.server.server_state.connections
        await eventually_async(
            lambda: any(c.transport.get_write_buffer_size() for c in connections)
        )
        await eventually_async(lambda: not connections)


async def test_client_may_close_in_the_middle_of_a_request(hasty: HastyService) -> None:
    for sent in (
        b"GET /li",
        get()[:-2],
        post(b"Content-Length: 1000\r\n", b"{"),
        post(CHUNKED, b"5"),
    ):
        _, writer = await hasty.connect(sent)
        writer.close()
    await hasty.is_idle()


async def test_many_connections_at_once_get_responses(hasty: HastyService) -> None:
    connections = [hasty.drip(SENTINEL, b"") for _ in range(50)]
    for received, _ in await asyncio.gather(*connections):
        assert statuses(parse_responses(received)) == ["sentinel"]
