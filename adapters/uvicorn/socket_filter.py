"""A BPF filter on a listening socket that drops new connections."""

import ctypes
import multiprocessing
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

# Of Linux (socket.h, filter.h), and not in `socket`: drop a segment with SYN set, take any other.
_ATTACH_FILTER: Final = 26
_DROP_SYN: Final = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x45, 0, 1, 0x02),  # is SYN among them?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
)


def drop_new_connections(listener: socket.socket) -> None:
    """Let nobody in who comes between the last one and the end: their kernel asks again after a
    second, and is refused. Not where others listen there, too: it is for all of them, and stays."""
    if sys.platform == "linux" and multiprocessing.parent_process() is None:
        code = ctypes.create_string_buffer(
            b"".join(struct.pack("HBBI", *line) for line in _DROP_SYN)
        )
        program = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(code))
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
