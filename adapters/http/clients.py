"""Whose request it is, as the network knows it."""

from ipaddress import ip_address
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

_HEADER: Final = b"x-forwarded-for"

_log = structlog.get_logger("taskport.http")


class ClientAddress:
    """Puts the client's address into the scope, where proxies of ours stand before it.

    Each proxy appends the address that it was called from. So the last `proxies` entries are
    true, and the first of those is the client; what stands before them anybody can write.
    """

    def __init__(self, app: ASGIApp, proxies: int) -> None:
        self.app = app
        self._proxies = proxies
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._proxies:
                said = [value for name, value in scope["headers"] if name == _HEADER]
                address = _nth_from_the_end(b",".join(said), self._proxies)
                if address is not None:
                    scope["client"] = (address, 0)
            elif not self._has_warned:
                self._has_warned = _warned(scope)
        await self.app(scope, receive, send)


def _warned(scope: Scope) -> bool:
    for name, _ in scope["headers"]:
        if name == _HEADER:
            _log.warning(
                "proxy_not_trusted",
                hint="X-Forwarded-For was seen, but TRUSTED_PROXIES is 0: if a proxy sent it, all"
                " who come through it share one address, and one limit",
            )
            return True
    return False


def _nth_from_the_end(said: bytes, n: int) -> str | None:
    """None where there are fewer entries, or where that one is no address."""
    entries = said.rsplit(b",", n)[-n:]
    if said.count(b",") + 1 < n:
        return None
    entry = entries[0].strip().decode("latin-1")
    # Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        return str(ip_address(entry))
    except ValueError:
        return None
