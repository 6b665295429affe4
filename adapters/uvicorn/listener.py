"""The listening socket of the server."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


class PortTaken(Exception):
    """The address and port cannot be bound. The message names both, and is for an operator."""


@contextmanager
def bound_listener(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound to an address and port; port 0 means any free one.

    Raises `PortTaken`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is given here. Without it each response waits
    # 40 ms for the client's delayed acknowledgement.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"cannot listen on {host} port {port} ({error.strerror}):"
                " choose another with --host or --port"
            ) from error
        yield listener
