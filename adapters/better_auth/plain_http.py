"""Plain http, which an attacker on the way can read and change: for private networks only."""

import asyncio
import socket
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address


class Network(Enum):
    """Where all addresses of a host are."""

    LOOPBACK = "loopback"
    PRIVATE = "private"
    PUBLIC = "public"


async def network_of(host: str) -> Network:
    """Where a host is; `PUBLIC` if any of its addresses is. Raises `OSError` without an address."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = [_address(str(entry[4][0])) for entry in found]
    if all(address.is_loopback for address in addresses):
        return Network.LOOPBACK
    # Shared address space (RFC 6598) is neither global nor private: overlay networks use it.
    is_private = all(not address.is_global and not address.is_multicast for address in addresses)
    return Network.PRIVATE if is_private else Network.PUBLIC


def _address(text: str) -> Address:
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
