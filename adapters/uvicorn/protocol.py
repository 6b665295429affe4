"""uvicorn's HTTP/1.1 protocol, with deadlines and size limits.

uvicorn itself waits without a limit for the head of a request, and for a client that does not read
its response; it does not limit the size of heads and trailers, and adds trailers to the headers;
it keeps a connection whose request body never ends after the response was sent; and on shutdown
it closes connections on which half a head has arrived.
"""

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

from adapters.uvicorn.loop import DrainingEventLoop
from adapters.uvicorn.uvicorn_internals import HttpProtocol

#: Seconds for the head of a request.
HEAD_SECONDS: Final = 10.0
#: Seconds for a whole request, and for a client to read a response.
MESSAGE_SECONDS: Final = 30.0
#: Seconds, on shutdown, for the first byte of the first request on a connection.
FIRST_REQUEST_SECONDS: Final = 1.0
#: Seconds, on shutdown, for a further request that may already be under way.
NEXT_REQUEST_SECONDS: Final = 0.1
HEAD_MAX_BYTES: Final = 32 * 1024
#: Bytes after the head: the body with the framing of its chunks, and trailers. Larger than the part
#: of a body that is read before it is rejected.
REST_MAX_BYTES: Final = 2 * 1024 * 1024
_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: 21\r\n"
    b"connection: close\r\n\r\n"
    b"The head is too large"
)


class BoundedHttpProtocol(HttpProtocol):
    """Closes a connection whose request does not arrive in time, and rejects large heads.

    The head must arrive within `HEAD_SECONDS` of the opening of the connection or of its own first
    byte, and the whole message within `MESSAGE_SECONDS`. A client that reads nothing of a response
    for `MESSAGE_SECONDS` is disconnected. Between two requests a connection may be idle for as long
    as uvicorn's keep-alive timeout allows.

    On shutdown, a request whose head has begun gets its response. A connection without a request
    gets `FIRST_REQUEST_SECONDS` for the first byte of one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: When the current message, or the wait for the first one, began; None between messages.
        self._message_started_at: float | None = None
        self._is_in_head = True
        self._head_bytes = 0
        self._rest_bytes = 0
        #: Whether a single read was larger than any head may be.
        self._had_large_read = False
        #: When the write buffer became full; None while the client reads.
        self._write_paused_at: float | None = None
        self._deadline_timer: asyncio.TimerHandle | None = None
        #: Whether the transport was closing when deadlines were last checked.
        self._was_closing = False
        self._is_shutting_down = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._message_started_at = self.loop.time()
        self._deadline_timer = self.loop.call_later(HEAD_SECONDS, self._check_deadlines)
        if isinstance(self.loop, DrainingEventLoop) and self.loop.is_shutting_down:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._message_started_at is None:
            self._message_started_at = self.loop.time()
        size = len(data)
        if size > HEAD_MAX_BYTES:
            self._had_large_read = True
        if self._is_in_head:
            self._head_bytes += size
        else:
            self._rest_bytes += size
            if self._rest_bytes > REST_MAX_BYTES:
                self.transport.close()
                return
        super().data_received(data)
        if self._is_in_head and self._head_bytes > HEAD_MAX_BYTES:
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        # The count may include bytes of the body, or of the message before: measure the head alone.
        if self._had_large_read or self._head_bytes > HEAD_MAX_BYTES:
            self._head_bytes = self._head_size()
            if self._head_bytes > HEAD_MAX_BYTES:
                raise ValueError("the head is too large")
        self._is_in_head, self._head_bytes, self._rest_bytes = False, 0, 0
        if not self.url.startswith(b"/"):
            self._use_host_of_target()
        super().on_headers_complete()
        if self._is_shutting_down:
            self.cycle.keep_alive = False
        # Fields from here on are trailers, which must not be merged into headers (RFC 9110, 6.5.1).
        self.headers = []

    def on_message_complete(self) -> None:
        self._message_started_at, self._is_in_head = None, True
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_paused_at = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_paused_at = None

    def shutdown(self) -> None:
        self._is_shutting_down = True
        delay = FIRST_REQUEST_SECONDS
        if self.cycle is not None:
            self.cycle.keep_alive = False
            delay = NEXT_REQUEST_SECONDS
        self.loop.call_later(delay, self._shut_down_if_idle)

    def send_400_response(self, msg: str) -> None:
        if self.transport.is_closing():
            return
        if self._head_bytes > HEAD_MAX_BYTES:
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def _shut_down_if_idle(self) -> None:
        if not (self._is_in_head and self._head_bytes):
            super().shutdown()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _use_host_of_target(self) -> None:
        """Replace `Host` by the host of a target in absolute form (RFC 9112, 3.2.2)."""
        if host := urlsplit(self.url).netloc:
            self.headers[:] = [(n, host if n == b"host" else v) for n, v in self.headers]

    def _check_deadlines(self) -> None:
        now = self.loop.time()
        if self._write_paused_at is not None and now - self._write_paused_at >= MESSAGE_SECONDS:
            self.transport.abort()
            return
        # A message that begins later cannot be overdue before this next check.
        delay = HEAD_SECONDS
        if self._message_started_at is not None:
            limit = HEAD_SECONDS if self._is_in_head else MESSAGE_SECONDS
            delay = self._message_started_at + limit - now
            if delay <= 0 and not self.transport.is_closing():
                self.transport.close()
                delay = HEAD_SECONDS
        if self.transport.is_closing():
            # The transport waits until the client has read the rest: abort at the second check.
            if self._was_closing:
                self.transport.abort()
                return
            self._was_closing = True
            delay = HEAD_SECONDS
        self._deadline_timer = self.loop.call_later(delay, self._check_deadlines)
