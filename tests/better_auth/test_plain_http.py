"""Where a host is, and that keys never come over plain http from a public address."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from adapters.better_auth.jwks import RemoteKeys
from adapters.better_auth.plain_http import Network, network_of
from domain.errors import Unavailable
from tests.better_auth.provider import Provider
from tests.better_auth.signer import signer
from tests.conftest import LogEvents

Resolve = Callable[..., None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Makes every host have these addresses."""

    def with_addresses(*addresses: str) -> None:
        async def getaddrinfo(*_args: Any, **_options: Any) -> list[Any]:
            if not addresses:
                raise socket.gaierror
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 80)) for text in addresses]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)

    return with_addresses


@pytest.mark.parametrize(
    ("addresses", "network"),
    [
        (["127.0.0.1"], Network.LOOPBACK),
        (["127.255.0.9", "::1"], Network.LOOPBACK),
        (["::ffff:127.0.0.1"], Network.LOOPBACK),
        (["10.1.2.3"], Network.PRIVATE),
        (["172.18.0.2"], Network.PRIVATE),
        (["192.168.1.1", "127.0.0.1"], Network.PRIVATE),
        (["fd00::1"], Network.PRIVATE),
        (["fe80::1%eth0"], Network.PRIVATE),
        (["100.64.0.1"], Network.PRIVATE),
        (["::ffff:10.0.0.1"], Network.PRIVATE),
        (["8.8.8.8"], Network.PUBLIC),
        (["10.0.0.1", "8.8.8.8"], Network.PUBLIC),
        (["127.0.0.1", "2606:4700::1"], Network.PUBLIC),
        (["::ffff:8.8.8.8"], Network.PUBLIC),
        (["172.32.0.1"], Network.PUBLIC),
        (["224.0.0.1"], Network.PUBLIC),
        (["ff0e::1"], Network.PUBLIC),
    ],
)
async def test_where_a_host_is(resolve: Resolve, addresses: list[str], network: Network) -> None:
    resolve(*addresses)
    assert await network_of("better-auth") is network


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("localhost", Network.LOOPBACK),
        ("::1", Network.LOOPBACK),
        ("10.0.0.7", Network.PRIVATE),
        ("203.0.114.1", Network.PUBLIC),
    ],
)
async def test_addresses_are_hosts(host: str, network: Network) -> None:
    assert await network_of(host) is network


async def test_keys_are_not_fetched_from_a_public_address(
    remote: RemoteKeys, provider: Provider, resolve: Resolve, log_events: LogEvents
) -> None:
    provider.publish(signer("a"))
    resolve("127.0.0.1", "8.8.8.8")
    with pytest.raises(Unavailable):
        await remote.find("a")
    assert provider.hits == 0
    assert [event["reason"] for event in log_events] == ["plain http to a public address"]


async def test_host_without_an_address_is_unavailable(remote: RemoteKeys, resolve: Resolve) -> None:
    resolve()
    with pytest.raises(Unavailable):
        await remote.find("a")


async def test_without_a_url_there_are_no_keys() -> None:
    remote = RemoteKeys(None)
    assert await remote.find("a") is None
    await remote.close()
