"""The BPF filter, on real listeners and connections."""

import errno
import multiprocessing
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest

from adapters.uvicorn.socket_filter import drop_new_connections

#: The kernel sends a SYN that was not acknowledged again after a second.
RETRANSMISSION_SECONDS: Final = 5.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has socket filters"),
]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(1)
        yield listener


def connecting_to(listener: socket.socket) -> socket.socket:
    """A connection whose SYN has been sent."""
    connection = socket.socket()
    connection.setblocking(False)
    assert connection.connect_ex(listener.getsockname()) == errno.EINPROGRESS
    return connection


def is_decided(connection: socket.socket, seconds: float) -> bool:
    """Whether the connection is established or refused within a number of seconds."""
    return bool(select.select([], [connection], [], seconds)[1])


def test_syn_is_dropped(listener: socket.socket) -> None:
    drop_new_connections(listener)

    with closing(connecting_to(listener)) as connection:
        assert not is_decided(connection, 0.3)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_backlog_is_still_accepted(listener: socket.socket) -> None:
    """With the data that was sent before, and data that is sent later, in both directions."""
    with closing(socket.create_connection(listener.getsockname())) as client:
        client.sendall(b"before, ")

        drop_new_connections(listener)

        client.sendall(b"after")
        client.shutdown(socket.SHUT_WR)
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as received:
            assert received.read() == b"before, after"
            connection.sendall(b"response")
            assert client.recv(100) == b"response"


def test_dropped_client_is_refused_after_close(listener: socket.socket) -> None:
    """By its second SYN: the first was dropped, which is no refusal."""
    drop_new_connections(listener)
    with closing(connecting_to(listener)) as connection:
        listener.close()

        assert is_decided(connection, RETRANSMISSION_SECONDS)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_shared_listener_of_workers_is_not_filtered(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing, "parent_process", object)

    drop_new_connections(listener)

    with closing(connecting_to(listener)) as connection:
        assert is_decided(connection, 1)
        listener.accept()[0].close()
