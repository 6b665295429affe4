"""The event loop of a server process: who was let in before the door closed is not sent away."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from adapters.uvicorn.socket_filter import drop_new_connections


class DrainingEventLoop(asyncio.SelectorEventLoop):
    """Closes a listener when nobody waits behind it any more.

    The kernel lets connections in, with what is sent on them, before the process takes them. Those
    that it has not taken are reset when the listener is closed, and a client cannot know whether
    what it asked for was done.
    """

    is_leaving = False

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Any, *, sock: socket.socket, **options: Any
    ) -> asyncio.Server:
        # Handles of its own: the server closes the one that it has given as soon as it stops.
        listener, door = sock.dup(), sock.dup()
        server = await super().create_server(protocol_factory, sock=listener, **options)
        close = server.close

        def stop() -> None:
            self.is_leaving = True
            self.remove_reader(listener)
            # Those that are taken already need the server for one more round.
            self.call_soon(drain_backlog_and_close)

        def drain_backlog_and_close() -> None:
            drop_new_connections(door)
            close()
            with door, suppress(OSError):
                while True:
                    connection, _ = door.accept()
                    self.create_task(self.connect_accepted_socket(protocol_factory, connection))

        server.close = stop  # type: ignore[method-assign]
        return server
