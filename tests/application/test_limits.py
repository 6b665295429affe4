"""Rate limits: which attempts and requests they reject, and which never."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.counters import MemoryCounters
from application.fallback_counters import FallbackCounters
from application.limits import Limit, Limits, LimitStatus, RequestLimit, network_of
from application.ports.counters import Counters, WindowCount, WindowKey
from application.sign_in_limits import OVERALL, SignInLimits
from domain.errors import TooManyRequests, Unauthenticated, Unavailable

ANN, BOB = "ann@example.com", "bob@example.com"
HOME, CAFE, OFFICE = "192.0.2.1", "192.0.2.2", "192.0.2.3"
THREE: Final = (Limit(3, 300),)
SUCCESS: Final = None
WRONG: Final = Unauthenticated()
AT_FAULT: Final = Unavailable()
"""An error that the client did not cause."""

AdvanceTime = Callable[[float], None]
Outcome = Exception | None


@dataclass
class Flaky:
    """Fake `Counters` that a test can make unavailable."""

    counters: Counters = field(default_factory=MemoryCounters)
    is_down: bool = False
    asked: int = 0

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        self._answer()
        return await self.counters.add(keys)

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        self._answer()
        await self.counters.undo(keys)

    def _answer(self) -> None:
        self.asked += 1
        if self.is_down:
            raise Unavailable


def sign_ins(
    limits: Limits = THREE, overall: Limits = OVERALL, counters: Counters | None = None
) -> SignInLimits:
    return SignInLimits(counters or MemoryCounters(), limits, overall)


async def log_in(limits: SignInLimits, email: str, address: str | None, outcome: Outcome) -> None:
    """One attempt with this outcome. Raises the outcome or `TooManyRequests`."""
    async with limits.attempt(email, address):
        if outcome is not None:
            raise outcome


async def fail(
    limits: SignInLimits, email: str = ANN, address: str | None = HOME, times: int = 1
) -> None:
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            await log_in(limits, email, address, WRONG)


async def rejection(
    limits: SignInLimits, email: str = ANN, address: str | None = HOME, outcome: Outcome = SUCCESS
) -> int:
    """`retry_after` of an attempt that must be rejected."""
    with pytest.raises(TooManyRequests) as caught:
        await log_in(limits, email, address, outcome)
    return caught.value.retry_after


async def sign_up_rejection(limits: SignInLimits, address: str | None) -> int:
    with pytest.raises(TooManyRequests) as caught:
        await limits.count_sign_up(address)
    return caught.value.retry_after


# Signing in


async def test_address_over_its_limit_is_rejected() -> None:
    """On any account. Other addresses and sign-ups are counted separately."""
    limits = sign_ins()
    await fail(limits, ANN)
    await fail(limits, BOB, times=2)
    for email in (ANN, BOB, "eve@example.com"):
        for outcome in (SUCCESS, WRONG, AT_FAULT):
            assert await rejection(limits, email, outcome=outcome) == 300
    await log_in(limits, ANN, CAFE, SUCCESS)
    await limits.count_sign_up(HOME)


async def test_rejected_attempt_does_not_run() -> None:
    """No password is verified."""
    limits = sign_ins()
    await fail(limits, times=3)
    with pytest.raises(TooManyRequests):
        async with limits.attempt(ANN, HOME):
            raise AssertionError("it was let in")


async def test_successful_log_ins_do_not_count() -> None:
    """Nor does a success reset the limit: an attacker with an account could guess forever."""
    limits = sign_ins()
    for _ in range(10):
        await log_in(limits, ANN, HOME, SUCCESS)
    await fail(limits, times=2)
    await log_in(limits, ANN, HOME, SUCCESS)
    await fail(limits)
    await rejection(limits)


@pytest.mark.parametrize("error", [AT_FAULT, TooManyRequests(), ValueError()])
async def test_other_errors_do_not_count(error: Exception) -> None:
    limits = sign_ins()
    for _ in range(10):
        with pytest.raises(type(error)):
            await log_in(limits, ANN, HOME, error)
    await fail(limits, times=3)
    await rejection(limits)


async def test_subclass_of_unauthenticated_counts() -> None:
    class Wrong(Unauthenticated):
        pass

    limits = sign_ins()
    for _ in range(3):
        with pytest.raises(Wrong):
            await log_in(limits, ANN, HOME, Wrong())
    await rejection(limits)


async def test_rejected_attempts_do_not_count(advance_time: AdvanceTime) -> None:
    """They extend no window and use up nothing of the overall limit."""
    limits = sign_ins(overall=(Limit(4, 300),))
    await fail(limits, times=3)
    advance_time(299)
    for _ in range(50):
        assert await rejection(limits) == 1
    await fail(limits, BOB, CAFE)
    advance_time(1)
    await fail(limits, times=3)
    await rejection(limits)


async def test_window_begins_with_the_first_failure(advance_time: AdvanceTime) -> None:
    limits = sign_ins()
    await fail(limits)
    advance_time(200)
    await fail(limits, times=2)
    assert await rejection(limits) == 100
    advance_time(99.5)
    assert await rejection(limits) == 1
    advance_time(0.5)
    await fail(limits, times=3)
    assert await rejection(limits) == 300


async def test_attacker_cannot_lock_the_owner_out() -> None:
    """Over the account's limit, addresses that have failed on it are rejected. Another address gets
    one failed attempt, and any number with the right password."""
    limits = sign_ins()
    await fail(limits, ANN, HOME, times=2)
    await fail(limits, ANN, CAFE)
    for address in (HOME, CAFE):
        assert await rejection(limits, ANN, address) == 300
    for _ in range(10):
        await log_in(limits, ANN, OFFICE, SUCCESS)
    await fail(limits, ANN, OFFICE)
    await rejection(limits, ANN, OFFICE)
    # A failure on another account is not one on this account.
    await fail(limits, BOB, "198.51.100.9")
    await log_in(limits, ANN, "198.51.100.9", SUCCESS)
    # Other accounts are not affected.
    await log_in(limits, BOB, HOME, SUCCESS)
    await log_in(limits, BOB, OFFICE, SUCCESS)


async def test_account_over_its_limit_allows_one_attempt_per_address() -> None:
    limits = sign_ins()
    addresses = [f"198.51.100.{n}" for n in range(100)]
    for address in addresses:
        await fail(limits, ANN, address)
    for address in addresses:
        await rejection(limits, ANN, address)
    await log_in(limits, ANN, HOME, SUCCESS)


async def test_overall_limit_rejects_addresses_that_have_failed() -> None:
    """Addresses that have not failed can still log in."""
    limits = sign_ins(overall=(Limit(5, 60),))
    for n in range(5):
        await fail(limits, f"user{n}@example.com", f"198.51.100.{n}")
    for n in range(5):
        assert await rejection(limits, BOB, f"198.51.100.{n}") == 60
    await log_in(limits, ANN, HOME, SUCCESS)
    await fail(limits, ANN, HOME)
    await rejection(limits, BOB, HOME)


def test_overall_limit_is_a_thousand_in_five_minutes() -> None:
    assert sign_ins().overall == (Limit(1000, 300),)


async def test_concurrent_attempts_do_not_exceed_the_limit() -> None:
    """Each counts from its start."""
    limits, open_, tried = sign_ins(), asyncio.Event(), 0

    async def guess() -> None:
        nonlocal tried
        async with limits.attempt(ANN, HOME):
            tried += 1
            await open_.wait()
            raise WRONG

    guesses = [asyncio.create_task(guess()) for _ in range(100)]
    await asyncio.sleep(0)
    open_.set()
    ends = await asyncio.gather(*guesses, return_exceptions=True)
    assert tried == 3
    assert Counter(type(end) for end in ends) == {Unauthenticated: 3, TooManyRequests: 97}


async def test_concurrent_successful_log_ins_all_succeed() -> None:
    """Such as an office behind one address: they wait for each other."""
    limits = sign_ins()

    async def log_in(number: int) -> None:
        async with limits.attempt(f"user-{number}@example.com", HOME):
            await asyncio.sleep(0.001)

    await asyncio.gather(*(log_in(number) for number in range(30)))


async def test_concurrent_attempts_from_many_addresses_do_not_exceed_the_limit() -> None:
    """Over the account's limit, each address has one running attempt."""
    limits, tried = sign_ins(), Counter[str]()
    await fail(limits, ANN, HOME, times=3)

    async def guess(address: str) -> None:
        async with limits.attempt(ANN, address):
            tried[address] += 1
            await asyncio.sleep(0)
            raise WRONG

    addresses = [f"198.51.100.{n}" for n in range(20)]
    guesses = [guess(address) for _ in range(5) for address in addresses]
    await asyncio.gather(*guesses, return_exceptions=True)
    assert tried == dict.fromkeys(addresses, 1)


async def test_canceled_attempt_stays_counted() -> None:
    """Otherwise a client could disconnect and guess without a limit."""
    limits = sign_ins()

    async def hang() -> None:
        async with limits.attempt(ANN, HOME):
            await asyncio.Event().wait()

    for _ in range(3):
        attempt = asyncio.create_task(hang())
        await asyncio.sleep(0)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    await rejection(limits)


async def test_all_limits_apply(advance_time: AdvanceTime) -> None:
    """The longest exceeded one determines `retry_after`."""
    limits = sign_ins((Limit(2, 10), Limit(3, 100)))
    await fail(limits, times=2)
    assert await rejection(limits) == 10
    advance_time(10)
    await fail(limits)
    assert await rejection(limits) == 90
    advance_time(90)
    await fail(limits, times=2)
    assert await rejection(limits) == 10


async def test_no_limits_count_nothing() -> None:
    counters = Flaky(is_down=True)
    limits = sign_ins((), (), counters)
    await fail(limits, times=50)
    await log_in(limits, ANN, HOME, SUCCESS)
    for _ in range(50):
        await limits.count_sign_up(HOME)
    assert counters.asked == 0


async def test_ipv6_addresses_of_one_network_share_a_limit() -> None:
    """A /64 has more addresses than there are windows."""
    limits = sign_ins()
    for n in range(3):
        await fail(limits, ANN, f"2001:db8:0:1::{n:x}")
    await rejection(limits, BOB, "2001:db8:0:1:ffff::1")
    await log_in(limits, BOB, "2001:db8:0:2::1", SUCCESS)


async def test_unknown_addresses_share_a_limit() -> None:
    limits = sign_ins()
    for address in (None, "", "a socket"):
        await fail(limits, ANN, address)
    await rejection(limits, BOB, None)
    await log_in(limits, BOB, HOME, SUCCESS)


async def test_counter_keys_contain_no_email_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counters may be in a shared Redis."""
    seen: list[WindowKey] = []

    class Noting(MemoryCounters):
        async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
            seen.extend(keys)
            return await super().add(keys)

    await fail(sign_ins(counters=Noting()))
    assert len({name for name, _ in seen}) == len(seen) == 4
    assert "ann" not in str(seen)


# Signing up


async def test_sign_ups_are_limited_per_address(advance_time: AdvanceTime) -> None:
    """Each counts, unless it is rejected."""
    limits = sign_ins()
    for _ in range(3):
        await limits.count_sign_up(HOME)
    advance_time(299)
    for _ in range(10):
        assert await sign_up_rejection(limits, HOME) == 1
    await limits.count_sign_up(CAFE)
    await log_in(limits, ANN, HOME, SUCCESS)
    advance_time(1)
    for _ in range(3):
        await limits.count_sign_up(HOME)
    assert await sign_up_rejection(limits, HOME) == 300


async def test_sign_ups_are_limited_overall() -> None:
    """Separately from log-ins. A new address always gets one attempt."""
    limits = sign_ins(overall=(Limit(5, 60),))
    for n in range(5):
        await limits.count_sign_up(f"198.51.100.{n}")
    assert await sign_up_rejection(limits, "198.51.100.0") == 60
    await limits.count_sign_up(HOME)
    assert await sign_up_rejection(limits, HOME) == 60
    await fail(limits, ANN, HOME, times=3)


# Any sequence

ADDRESSES: Final = (HOME, CAFE, OFFICE)
MANY: Final = (Limit(6, 300),)
Step = tuple[str, str, str, Outcome]
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(
            st.just("try"),
            st.sampled_from((ANN, BOB)),
            st.sampled_from(ADDRESSES),
            # Twice, or most examples never reach a limit.
            st.sampled_from((SUCCESS, WRONG, WRONG, AT_FAULT)),
        ),
        st.tuples(
            st.just("begin"),
            st.sampled_from((ANN, BOB)),
            st.sampled_from(ADDRESSES),
            st.sampled_from((SUCCESS, WRONG, WRONG, AT_FAULT)),
        ),
        st.just(("end", "", "", None)),
        st.just(("wait", "", "", None)),
    ),
    max_size=40,
)


@contextmanager
def frozen_loop() -> Iterator[tuple[asyncio.AbstractEventLoop, AdvanceTime]]:
    """An event loop whose time only the returned function advances."""
    loop, now = asyncio.new_event_loop(), 0.0

    def advance_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    loop.time = lambda: now  # type: ignore[method-assign]
    try:
        yield loop, advance_time
    finally:
        loop.close()


class Rules:
    """A model of the limits: the failed and the running attempts of this window."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, str]] = []

    def admits(self, email: str, address: str) -> bool:
        by_address = [a for _, a in self.failures].count(address)
        by_account = [e for e, _ in self.failures].count(email)
        if by_address >= THREE[0].amount:
            return False
        if by_account >= THREE[0].amount and (email, address) in self.failures:
            return False
        return len(self.failures) < MANY[0].amount or by_address == 0


@settings(max_examples=50)
@given(STEPS)
def test_any_sequence_of_attempts_obeys_the_rules(steps: list[Step]) -> None:
    limits, rules = sign_ins(overall=MANY), Rules()
    begun: list[tuple[AbstractAsyncContextManager[None], tuple[str, str], Outcome]] = []

    async def begin(email: str, address: str, outcome: Outcome) -> None:
        under_way = [n for n, (_, (_, a), _) in enumerate(begun) if a == address]
        if len(under_way) == THREE[0].amount:
            # It would wait for one of these.
            await end(under_way[0])
        attempt = limits.attempt(email, address)
        is_admitted = rules.admits(email, address)
        try:
            await attempt.__aenter__()
        except TooManyRequests as error:
            assert not is_admitted
            assert error.retry_after >= 1
            return
        assert is_admitted
        rules.failures.append((email, address))
        begun.append((attempt, (email, address), outcome))

    async def end(which: int) -> None:
        attempt, who, outcome = begun.pop(which)
        given = (None, None, None) if outcome is None else (type(outcome), outcome, None)
        try:
            assert not await attempt.__aexit__(*given)
        except Exception as error:
            assert error is outcome
        if not isinstance(outcome, Unauthenticated):
            rules.failures.remove(who)

    with frozen_loop() as (loop, advance_time):

        async def play() -> None:
            for what, email, address, outcome in steps:
                if what in ("try", "begin"):
                    before = len(begun)
                    await begin(email, address, outcome)
                    if what == "try" and len(begun) > before:
                        await end(-1)
                elif what == "end" and begun:
                    await end(0)
                elif what == "wait":
                    # Each subject has a window of its own: all end, and no attempt runs.
                    while begun:
                        await end(0)
                    advance_time(300)
                    rules.failures.clear()
            while begun:
                await end(0)

        loop.run_until_complete(play())


# Requests


async def test_users_and_addresses_are_counted_separately(
    advance_time: AdvanceTime,
) -> None:
    limit = RequestLimit(MemoryCounters(), (Limit(2, 60),))
    first = await limit.count_user("ann")
    advance_time(20)
    second, third = await limit.count_user("ann"), await limit.count_user("ann")
    assert first and second and third
    assert [a.counts for a in (first, second, third)] == [[(1, 60)], [(2, 40)], [(3, 40)]]
    assert [a.is_over for a in (first, second, third)] == [False, False, True]
    assert third.retry_after == 40
    for other in (
        await limit.count_user("bob"),
        await limit.count_address("ann"),
        await limit.count_address(HOME),
    ):
        assert other and other.counts[0].times == 1


async def test_user_id_that_looks_like_an_address_is_counted_separately() -> None:
    """Whatever the id is."""
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
    counters = Flaky(is_down=True)
    limit = RequestLimit(counters, (Limit(1, 60),))
    for _ in range(5):
        assert await limit.count_user("ann") is None
        assert await limit.count_address(HOME) is None
    counters.is_down = False
    assert await limit.count_user("ann") is not None


async def test_no_limit_counts_no_requests() -> None:
    counters = Flaky()
    limit = RequestLimit(counters, ())
    for _ in range(5):
        for limit_status in (await limit.count_user("ann"), await limit.count_address(HOME)):
            assert limit_status == LimitStatus((), ())
            assert not limit_status.is_over
    assert counters.asked == 0


# Unavailable shared counters


async def test_unavailable_shared_counters_fall_back_to_local_ones() -> None:
    shared, own = Flaky(), Flaky()
    limits = sign_ins(counters=FallbackCounters(shared, own))
    await fail(limits, times=2)
    assert own.asked == 0
    shared.is_down = True
    await log_in(limits, ANN, HOME, SUCCESS)
    await fail(limits, times=3)
    await rejection(limits)
    for _ in range(3):
        await limits.count_sign_up(HOME)
    await sign_up_rejection(limits, HOME)
    shared.is_down = False
    asked = own.asked
    await fail(limits)
    await rejection(limits)
    assert own.asked == asked


async def test_outage_during_an_attempt_is_no_error() -> None:
    """The shared count stays, and the local one is zero."""
    shared = Flaky()
    limits = sign_ins(counters=FallbackCounters(shared, MemoryCounters()))
    async with limits.attempt(ANN, HOME):
        shared.is_down = True
    await fail(limits, times=3)
    await rejection(limits)


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
