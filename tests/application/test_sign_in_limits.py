"""Rate limits of log-ins and sign-ups: which attempts they reject, and which never."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.counters import MemoryCounters
from application.fallback_counters import FallbackCounters
from application.limits import Limit, Limits
from application.ports.counters import Counters, WindowCount, WindowKey
from application.sign_in_limits import OVERALL, SignInLimits
from domain.errors import TooManyRequests, Unauthenticated, Unavailable
from domain.refusals import Reason
from tests.application.fakes import FlakyCounters
from tests.conftest import AdvanceTime

ANN, BOB = "ann@example.com", "bob@example.com"
HOME, CAFE, OFFICE = "192.0.2.1", "192.0.2.2", "192.0.2.3"
THREE: Final = (Limit(3, 300),)
SUCCESS: Final = None
WRONG: Final = Unauthenticated(Reason.BAD_SIGNATURE)
#: An error that the client did not cause.
OUTAGE: Final = Unavailable()

Outcome = Exception | None


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
        for outcome in (SUCCESS, WRONG, OUTAGE):
            assert await rejection(limits, email, outcome=outcome) == 300
    await log_in(limits, ANN, CAFE, SUCCESS)
    await limits.count_sign_up(HOME)


async def test_rejected_attempt_does_not_run() -> None:
    """No password is verified."""
    limits = sign_ins()
    await fail(limits, times=3)
    with pytest.raises(TooManyRequests):
        async with limits.attempt(ANN, HOME):
            raise AssertionError("the attempt was not rejected")


async def test_successful_log_ins_do_not_count() -> None:
    """Nor does a success reset the limit: an attacker with an account could guess forever."""
    limits = sign_ins()
    for _ in range(10):
        await log_in(limits, ANN, HOME, SUCCESS)
    await fail(limits, times=2)
    await log_in(limits, ANN, HOME, SUCCESS)
    await fail(limits)
    await rejection(limits)


@pytest.mark.parametrize("error", [OUTAGE, TooManyRequests(), ValueError()])
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
            await log_in(limits, ANN, HOME, Wrong(Reason.INVALID_CREDENTIALS))
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
    limits, may_fail, tried = sign_ins(), asyncio.Event(), 0

    async def guess() -> None:
        nonlocal tried
        async with limits.attempt(ANN, HOME):
            tried += 1
            await may_fail.wait()
            raise WRONG

    guesses = [asyncio.create_task(guess()) for _ in range(100)]
    await asyncio.sleep(0)
    may_fail.set()
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert tried == 3
    assert Counter(map(type, results)) == {Unauthenticated: 3, TooManyRequests: 97}


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

    async def never_end() -> None:
        async with limits.attempt(ANN, HOME):
            await asyncio.Event().wait()

    for _ in range(3):
        attempt = asyncio.create_task(never_end())
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
    counters = FlakyCounters(is_down=True)
    limits = sign_ins((), (), counters)
    await fail(limits, times=50)
    await log_in(limits, ANN, HOME, SUCCESS)
    for _ in range(50):
        await limits.count_sign_up(HOME)
    assert counters.calls == 0


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
    keys_used: list[WindowKey] = []

    class RecordingCounters(MemoryCounters):
        async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
            keys_used.extend(keys)
            return await super().add(keys)

    await fail(sign_ins(counters=RecordingCounters()))
    assert len({name for name, _ in keys_used}) == len(keys_used) == 4
    assert "ann" not in str(keys_used)


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
            # WRONG is there twice: otherwise most examples never reach a limit.
            st.sampled_from((SUCCESS, WRONG, WRONG, OUTAGE)),
        ),
        st.tuples(
            st.just("begin"),
            st.sampled_from((ANN, BOB)),
            st.sampled_from(ADDRESSES),
            st.sampled_from((SUCCESS, WRONG, WRONG, OUTAGE)),
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
        running = [n for n, (_, (_, a), _) in enumerate(begun) if a == address]
        if len(running) == THREE[0].amount:
            # It would wait for one of these.
            await end(running[0])
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

    async def end(index: int) -> None:
        attempt, subjects, outcome = begun.pop(index)
        exc_info = (None, None, None) if outcome is None else (type(outcome), outcome, None)
        try:
            assert not await attempt.__aexit__(*exc_info)
        except Exception as error:
            assert error is outcome
        if not isinstance(outcome, Unauthenticated):
            rules.failures.remove(subjects)

    with frozen_loop() as (loop, advance_time):

        async def run_steps() -> None:
            for action, email, address, outcome in steps:
                if action in ("try", "begin"):
                    before = len(begun)
                    await begin(email, address, outcome)
                    if action == "try" and len(begun) > before:
                        await end(-1)
                elif action == "end" and begun:
                    await end(0)
                elif action == "wait":
                    # Each subject has another window: let all end while no attempt runs.
                    while begun:
                        await end(0)
                    advance_time(300)
                    rules.failures.clear()
            while begun:
                await end(0)

        loop.run_until_complete(run_steps())


# Unavailable shared counters


async def test_unavailable_shared_counters_fall_back_to_local_ones() -> None:
    shared, local = FlakyCounters(), FlakyCounters()
    limits = sign_ins(counters=FallbackCounters(shared, local))
    await fail(limits, times=2)
    assert local.calls == 0
    shared.is_down = True
    await log_in(limits, ANN, HOME, SUCCESS)
    await fail(limits, times=3)
    await rejection(limits)
    for _ in range(3):
        await limits.count_sign_up(HOME)
    await sign_up_rejection(limits, HOME)
    shared.is_down = False
    calls = local.calls
    await fail(limits)
    await rejection(limits)
    assert local.calls == calls


async def test_outage_during_an_attempt_is_no_error() -> None:
    """The shared count stays, and the local one is zero."""
    shared = FlakyCounters()
    limits = sign_ins(counters=FallbackCounters(shared, MemoryCounters()))
    async with limits.attempt(ANN, HOME):
        shared.is_down = True
    await fail(limits, times=3)
    await rejection(limits)
