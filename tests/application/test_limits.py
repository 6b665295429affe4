"""Rate limits of requests: how users and networks are counted."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.counters import MemoryCounters
from application.limits import Limit, LimitStatus, RequestLimit, network_of
from application.ports.counters import WindowCount
from tests.application.fakes import FlakyCounters
from tests.conftest import AdvanceTime

HOME: Final = "192.0.2.1"


async def test_users_and_addresses_are_counted_separately(
    advance_time: AdvanceTime,
) -> None:
    limit = RequestLimit(MemoryCounters(), (Limit(2, 60),))
    first = await limit.count_user("ann")
    advance_time(20)
    second, third = await limit.count_user("ann"), await limit.count_user("ann")
    assert first and second and third
    assert [status.counts for status in (first, second, third)] == [[(1, 60)], [(2, 40)], [(3, 40)]]
    assert [status.is_over for status in (first, second, third)] == [False, False, True]
    assert third.retry_after == 40
    for other in (
        await limit.count_user("bob"),
        await limit.count_address("ann"),
        await limit.count_address(HOME),
    ):
        assert other and other.counts[0].times == 1


async def test_user_id_that_looks_like_an_address_is_counted_separately() -> None:
    limit = RequestLimit(MemoryCounters(), (Limit(2, 60),))
    for user_id in (HOME, f"address:{HOME}", "ann", "ann:60"):
        limit_status = await limit.count_user(user_id)
        assert limit_status and limit_status.counts[0].times == 1
    limit_status = await limit.count_address(HOME)
    assert limit_status and limit_status.counts[0].times == 1


async def test_limit_status() -> None:
    """`is_just_over` is true only for the first count over a limit."""
    both = (Limit(2, 10), Limit(4, 100))
    table = [
        ((1, 1), False, False, 1),
        ((2, 2), False, False, 1),
        ((3, 3), True, True, 5),
        ((4, 4), True, False, 5),
        ((1, 5), True, True, 51),
        ((9, 6), True, False, 51),
    ]
    for times, is_over, is_just_over, retry_after in table:
        counted = [WindowCount(times[0], 4.2), WindowCount(times[1], 50.001)]
        limit_status = LimitStatus(both, counted)
        assert (limit_status.is_over, limit_status.is_just_over) == (is_over, is_just_over), times
        assert limit_status.retry_after == retry_after
        assert limit_status.has_earlier == (times != (1, 1))


@pytest.mark.parametrize("left", [0.0, -1.0, 0.001])
async def test_retry_after_is_at_least_one_second(left: float) -> None:
    assert LimitStatus((Limit(1, 60),), [WindowCount(2, left)]).retry_after == 1


async def test_unavailable_counters_limit_no_requests() -> None:
    counters = FlakyCounters(is_down=True)
    limit = RequestLimit(counters, (Limit(1, 60),))
    for _ in range(5):
        assert await limit.count_user("ann") is None
        assert await limit.count_address(HOME) is None
    counters.is_down = False
    assert await limit.count_user("ann") is not None


async def test_no_limit_counts_no_requests() -> None:
    counters = FlakyCounters()
    limit = RequestLimit(counters, ())
    for _ in range(5):
        for limit_status in (await limit.count_user("ann"), await limit.count_address(HOME)):
            assert limit_status == LimitStatus((), ())
            assert not limit_status.is_over
    assert counters.calls == 0


# Networks


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:FFFF::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:0201", "192.0.2.1"),
        (None, "unknown"),
        ("", "unknown"),
        ("192.0.2.1:80", "unknown"),
        ("192.0.2.01", "unknown"),
        ("testclient", "unknown"),
        ("1" * 10_000, "unknown"),
    ],
)
def test_network_of_an_address(address: str | None, network: str) -> None:
    assert network_of(address) == network


@settings(max_examples=30)
@given(st.ip_addresses())
def test_address_is_in_its_network(address: IPv4Address | IPv6Address) -> None:
    network = ip_network(network_of(str(address)))
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        assert isinstance(network, IPv6Network)
        assert network.prefixlen == 64
        assert address in network
    elif isinstance(address, IPv4Address):
        assert network.network_address == address
        assert network_of(f"::ffff:{address}") == str(address) == str(ip_address(str(address)))
