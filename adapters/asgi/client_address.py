"""The client's IP address, behind proxies too."""

from collections.abc import Sequence
from ipaddress import ip_address

import structlog

_log = structlog.get_logger("taskport.http")


class ForwardedFor:
    """Reads the client's address from `X-Forwarded-For`, behind a known number of proxies.

    Each proxy appends the address of its own client. So only the last `proxies` entries can be
    trusted, and the first of those is the client. A client can forge all entries before them.
    """

    def __init__(self, proxies: int = 0) -> None:
        self._proxies = proxies
        self._has_warned = False

    def __call__(self, forwarded: Sequence[bytes], peer: str | None) -> str | None:
        """The client's address, from the header values or else the address of the connection."""
        if self._proxies:
            return _nth_from_the_end(b",".join(forwarded), self._proxies) or peer
        if not self._has_warned:
            self._has_warned = True
            #: Once per process: a request has `X-Forwarded-For`, but `TRUSTED_PROXIES` is 0.
            _log.warning(
                "proxy_not_trusted",
                hint="a request has X-Forwarded-For, but TRUSTED_PROXIES is 0: if a proxy sent it,"
                " all clients of that proxy share one address and one rate limit",
            )
        return peer


def _nth_from_the_end(value: bytes, n: int) -> str | None:
    """None if there are fewer entries, or if that entry is not an address."""
    entries = value.rsplit(b",", n)[-n:]
    if value.count(b",") + 1 < n:
        return None
    entry = entries[0].strip().decode("latin-1")
    # Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        # A zone (`fe80::1%eth0`) is only meaningful on the proxy, and may be any text.
        return str(ip_address(entry.partition("%")[0]))
    except ValueError:
        return None
