"""Shutdown of a server: which connections and requests still get a response.

The server runs in this process, so that a test determines how far it has got with a connection
when it stops.
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
CLOSES: Final = b"\r\nconnection: close\r\n"
#: Seconds for a first request on shutdown.
FIRST: Final = 0.5

pytestmark = pytest.mark.slow


class Stopping:
    """A server with the configuration of `taskport serve`, and connections to it."""

    def __init__(self, listener: socket.socket, stack: ExitStack) -> None:
        self._listener, self._stack = listener, stack
        self._address = listener.getsockname()
        #: The addresses of the connections on which a response had begun at the shutdown.
        self.responding: set[object] = set()
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
        self.responding = {
            client for client, cycle in cycles.items() if cycle and cycle.response_started
        }
        await self._server.shutdown([self._listener])

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection in the backlog, with data; the server accepts it in the event loop."""
        connection = socket.create_connection(self._address, LIMIT_SECONDS)
        self._stack.enter_context(connection)
        connection.sendall(sent)
        connection.setblocking(False)
        return connection

    async def begins_heads(self, count: int) -> None:
        """Wait until the server has received the beginning of so many heads."""
        await eventually_async(lambda: sum(bool(c._head_bytes) for c in self._connections) == count)


Scenario = Callable[[Stopping], Awaitable[None]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], None]:
    """Runs a scenario with a server, in the event loop of `taskport serve`."""
    deadlines.patch(monkeypatch)
    monkeypatch.setattr(protocol, "FIRST_REQUEST_SECONDS", 3600.0)
    monkeypatch.setattr(serving, "GRACEFUL_SHUTDOWN_SECONDS", 3600)

    def run(scenario: Scenario) -> None:
        async def with_server() -> None:
            with ExitStack() as stack:
                listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                stopping = Stopping(listener, stack)
                await stopping.start()
                async with asyncio.timeout(LIMIT_SECONDS):
                    await scenario(stopping)

        factory = serving.server_config(Settings(better_auth_secret=SECRET), 1).get_loop_factory()
        assert factory is DrainingEventLoop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(with_server())

    return run


async def received(connection: socket.socket) -> bytes:
    """All data until the server closes the connection."""
    loop = asyncio.get_running_loop()
    data = b""
    while chunk := await loop.sock_recv(connection, 65_536):
        data += chunk
    return data


def is_one_response(data: bytes) -> bool:
    return data.startswith(b"HTTP/1.1 200 ") and data.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("iterations", range(12))
def test_connections_in_the_backlog_get_responses(
    run: Callable[[Scenario], None], iterations: int
) -> None:
    """However many of them the server has accepted when it stops."""

    async def scenario(server: Stopping) -> None:
        connections = [server.connect(REQUEST) for _ in range(10)]
        for _ in range(iterations):
            await asyncio.sleep(0)
        stopped = asyncio.create_task(server.stop())
        for connection in connections:
            data = await received(connection)
            assert is_one_response(data)
            # Responses that begin after the shutdown announce the end of the connection.
            assert connection.getsockname() in server.responding or CLOSES in data
        await stopped

    run(scenario)


def test_connection_after_shutdown_is_refused(run: Callable[[Scenario], None]) -> None:
    async def scenario(server: Stopping) -> None:
        await server.stop()
        with pytest.raises(ConnectionRefusedError):
            server.connect()

    run(scenario)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has socket filters")
@pytest.mark.parametrize("is_shared", [False, True])
def test_connection_between_last_accept_and_close_is_refused(
    run: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    """So the client knows that nothing was processed. On a shared listener it is reset."""
    late = socket.socket()
    accept = socket.socket.accept

    def accept_then_connect(listener: socket.socket) -> tuple[socket.socket, object]:
        try:
            return accept(listener)
        except BlockingIOError:
            late.setblocking(False)
            assert late.connect_ex(listener.getsockname()) == errno.EINPROGRESS
            raise

    async def scenario(server: Stopping) -> None:
        monkeypatch.setattr(socket.socket, "accept", accept_then_connect)
        await server.stop()
        assert await error_of(late) == (errno.ECONNRESET if is_shared else errno.ECONNREFUSED)

    if is_shared:
        monkeypatch.setattr(multiprocessing, "parent_process", object)
    with late:
        run(scenario)


async def error_of(connection: socket.socket) -> int:
    """The error of a connection attempt, or 0."""
    loop = asyncio.get_running_loop()
    is_finished = loop.create_future()
    loop.add_writer(connection, is_finished.set_result, None)
    await is_finished
    loop.remove_writer(connection)
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@pytest.mark.parametrize("iterations", [0, 20])
def test_first_request_shortly_after_shutdown_gets_a_response(
    run: Callable[[Scenario], None], iterations: int
) -> None:
    async def scenario(server: Stopping) -> None:
        connection = server.connect()
        for _ in range(iterations):
            await asyncio.sleep(0)
        stopped = asyncio.create_task(server.stop())
        # Longer than an idle connection gets.
        await asyncio.sleep(2 * protocol.NEXT_REQUEST_SECONDS)
        connection.sendall(REQUEST)
        data = await received(connection)
        assert is_one_response(data)
        assert CLOSES in data
        await stopped

    run(scenario)


def test_request_whose_head_has_begun_gets_a_response(
    run: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is the first on its connection or not."""
    monkeypatch.setattr(protocol, "FIRST_REQUEST_SECONDS", FIRST)

    async def scenario(server: Stopping) -> None:
        first, second = server.connect(REQUEST[:9]), server.connect(REQUEST)
        loop = asyncio.get_running_loop()
        assert is_one_response(await loop.sock_recv(second, 65_536))
        second.sendall(REQUEST[:9])
        await server.begins_heads(2)
        stopped = asyncio.create_task(server.stop())
        await asyncio.sleep(2 * FIRST)
        for connection in (first, second):
            connection.sendall(REQUEST[9:])
            data = await received(connection)
            assert is_one_response(data)
            assert CLOSES in data
        await stopped

    run(scenario)


def test_idle_connections_are_closed(
    run: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "FIRST_REQUEST_SECONDS", FIRST)

    async def scenario(server: Stopping) -> None:
        silent, idle = server.connect(), server.connect(REQUEST)
        assert is_one_response(await asyncio.get_running_loop().sock_recv(idle, 65_536))
        await server.stop()
        assert await received(silent) == await received(idle) == b""

    run(scenario)
