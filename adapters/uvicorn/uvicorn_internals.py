"""The internals of uvicorn that we use. No other module imports any.

uvicorn documents neither its protocol classes nor its supervisors, and any release may change them.
`pyproject.toml` says which releases are known to have them; the tests run on the oldest and on the
newest of these.

`BoundedHttpProtocol` extends `HttpToolsProtocol`, with its `loop` and `transport`, and needs

- its callbacks for asyncio (`connection_made`, `data_received`, `pause_writing`, ...) and for
  httptools (`on_headers_complete`, `on_message_complete`): there deadlines begin and end
- `url` and `headers`, filled before `on_headers_complete`: to measure the head, and to replace
  `Host` before the ASGI scope is made
- `cycle` and its `keep_alive`: to send `Connection: close` in the last response
- `shutdown`, which the server calls on each connection when it stops
- `send_400_response`: to reject a head that is too large

`Workers` extends `Multiprocess`, and overrides `join_all` with the help of `processes`,
`signal_queue`, `sockets` and `terminate_all`: to forward signals while workers stop.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

__all__ = ["HttpProtocol", "Multiprocess"]


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol for HTTP/1.1, without its advice to install a WebSocket library."""

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: WebSockets are switched off on purpose."""
