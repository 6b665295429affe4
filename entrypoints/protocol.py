"""HTTP/1.1 as uvicorn speaks it, with an end to patience.

By itself uvicorn waits for ever for the head of a request, takes a head of any size, and keeps a
connection whose body never ends after it has been answered.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 10.0
MESSAGE_SECONDS: Final = 30.0
HEAD_MAX_BYTES: Final = 32 * 1024
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: 21\r\n"
    b"connection: close\r\n\r\n"
    b"The head is too large"
)


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request does not arrive, and refuses one whose head is too large.

    The head has `HEAD_SECONDS`, from the opening of the connection or from its own first byte on,
    and the whole message `MESSAGE_SECONDS`. Between two requests a connection may be idle for as
    long as uvicorn keeps it alive.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since: float | None = None
        self._is_in_head = True
        self._head_bytes = 0
        self._look: asyncio.TimerHandle | None = None
        self._was_closing = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._look = self.loop.call_later(HEAD_SECONDS, self._look_at_the_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._since is None:
            self._since = self.loop.time()
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > HEAD_MAX_BYTES:
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        # The bytes that came with it may be of the body.
        if self._head_bytes > HEAD_MAX_BYTES and self._size_of_head() > HEAD_MAX_BYTES:
            raise ValueError("the head is too large")
        self._is_in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._since, self._is_in_head = None, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self.transport.is_closing():
            return
        if self._head_bytes > HEAD_MAX_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _look_at_the_clock(self) -> None:
        now = self.loop.time()
        # What begins after this look is not overdue before the next one.
        wait = HEAD_SECONDS
        if self._since is not None:
            patience = HEAD_SECONDS if self._is_in_head else MESSAGE_SECONDS
            wait = self._since + patience - now
            if wait <= 0 and not self.transport.is_closing():
                self.transport.close()
                wait = HEAD_SECONDS
        if self.transport.is_closing():
            # It waits for the client to read what is left; not for ever.
            if self._was_closing:
                self.transport.abort()
                return
            self._was_closing = True
            wait = HEAD_SECONDS
        self._look = self.loop.call_later(wait, self._look_at_the_clock)
