"""Graceful shutdown: an event loop that drains the accept backlog before it closes a listener."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from adapters.uvicorn.socket_filter import drop_new_connections


class DrainingEventLoop(asyncio.SelectorEventLoop):
    """Accepts all connections of the backlog before it closes the listener.

    The kernel establishes connections, and receives data on them, before the process accepts
    them. When the listener is closed, the kernel resets those that are still in the backlog, and
    their clients cannot know whether their requests were processed.
    """

    #: Whether a server of this loop has begun to close its listener.
    is_shutting_down = False

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Any, *, sock: socket.socket, **options: Any
    ) -> asyncio.Server:
        # Duplicates: the server closes the socket that it was given as soon as it is closed.
        served, listener = sock.dup(), sock.dup()
        server = await super().create_server(protocol_factory, sock=served, **options)
        close_server = server.close

        def close() -> None:
            self.is_shutting_down = True
            self.remove_reader(served)
            # Not now: connections that were just accepted need the server for one more iteration.
            self.call_soon(drain_backlog_and_close)

        def drain_backlog_and_close() -> None:
            drop_new_connections(listener)
            close_server()
            with listener, suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    self.create_task(self.connect_accepted_socket(protocol_factory, connection))

        server.close = close  # type: ignore[method-assign]
        return server
