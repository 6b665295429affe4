"""A TCP proxy that simulates network failures in front of a server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from psycopg.conninfo import conninfo_to_dict


class Proxy:
    """Forwards data in both directions, until it is told to fail."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._is_forwarding = asyncio.Event()
        self._is_forwarding.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    def freeze(self) -> None:
        """Forward nothing more, and keep the connections open."""
        self._is_forwarding.clear()

    def thaw(self) -> None:
        """Forward what has been held back, and go on."""
        self._is_forwarding.set()

    def reset(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, server_writer}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forward(reader, server_writer))
            group.create_task(self._forward(server_reader, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._is_forwarding.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.thaw()
            server.close()
            self.reset()
            await asyncio.sleep(0.05)


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy in front of the server of a URL, and the URL through the proxy."""
    server = conninfo_to_dict(url)
    async with Proxy(str(server["host"]), int(str(server["port"]))).running() as proxy:
        yield proxy, url.replace(f":{server['port']}/", f":{proxy.port}/")
