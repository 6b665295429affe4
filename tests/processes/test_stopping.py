"""The last moment of a server: whoever has connected by then, and what is on its way.

The server runs in this process, so that a test says what it has seen of a connection when it stops.
"""

import asyncio
import errno
import multiprocessing
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, Final

import pytest
import uvicorn

from adapters.uvicorn import protocol
from adapters.uvicorn.loop import DrainingEventLoop
from entrypoints import serving
from entrypoints.settings import Settings
from tests import deadlines
from tests.processes.service import SECRET
from tests.waiting import LIMIT_SECONDS, eventually_async

REQUEST: Final = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
IS_LAST: Final = b"\r\nconnection: close\r\n"
# Of connections without a request, when the service stops.
FIRST: Final = 0.5

pytestmark = pytest.mark.slow


class Stopping:
    """A server with the very configuration of `taskport serve`, and connections to it."""

    def __init__(self, listener: socket.socket, stack: ExitStack) -> None:
        self._listener, self._stack = listener, stack
        self._address = listener.getsockname()
        self.answered: set[object] = set()
        config = serving.server_config(Settings(better_auth_secret=SECRET), workers=1)
        config.lifespan = "off"
        config.load()
        self._server = uvicorn.Server(config)
        self._connections: set[Any] = self._server.server_state.connections
        self._server.lifespan = config.lifespan_class(config)

    async def start(self) -> None:
        await self._server.startup([self._listener])
        await self._server.on_tick(0)

    async def stop(self) -> None:
        cycles = {connection.client: connection.cycle for connection in self._connections}
        self.answered = {who for who, cycle in cycles.items() if cycle and cycle.response_started}
        await self._server.shutdown([self._listener])

    def connect(self, sent: bytes = b"") -> socket.socket:
        """Let in by the kernel, with what it sent; the server sees it when it is waited for."""
        connection = socket.create_connection(self._address, LIMIT_SECONDS)
        self._stack.enter_context(connection)
        connection.sendall(sent)
        connection.setblocking(False)
        return connection

    async def begins_heads(self, count: int) -> None:
        """Wait until the server has received the beginning of so many heads."""
        await eventually_async(lambda: sum(bool(c._head_bytes) for c in self._connections) == count)


Act = Callable[[Stopping], Awaitable[None]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Act], None]:
    """Whatever is done with a server, in the loop of `taskport serve`."""
    deadlines.patch(monkeypatch)
    monkeypatch.setattr(protocol, "FIRST_REQUEST_SECONDS", 3600.0)
    monkeypatch.setattr(serving, "GRACEFUL_SHUTDOWN_SECONDS", 3600)

    def run(act: Act) -> None:
        async def acted() -> None:
            with ExitStack() as stack:
                listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                stopping = Stopping(listener, stack)
                await stopping.start()
                async with asyncio.timeout(LIMIT_SECONDS):
                    await act(stopping)

        factory = serving.server_config(Settings(better_auth_secret=SECRET), 1).get_loop_factory()
        assert factory is DrainingEventLoop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(acted())

    return run


async def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    loop = asyncio.get_running_loop()
    said = b""
    while data := await loop.sock_recv(connection, 65_536):
        said += data
    return said


def is_answer(said: bytes) -> bool:
    return said.startswith(b"HTTP/1.1 200 ") and said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("rounds", range(12))
def test_who_was_let_in_is_answered(run: Callable[[Act], None], rounds: int) -> None:
    """However far the server has come with taking the connections when it stops."""

    async def act(server: Stopping) -> None:
        connections = [server.connect(REQUEST) for _ in range(10)]
        for _ in range(rounds):
            await asyncio.sleep(0)
        stopped = asyncio.create_task(server.stop())
        for connection in connections:
            said = await received(connection)
            assert is_answer(said)
            # Whoever is answered from now on is told that there is no more to come.
            assert connection.getsockname() in server.answered or IS_LAST in said
        await stopped

    run(act)


def test_who_stands_behind_the_last_is_refused(run: Callable[[Act], None]) -> None:
    async def act(server: Stopping) -> None:
        await server.stop()
        with pytest.raises(ConnectionRefusedError):
            server.connect()

    run(act)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told to answer nobody")
@pytest.mark.parametrize("is_shared", [False, True])
def test_who_comes_between_the_last_and_the_end(
    run: Callable[[Act], None], monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    """Is refused, and knows that nothing was done; unless others let people in there, too."""
    late = socket.socket()
    accept = socket.socket.accept

    def accept_and_be_late(listener: socket.socket) -> tuple[socket.socket, object]:
        try:
            return accept(listener)
        except BlockingIOError:
            late.setblocking(False)
            assert late.connect_ex(listener.getsockname()) == errno.EINPROGRESS
            raise

    async def act(server: Stopping) -> None:
        monkeypatch.setattr(socket.socket, "accept", accept_and_be_late)
        await server.stop()
        assert await error_of(late) == (errno.ECONNRESET if is_shared else errno.ECONNREFUSED)

    if is_shared:
        monkeypatch.setattr(multiprocessing, "parent_process", object)
    with late:
        run(act)


async def error_of(connection: socket.socket) -> int:
    """What came of connecting."""
    loop = asyncio.get_running_loop()
    is_decided = loop.create_future()
    loop.add_writer(connection, is_decided.set_result, None)
    await is_decided
    loop.remove_writer(connection)
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@pytest.mark.parametrize("rounds", [0, 20])
def test_a_first_request_may_come_a_little_later(run: Callable[[Act], None], rounds: int) -> None:
    async def act(server: Stopping) -> None:
        connection = server.connect()
        for _ in range(rounds):
            await asyncio.sleep(0)
        stopped = asyncio.create_task(server.stop())
        # Longer than an idle connection gets.
        await asyncio.sleep(2 * protocol.NEXT_REQUEST_SECONDS)
        connection.sendall(REQUEST)
        said = await received(connection)
        assert is_answer(said)
        assert IS_LAST in said
        await stopped

    run(act)


def test_a_head_that_has_begun_may_end(
    run: Callable[[Act], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is the first on its connection or not."""
    monkeypatch.setattr(protocol, "FIRST_REQUEST_SECONDS", FIRST)

    async def act(server: Stopping) -> None:
        first, second = server.connect(REQUEST[:9]), server.connect(REQUEST)
        loop = asyncio.get_running_loop()
        assert is_answer(await loop.sock_recv(second, 65_536))
        second.sendall(REQUEST[:9])
        await server.begins_heads(2)
        stopped = asyncio.create_task(server.stop())
        await asyncio.sleep(2 * FIRST)
        for connection in (first, second):
            connection.sendall(REQUEST[9:])
            said = await received(connection)
            assert is_answer(said)
            assert IS_LAST in said
        await stopped

    run(act)


def test_who_says_nothing_is_not_waited_for(
    run: Callable[[Act], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "FIRST_REQUEST_SECONDS", FIRST)

    async def act(server: Stopping) -> None:
        silent, idle = server.connect(), server.connect(REQUEST)
        assert is_answer(await asyncio.get_running_loop().sock_recv(idle, 65_536))
        await server.stop()
        assert await received(silent) == await received(idle) == b""

    run(act)
