"""HTTP/1.1 as uvicorn speaks it, with an end to patience.

By itself uvicorn waits for ever for the head of a request and for a client that does not read,
takes heads and trailers of any size and both for the same, keeps a connection whose body never ends
after it has been answered, and hangs up on whoever has not quite asked when it stops.
"""

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

from adapters.uvicorn.loop import DrainingEventLoop
from adapters.uvicorn.uvicorn_internals import HttpProtocol

HEAD_SECONDS: Final = 10.0
MESSAGE_SECONDS: Final = 30.0
# When the service stops: for a first request, and for what may be on its way on other connections.
FIRST_SECONDS: Final = 1.0
NEXT_SECONDS: Final = 0.1
HEAD_MAX_BYTES: Final = 32 * 1024
# Of all that follows a head, trailers and the framing of chunks included: more than is read of a
# body before it is refused.
REST_MAX_BYTES: Final = 2 * 1024 * 1024
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: 21\r\n"
    b"connection: close\r\n\r\n"
    b"The head is too large"
)


class BoundedHttpProtocol(HttpProtocol):
    """Closes a connection whose request does not arrive, and refuses one whose head is too large.

    The head has `HEAD_SECONDS`, from the opening of the connection or from its own first byte on,
    the whole message `MESSAGE_SECONDS`, and as long has a client to read what it asked for. Between
    two requests a connection may be idle for as long as uvicorn keeps it alive.

    When the service stops, a request whose head has begun is answered like one that is being
    answered; whoever has only connected has `FIRST_SECONDS` to begin.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since: float | None = None
        self._is_in_head = True
        self._head_bytes = 0
        self._rest_bytes = 0
        self._has_sent_much = False
        self._stuck_since: float | None = None
        self._look: asyncio.TimerHandle | None = None
        self._was_closing = False
        self._is_leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._look = self.loop.call_later(HEAD_SECONDS, self._check_deadlines)
        if isinstance(self.loop, DrainingEventLoop) and self.loop.is_leaving:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._since is None:
            self._since = self.loop.time()
        size = len(data)
        if size > HEAD_MAX_BYTES:
            self._has_sent_much = True
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
        # The bytes that came with it may be of the body, or of the message before.
        if self._has_sent_much or self._head_bytes > HEAD_MAX_BYTES:
            self._head_bytes = self._size_of_head()
            if self._head_bytes > HEAD_MAX_BYTES:
                raise ValueError("the head is too large")
        self._is_in_head, self._head_bytes, self._rest_bytes = False, 0, 0
        if not self.url.startswith(b"/"):
            self._use_host_of_target()
        super().on_headers_complete()
        if self._is_leaving:
            self.cycle.keep_alive = False
        # What comes from now on are trailers, which prove nothing (RFC 9110, 6.5.1).
        self.headers = []

    def on_message_complete(self) -> None:
        self._since, self._is_in_head = None, True
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck_since = None

    def shutdown(self) -> None:
        self._is_leaving = True
        patience = FIRST_SECONDS
        if self.cycle is not None:
            self.cycle.keep_alive = False
            patience = NEXT_SECONDS
        self.loop.call_later(patience, self._leave)

    def send_400_response(self, msg: str) -> None:
        if self.transport.is_closing():
            return
        if self._head_bytes > HEAD_MAX_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def _leave(self) -> None:
        if not (self._is_in_head and self._head_bytes):
            super().shutdown()

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _use_host_of_target(self) -> None:
        """Where it names a host, that one is meant, whatever `Host` says (RFC 9112, 3.2.2)."""
        if host := urlsplit(self.url).netloc:
            self.headers[:] = [(n, host if n == b"host" else v) for n, v in self.headers]

    def _check_deadlines(self) -> None:
        now = self.loop.time()
        if self._stuck_since is not None and now - self._stuck_since >= MESSAGE_SECONDS:
            self.transport.abort()
            return
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
        self._look = self.loop.call_later(wait, self._check_deadlines)
