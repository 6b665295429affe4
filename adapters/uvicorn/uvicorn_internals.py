"""The internals of uvicorn that we use. No other module imports any.

uvicorn documents neither its protocol classes nor its supervisors. `BoundedHttpProtocol` extends
`HttpToolsProtocol`, overrides its methods and uses its attributes `cycle`, `headers`, `loop`,
`transport` and `url`. The parent of several workers extends `Multiprocess`, and uses `processes`,
`signal_queue` and `sockets`. Any release may change them. `pyproject.toml` says which releases are
known to have them; the tests run on the oldest and on the newest of these.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

__all__ = ["HttpProtocol", "Multiprocess"]


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol for HTTP/1.1, without its advice to install a WebSocket library."""

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: WebSockets are switched off on purpose."""
