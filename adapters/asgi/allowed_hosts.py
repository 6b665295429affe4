"""Under which names this service may be called."""

import re
from collections.abc import Collection
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.asgi.problems import malformed
from adapters.asgi.request_record import PROBE_PATHS, route_path

# Nothing but a name and a port: `a.example.com:80@evil.example` would lead elsewhere.
_HOST: Final = re.compile(r"([a-z0-9_][a-z0-9_.-]*|\[[0-9a-f:.]+\])(:[0-9]*)?")

_log = structlog.get_logger("taskport.http")


class AllowedHosts:
    """Refuses a request for any other host, whose name a page or a proxy might believe.

    `*.example.com` stands for every name below `example.com`. Whoever watches the service calls it
    by its address: what is for them is for any host.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app = app
        self._has_warned = False
        self._names = frozenset(host for host in hosts if not host.startswith("*."))
        self._endings = tuple(host[1:] for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._allows(scope) or route_path(scope) in PROBE_PATHS:
            await self.app(scope, receive, send)
            return
        if not self._has_warned:
            self._has_warned = True
            _log.warning("host_not_allowed", hint="ALLOWED_HOSTS does not name the host asked for")
        await malformed(scope)(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        said = [value for name, value in scope["headers"] if name == b"host"]
        if len(said) != 1:
            return False
        host = _HOST.fullmatch(said[0].decode("latin-1").lower())
        return host is not None and (host[1] in self._names or host[1].endswith(self._endings))
