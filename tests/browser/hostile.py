"""An HTTP server for the hostile page of `hostile/`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

_FOLDER: Final = Path(__file__).parent / "hostile"


class _Handler(SimpleHTTPRequestHandler):
    """Serves files, and redirects `/redirect?to=URL` with 307, which keeps the method."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path != "/redirect":
            super().do_GET()
            return
        self.send_response(307)
        self.send_header("Location", parse_qs(parts.query)["to"][0])
        # Scripts follow only redirects that CORS allows.
        self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin", "*"))
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def hostile_server() -> Iterator[int]:
    """Serve `hostile/` on a loopback port, which is the value."""
    handler = partial(_Handler, directory=str(_FOLDER))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
