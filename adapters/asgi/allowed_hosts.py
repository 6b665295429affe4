"""The host names under which clients may call this service."""

import re
from collections.abc import Collection
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.asgi.problems import malformed
from adapters.asgi.request_record import PROBE_PATHS, route_path

# A name and a port only: `a.example.com:80@evil.example` would lead elsewhere.
_HOST: Final = re.compile(r"([a-z0-9_][a-z0-9_.-]*|\[[0-9a-f:.]+\])(:[0-9]*)?")

_log = structlog.get_logger("taskport.http")


class AllowedHosts:
    """Rejects requests for any other host.

    `*.example.com` allows every name below `example.com`. Probe paths are exempt, because
    monitoring calls them by IP address.
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
            #: Once per process: the host of a request is not in `ALLOWED_HOSTS`.
            _log.warning(
                "host_not_allowed", hint="ALLOWED_HOSTS does not contain the host of a request"
            )
        await malformed(scope)(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1:
            return False
        host = _HOST.fullmatch(hosts[0].decode("latin-1").lower())
        return host is not None and (host[1] in self._names or host[1].endswith(self._endings))
