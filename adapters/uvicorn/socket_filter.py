"""A BPF filter on a listening socket that drops new connections."""

import ctypes
import multiprocessing
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

#: `SO_ATTACH_FILTER` of Linux's socket.h, which the module `socket` lacks.
_ATTACH_FILTER: Final = 26
#: Classic BPF instructions (filter.h): code, offset if true, offset if false, operand.
_DROP_SYN: Final = (
    (0x30, 0, 0, 13),  # load the byte with the TCP flags
    (0x45, 0, 1, 0x02),  # without SYN, skip the next instruction
    (0x06, 0, 0, 0),  # drop the segment
    (0x06, 0, 0, 0xFFFFFFFF),  # accept all of the segment
)


def drop_new_connections(listener: socket.socket) -> None:
    """Drop each SYN, so that no connection is made between the last `accept` and `close`.

    The client's kernel sends its SYN again after a second, and gets a refusal. Without effect on
    other systems than Linux, and in a worker process: the filter would apply to the listener of
    all workers, and stay.
    """
    if sys.platform == "linux" and multiprocessing.parent_process() is None:
        code = ctypes.create_string_buffer(
            b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN)
        )
        program = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(code))
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
