"""Under which names this service may be called."""

from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.problems import malformed


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
        host = said[0].decode("latin-1").lower()
        # The port, which the brackets of an IPv6 address keep apart from it.
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        return name in self._names or name.endswith(self._endings)
