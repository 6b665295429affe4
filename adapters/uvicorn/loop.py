"""The event loop of a server process: who was let in before the door closed is not sent away."""

import asyncio
import ctypes
import multiprocessing
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final

# Of Linux (socket.h, filter.h), and not in `socket`: drop a segment with SYN set, take any other.
_ATTACH_FILTER: Final = 26
_DROP_SYN: Final = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x45, 0, 1, 0x02),  # is SYN among them?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
)


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
            _drop_new_connections(door)
            close()
            with door, suppress(OSError):
                while True:
                    connection, _ = door.accept()
                    self.create_task(self.connect_accepted_socket(protocol_factory, connection))

        server.close = stop  # type: ignore[method-assign]
        return server


def _drop_new_connections(listener: socket.socket) -> None:
    """Let nobody in who comes between the last one and the end: their kernel asks again after a
    second, and is refused. Not where others listen there, too: it is for all of them, and stays."""
    if sys.platform == "linux" and multiprocessing.parent_process() is None:
        code = ctypes.create_string_buffer(
            b"".join(struct.pack("HBBI", *line) for line in _DROP_SYN)
        )
        program = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(code))
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
