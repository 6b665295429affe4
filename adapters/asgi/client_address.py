"""Whose request it is, as the network knows it."""

from collections.abc import Sequence
from ipaddress import ip_address

import structlog

_log = structlog.get_logger("taskport.http")


class ForwardedFor:
    """Finds the client's address, where `proxies` of ours stand before us.

    Each proxy appends to `X-Forwarded-For` the address that it was called from. So the last
    `proxies` entries are true, and the first of those is the client; what stands before them
    anybody can write.
    """

    def __init__(self, proxies: int = 0) -> None:
        self._proxies = proxies
        self._has_warned = False

    def __call__(self, forwarded: Sequence[bytes], caller: str | None) -> str | None:
        """The client, where `X-Forwarded-For` said this when `caller` called."""
        if self._proxies:
            return _nth_from_the_end(b",".join(forwarded), self._proxies) or caller
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "proxy_not_trusted",
                hint="X-Forwarded-For was seen, but TRUSTED_PROXIES is 0: if a proxy sent it, all"
                " who come through it share one address, and one limit",
            )
        return caller


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
        # A zone (`fe80::1%eth0`) may be any text, and is nobody's but the proxy's.
        return str(ip_address(entry.partition("%")[0]))
    except ValueError:
        return None
