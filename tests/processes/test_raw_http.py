"""What is not HTTP, or only nearly; and clients that take their time (S10, S76, R57).

Behind whatever is sent stands one more request, on the same connection: it is answered where the
service still knows where it is, and never where it has lost its place.
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
WHO: Final = f"Authorization: Bearer {TOKEN}\r\n".encode()
BODY: Final = b'{"title":"smuggled"}'
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
SENTINEL: Final = (
    b"GET /livez HTTP/1.1\r\n%sX-Request-ID: sentinel\r\nConnection: close\r\n\r\n" % HOST
)


def get(headers: bytes = b"", line: bytes = b"GET /livez HTTP/1.1") -> bytes:
    return b"%s\r\n%s%s\r\n" % (line, HOST, headers)


def post(headers: bytes, body: bytes = b"") -> bytes:
    """A new task, if what it is made with is understood."""
    first = b"POST /api/tasks HTTP/1.1\r\n" + HOST + WHO
    return b"%sContent-Type: application/json\r\n%s\r\n%s" % (first, headers, body)


SMUGGLED: Final = post(b"Content-Length: 20\r\n", BODY)
CHUNKS: Final = b"14\r\n%s\r\n0\r\n\r\n" % BODY

REFUSED: Final[dict[str, bytes]] = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "words": b"hello\r\n\r\n",
    "NUL": bytes(64),
    "a version that is none": get(line=b"GET /livez HTTP/9.9"),
    "a version between": get(line=b"GET /livez HTTP/1.2"),
    "a long version": get(line=b"GET /livez HTTP/1.10"),
    "a version in lower case": get(line=b"GET /livez http/1.1"),
    "another protocol": get(line=b"GET /livez SIP/2.0"),
    "a version twice": get(line=b"GET /livez HTTP/1.1 HTTP/1.1"),
    "a tab": get(line=b"GET\t/livez HTTP/1.1"),
    "a method in lower case": get(line=b"get /livez HTTP/1.1"),
    "a method that is none": get(line=b"BREW /livez HTTP/1.1"),
    "no method": get(line=b" /livez HTTP/1.1"),
    "no path": get(line=b"GET HTTP/1.1"),
    "a space in the path": get(line=b"GET /li vez HTTP/1.1"),
    "NUL in the path": get(line=b"GET /li\0vez HTTP/1.1"),
    "UTF-8 in the path": get(line=b"GET /api/tasks/\xc3\xa4 HTTP/1.1"),
    "UTF-8 in the query": get(WHO, b"GET /api/tasks?q=\xc3\xa4 HTTP/1.1"),
    "a tunnel": get(line=b"CONNECT localhost:80 HTTP/1.1"),
    "a length and chunks": post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n" + SMUGGLED),
    "chunks and a length": post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunks that are none": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunks, and then not": post(b"Transfer-Encoding: chunked, x\r\n", b"0\r\n\r\n" + SMUGGLED),
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
    "a chunk of 72 bit": post(CHUNKED, b"ffffffffffffffffff\r\n" + BODY),
    "a chunk of a negative size": post(CHUNKED, b"-1\r\n" + BODY),
    "a chunk of no size": post(CHUNKED, b"zz\r\n" + BODY),
    "a chunk of an empty size": post(CHUNKED, b"\r\n" + BODY),
    "a chunk of 0x": post(CHUNKED, b"0x14\r\n%s\r\n0\r\n\r\n" % BODY),
    "a chunk with a space": post(CHUNKED, b"14 \r\n%s\r\n0\r\n\r\n" % BODY),
    "chunks with bare LF": post(CHUNKED, b"14\n%s\n0\n\n" % BODY),
    "a chunk that goes on": post(CHUNKED, b"14\r\n%sXX0\r\n\r\n" % BODY),
    "a chunk that is too long": post(CHUNKED, b"5\r\n%s\r\n0\r\n\r\n" % BODY),
    "an extension with LF": post(CHUNKED, b"14;a\nb\r\n%s\r\n0\r\n\r\n" % BODY),
    "a trailer that is none": post(CHUNKED, b"14\r\n%s\r\n0\r\nX\r\n\r\n" % BODY),
}
# What is lost is the answer to an earlier request: nobody may take it for that of another one.
LOST: Final[dict[str, bytes]] = {
    "something behind a request": get() + b"garbage\r\n\r\n",
    "a body that is longer than its length": post(b"Content-Length: 13\r\n", b'{"title":"a"}}}'),
}


@dataclass(frozen=True)
class Answer:
    """An answer as it stands in the stream."""

    status: int
    request_id: str
    code: str


def answers_in(stream: bytes) -> list[Answer]:
    """One after the other, by the length that each of them has."""
    found = []
    while stream:
        head, _, stream = stream.partition(b"\r\n\r\n")
        text = head.decode("latin-1").lower()
        assert text.startswith("http/1.1 "), head[:80]
        assert "\r\nserver:" not in text
        status = int(text.split()[1])
        length = re.search(r"\r\ncontent-length: (\d+)", text)
        # After HEAD the length is that of a body which is not there.
        size = int(length[1]) if length and not stream.startswith(b"HTTP/1.1 ") else 0
        body, stream = stream[:size], stream[size:]
        shown = re.search(r"\r\nx-request-id: (\S+)", text)
        code = re.search(rb'"error_code":"(\w+)"', body)
        if status != 100:
            found.append(
                Answer(status, shown[1] if shown else "", code[1].decode() if code else "")
            )
    return found


Exchange = Callable[..., list[Answer]]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """`taskport serve --memory`, as it is run."""
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
    def exchange(*parts: bytes) -> list[Answer]:
        """Everything that is answered, up to the end of the connection; parts that follow are sent
        when there is an answer to the part before."""
        url = httpx.URL(service.url)
        with socket.create_connection((url.host, url.port or 80), LIMIT_SECONDS) as connection:
            stream = b""
            for part in parts[:-1]:
                connection.sendall(part)
                stream += connection.recv(65_536)
            # It may hang up before it has read all of this.
            with suppress(ConnectionError):
                connection.sendall(parts[-1])
                while data := connection.recv(65_536):
                    stream += data
            return answers_in(stream)

    return exchange


def seen(answers: list[Answer]) -> list[int | str]:
    """The statuses, and the last request where it was answered."""
    return [a.request_id if a.request_id == "sentinel" else a.status for a in answers]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_http(service: Service, exchange: Exchange, name: str) -> None:
    """A plain 400, and the connection is over: nothing behind it is taken for a request."""
    answers = exchange(REFUSED[name] + SENTINEL)
    assert seen(answers) == [400]
    assert "smuggled" not in service.titles(TOKEN)


@pytest.mark.parametrize("name", LOST)
def test_what_is_not_http_behind_a_request(service: Service, exchange: Exchange, name: str) -> None:
    """The connection is over as well; no answer comes twice, or to what nobody asked."""
    statuses = seen(exchange(LOST[name] + SENTINEL))
    assert "sentinel" not in statuses
    assert statuses in ([400], [200, 400], [201, 400])


ANSWERED: Final[dict[str, tuple[list[int], tuple[bytes, ...]]]] = {
    "two at once": ([200, 200], (get() + get(),)),
    "line breaks before": ([200], (b"\r\n\r\n" + get(),)),
    "two spaces": ([200], (get(line=b"GET  /livez HTTP/1.1"),)),
    "a fragment": ([200], (get(line=b"GET /livez#x HTTP/1.1"),)),
    "no address at all": ([404], (get(line=b"OPTIONS * HTTP/1.1"),)),
    "TRACE": ([405], (get(b"Cookie: a=b\r\n", b"TRACE /livez HTTP/1.1"),)),
    "PROPFIND": ([405], (get(line=b"PROPFIND /livez HTTP/1.1"),)),
    "CONNECT with a path": ([405], (get(line=b"CONNECT /livez HTTP/1.1"), b"")),
    "UTF-8 in a value": ([200], (get(b"X-A: \xc3\xa4\r\n"),)),
    "a path that is not UTF-8": ([422], (get(WHO, b"GET /api/tasks/%ff HTTP/1.1"),)),
    "a query that is not UTF-8": ([422], (get(WHO, b"GET /api/tasks?q=%ff HTTP/1.1"),)),
    "5,000 headers": ([200], (get(b"a:b\r\n" * 5_000),)),
    "a body that nobody reads": ([200], (get(b"Content-Length: 20\r\n") + BODY,)),
    "a request as a body that nobody reads": (
        [200],
        (get(b"Content-Length: %d\r\n" % len(SMUGGLED)) + SMUGGLED,),
    ),
    "chunks that nobody reads": ([200], (get(CHUNKED) + CHUNKS,)),
    "a body that HEAD does not read": (
        [200],
        (get(b"Content-Length: %d\r\n" % len(SMUGGLED), b"HEAD /docs HTTP/1.1") + SMUGGLED,),
    ),
    "a body that is refused": ([415], (post(b"Content-Encoding: gzip\r\n" + CHUNKED, CHUNKS),)),
    "h2c": ([200], (get(b"Connection: Upgrade\r\nUpgrade: h2c\r\n"), b"")),
    "a WebSocket": ([200], (get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), b"")),
    "a request behind an upgrade": (
        [200],
        (get(b"Connection: Upgrade\r\nUpgrade: h2c\r\n") + SMUGGLED, b""),
    ),
    "another expectation": ([200], (get(b"Expect: 200-ok\r\n"),)),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_what_is_odd_and_understood(service: Service, exchange: Exchange, name: str) -> None:
    """One answer to each request, in their order, and the last of them is to the last request."""
    statuses, parts = ANSWERED[name]
    answers = exchange(*parts[:-1], parts[-1] + SENTINEL)
    assert seen(answers) == [*statuses, "sentinel"]
    assert "smuggled" not in service.titles(TOKEN)


CLOSED: Final[dict[str, tuple[int, bytes]]] = {
    "no version": (200, b"GET /livez\r\n\r\n"),
    "an old version": (200, get(line=b"GET /livez HTTP/1.0")),
    "chunks in an old version": (422, post(CHUNKED, b"0\r\n\r\n").replace(b"/1.1", b"/1.0", 1)),
    "whoever wants to close": (200, get(b"Connection: close\r\n")),
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
    "chunks of a byte": (413, post(CHUNKED, b"1\r\nx\r\n" * 66_000 + b"0\r\n\r\n")),
    "a header of 100 KB": (431, get(b"X-A: %s\r\n" % (b"a" * 100_000))),
    "a header of 33 KB": (431, get(b"X-A: %s\r\n" % (b"a" * 33_000))),
    "an address of 70 KB": (431, get(line=b"GET /livez?%s HTTP/1.1" % (b"a" * 70_000))),
    "10,000 headers": (431, get(b"".join(b"X-%d: a\r\n" % n for n in range(10_000)))),
    "a name of 40 KB": (431, get(b"%s: a\r\n" % (b"a" * 40_000))),
}


@pytest.mark.parametrize("name", CLOSED)
def test_what_is_the_last_on_its_connection(
    service: Service, exchange: Exchange, name: str
) -> None:
    """It can be read, although the service may not have read all of the request."""
    status, sent = CLOSED[name]
    assert seen(exchange(sent + SENTINEL)) == [status]
    assert "smuggled" not in service.titles(TOKEN)


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_a_large_body_is_read_before_it_is_refused(service: Service, size: int) -> None:
    """Or the client, who is still sending, would see a broken connection and no answer."""
    url = httpx.URL(service.url)
    with socket.create_connection((url.host, url.port or 80), LIMIT_SECONDS) as connection:
        connection.sendall(post(b"Content-Length: %d\r\n" % size, b"x" * size))
        stream = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert [a.code for a in answers_in(stream)] == ["BODY_TOO_LARGE"]


def test_a_large_head_behind_another_request(exchange: Exchange) -> None:
    """In one packet: the first is small, and the second is not let in with it."""
    assert seen(exchange(get() + get(b"X-A: %s\r\n" % (b"a" * 60_000)) + SENTINEL)) == [431]


def test_what_stands_behind_a_body_proves_nothing(service: Service, exchange: Exchange) -> None:
    """A trailer is no header: somebody on the way may never have looked at it."""
    anonymous = b"POST /api/tasks HTTP/1.1\r\n%sContent-Type: application/json\r\n%s\r\n"
    trailers = b"14\r\n%s\r\n0\r\n%sX-Request-ID: trailer\r\n\r\n" % (BODY, WHO)
    answers = exchange(anonymous % (HOST, CHUNKED) + trailers + SENTINEL)
    assert [a.code for a in answers] == ["UNAUTHENTICATED", ""]
    assert "trailer" not in {a.request_id for a in answers}
    assert "smuggled" not in service.titles(TOKEN)


def test_what_is_expected_comes_once(service: Service, exchange: Exchange) -> None:
    head = post(b"Expect: 100-continue\r\nContent-Length: 19\r\n")
    assert seen(exchange(head, b'{"title":"awaited"}' + SENTINEL)) == [201, "sentinel"]
    assert "awaited" in service.titles(TOKEN)


def test_chunks_may_have_extensions_and_trailers(service: Service, exchange: Exchange) -> None:
    body = b'13;name="value"\r\n{"title":"chunked"}\r\n0;last\r\nX-T: y\r\n\r\n'
    assert seen(exchange(post(CHUNKED, body) + SENTINEL)) == [201, "sentinel"]
    assert "chunked" in service.titles(TOKEN)


def test_a_target_that_names_another_host() -> None:
    """RFC 9112, 3.2.2: the target is believed, and `Host` is not."""
    hosts = {"BETTER_AUTH_SECRET": SECRET, "ALLOWED_HOSTS": "localhost,127.0.0.1"}
    with new_home() as home, home.serving("--memory", ready=False, env=hosts) as service:
        url = httpx.URL(service.url)

        def status(line: bytes, headers: bytes = HOST) -> int:
            with socket.create_connection((url.host, url.port or 80), LIMIT_SECONDS) as connection:
                connection.sendall(b"%s\r\n%sConnection: close\r\n\r\n" % (line, headers))
                stream = b"".join(iter(lambda: connection.recv(65_536), b""))
            [answer] = answers_in(stream)
            assert answer.code == ("" if answer.status == 200 else "MALFORMED_REQUEST")
            return answer.status

        assert status(b"GET /docs HTTP/1.1") == 200
        assert status(b"GET http://localhost:8000/docs HTTP/1.1") == 200
        assert status(b"GET http://localhost/docs HTTP/1.1", b"Host: evil.com\r\n") == 200
        for target in (b"http://evil.com", b"http://localhost@evil.com", b"HTTP://EVIL.com:80"):
            assert status(b"GET %s/docs HTTP/1.1" % target) == 400
        for headers in (b"", HOST * 2, HOST + b"Host: evil.com\r\n", b"Host: evil.com#\r\n"):
            assert status(b"GET /docs HTTP/1.1", headers) == 400
            assert status(b"GET http://localhost/docs HTTP/1.1", headers) in (200, 400)


# Slow clients, and a service whose deadlines are short

HEAD, MESSAGE, BODY_WAIT = 0.2, 0.5, 0.25
# Lower bounds only: how late a timer fires is up to the machine.
_EARLY: Final = 0.9
Shorten = Callable[..., None]


class Hasty:
    """The service in this process."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.server, self.port = server, port

    async def connect(
        self, first: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect and send the first bytes, before the event loop runs the server again.

        Else a loaded machine might use up a short deadline before the client has sent anything.
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

    async def is_empty(self) -> None:
        """Wait until all connections are gone, then send one more request."""
        state = self.server.server_state
        await eventually_async(lambda: not state.connections and not state.tasks)
        received, _ = await self.drip(SENTINEL, b"")
        assert seen(answers_in(received)) == ["sentinel"]


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
async def hasty(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hasty]:
    """With the very configuration of `taskport serve`, but for the deadlines."""
    deadlines.patch(monkeypatch)
    monkeypatch.setattr(serving, "KEEP_ALIVE_SECONDS", 3600)
    config = serving.server_config(Settings(better_auth_secret=SECRET), workers=1)
    # It is made for a process of its own, whose signals it takes.
    config.lifespan = "off"
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # So that a response does not disappear in the kernel, which would take megabytes.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await eventually_async(lambda: server.started)
        hasty = Hasty(server, listener.getsockname()[1])
        yield hasty
        deadlines.patch(monkeypatch)
        try:
            await hasty.is_empty()
        finally:
            server.should_exit = True
            await running


async def test_who_never_says_anything(hasty: Hasty, shorten: Shorten) -> None:
    shorten(head=HEAD)
    several = [hasty.drip(b"", b"") for _ in range(20)]
    for said, seconds in await asyncio.gather(*several):
        assert said == b""
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
        # Much less than is too much, at once.
        (b"GET /livez HTTP/1.1\r\nX-A: " + b"a" * 8_000, b"a"),
    ],
    ids=["a letter", "a value", "headers", "a path", "line breaks", "no end", "much at first"],
)
async def test_a_head_that_trickles(
    hasty: Hasty, shorten: Shorten, first: bytes, drop: bytes
) -> None:
    """Closed without a word, however often something comes."""
    shorten(head=HEAD)
    said, seconds = await hasty.drip(first, drop)
    assert said == b""
    assert seconds >= HEAD * _EARLY


async def test_a_head_that_grows_too_large(hasty: Hasty) -> None:
    said, _ = await hasty.drip(b"GET /livez HTTP/1.1\r\nX-A: ", b"a" * 8_192, every=0.005)
    assert [a.status for a in answers_in(said)] == [431]


@pytest.mark.parametrize("drop", [b"\r\n", b"\r", b"G"], ids=["CR LF", "CR", "a head"])
async def test_what_trickles_behind_a_request(hasty: Hasty, shorten: Shorten, drop: bytes) -> None:
    """It does not count as being idle, which would be patiently borne, nor as the next request."""
    shorten(head=HEAD)
    said, _ = await hasty.drip(get(), drop)
    assert seen(answers_in(said)) in ([200], [200, 400])


async def test_half_a_request_behind_another(hasty: Hasty, shorten: Shorten) -> None:
    """In one packet, and nothing after: it is not waited for any longer than for nothing."""
    shorten(head=HEAD, message=MESSAGE)
    hasty.server.config.timeout_keep_alive = 1
    halves = b"GET /li", b"GET /livez HTTP/1.1\r\nHost: x", get(b"Content-Length: 9\r\n") + b"x"
    several = [hasty.drip(get() + half, b"") for half in halves]
    for said, _ in await asyncio.gather(*several):
        assert {a.status for a in answers_in(said)} == {200}


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
async def test_a_body_that_trickles(
    hasty: Hasty, shorten: Shorten, head: bytes, drop: bytes
) -> None:
    """408, and the connection is over."""
    shorten(body_wait=BODY_WAIT)
    said, seconds = await hasty.drip(post(head), drop)
    [answer] = answers_in(said)
    assert (answer.status, answer.code) == (408, "REQUEST_TIMEOUT")
    assert b"connection: close" in said.lower()
    assert seconds >= BODY_WAIT * _EARLY


@pytest.mark.parametrize("drop", [b"", b" "], ids=["none of it", "bytes"])
async def test_a_body_that_nobody_reads(hasty: Hasty, shorten: Shorten, drop: bytes) -> None:
    """It has been answered long since; the connection is not kept for the rest."""
    shorten(head=HEAD, message=MESSAGE)
    said, seconds = await hasty.drip(get(b"Content-Length: 100000\r\n"), drop)
    assert seen(answers_in(said)) == [200]
    assert seconds >= MESSAGE * _EARLY


async def test_a_body_without_an_end(hasty: Hasty) -> None:
    """413 as soon as it is too large for anything."""
    chunk = b"4000\r\n%s\r\n" % (b"x" * 0x4000)
    said, _ = await hasty.drip(post(CHUNKED), chunk * 4, every=0)
    assert [a.code for a in answers_in(said)] in (["BODY_TOO_LARGE"], [])


@pytest.mark.parametrize(
    "rest",
    [b"0\r\nX-T: ", b"0\r\n", b"1;"],
    ids=["a trailer", "trailers", "an extension"],
)
async def test_what_is_no_body_has_a_limit_as_well(hasty: Hasty, rest: bytes) -> None:
    """It would be kept in memory until the message is over."""
    drop = b"a:b\r\n" * 20_000 if rest == b"0\r\n" else b"a" * 100_000
    said, _ = await hasty.drip(get(CHUNKED) + rest, drop, every=0)
    assert seen(answers_in(said)) == [200]


@pytest.mark.parametrize("closes", [False, True], ids=["another request", "no other request"])
async def test_who_does_not_read(hasty: Hasty, shorten: Shorten, closes: bool) -> None:
    """Neither the answers that wait, nor the connection, are kept for ever; and less so where the
    answer is the last."""
    shorten(head=HEAD, message=None if closes else MESSAGE)
    line = b"GET /docs/swagger-ui-bundle.js HTTP/1.1"
    ask = get(b"Connection: close\r\n", line) if closes else get(line=line) * 20
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", hasty.port))
        await loop.sock_sendall(client, ask)
        connections = hasty.server.server_state.connections
        await eventually_async(
            lambda: any(c.transport.get_write_buffer_size() for c in connections)
        )
        await eventually_async(lambda: not connections)


async def test_who_hangs_up_in_the_middle(hasty: Hasty) -> None:
    for sent in (
        b"GET /li",
        get()[:-2],
        post(b"Content-Length: 1000\r\n", b"{"),
        post(CHUNKED, b"5"),
    ):
        _, writer = await hasty.connect(sent)
        writer.close()
    await hasty.is_empty()


async def test_who_stops_sending_may_still_read(hasty: Hasty) -> None:
    """Many at once, each with a request that is whole: all are answered."""
    several = [hasty.drip(SENTINEL, b"") for _ in range(50)]
    for said, _ in await asyncio.gather(*several):
        assert seen(answers_in(said)) == ["sentinel"]
