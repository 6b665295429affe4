"""Under which names this service may be called."""

import re
from collections.abc import Collection
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.problems import malformed

# Nothing but a name and a port: `a.example.com:80@evil.example` would lead elsewhere.
_HOST: Final = re.compile(r"([a-z0-9_][a-z0-9_.-]*|\[[0-9a-f:.]+\])(:[0-9]*)?")


class AllowedHosts:
    """Refuses a request for any other host, whose name a page or a proxy might believe.

    `*.example.com` stands for every name below `example.com`.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app = app
        self._names = frozenset(host for host in hosts if not host.startswith("*."))
        self._endings = tuple(host[1:] for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._allows(scope):
            await self.app(scope, receive, send)
        else:
            await malformed(scope)(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        said = [value for name, value in scope["headers"] if name == b"host"]
        if len(said) != 1:
            return False
        host = _HOST.fullmatch(said[0].decode("latin-1").lower())
        return host is not None and (host[1] in self._names or host[1].endswith(self._endings))
