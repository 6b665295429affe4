"""Sessions: when they expire and when they are prolonged."""

from copy import copy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.sessions import SESSION_LIFETIME, SESSION_UPDATE_AGE, Session, SessionPolicy

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta.resolution


def a_session(*, lifetime: timedelta = SESSION_LIFETIME) -> Session:
    session = Session.create(
        id="s", user_id="ann", token="secret", ip_address="::1", user_agent="curl", now=NOW
    )
    session.expires_at = NOW + lifetime
    return session


def test_new_session_expires_after_a_week() -> None:
    """Better Auth's default."""
    session = Session.create(
        id="s", user_id="ann", token="secret", ip_address=None, user_agent=None, now=NOW
    )
    assert session == Session("s", "ann", "secret", NOW, NOW, NOW + 7 * DAY, None, None)
    assert not session.is_temporary


def test_repr_of_a_session_hides_the_token() -> None:
    assert "secret" not in repr(a_session())


def test_session_is_valid_at_the_moment_of_its_expiration() -> None:
    """For Better Auth a session has expired if `expiresAt` is less than now."""
    session = a_session()
    assert session.is_alive(session.expires_at - TICK)
    assert session.is_alive(session.expires_at)
    assert not session.is_alive(session.expires_at + TICK)


def test_session_is_prolonged_after_the_update_age() -> None:
    session = a_session()
    due = NOW + SESSION_UPDATE_AGE
    unchanged = copy(session)
    assert not session.prolong(NOW)
    assert not session.prolong(due - TICK)
    assert session == unchanged
    assert session.prolong(due)
    assert (session.updated_at, session.expires_at) == (due, due + SESSION_LIFETIME)
    assert not session.prolong(due + DAY - TICK)
    assert session.prolong(due + DAY)


@pytest.mark.parametrize("update_age", [0 * DAY, DAY])
def test_session_with_a_fixed_end_is_never_prolonged(update_age: timedelta) -> None:
    session, unchanged = a_session(), a_session()
    policy = SessionPolicy(update_age=update_age, is_fixed=True)
    assert not session.prolong(session.expires_at, policy)
    assert session == unchanged


def test_prolonging_changes_only_expiration_and_update_time() -> None:
    session, before = a_session(), a_session()
    assert session.prolong(NOW + DAY)
    session.updated_at, session.expires_at = before.updated_at, before.expires_at
    assert session == before


def test_expired_session_is_not_prolonged() -> None:
    last_moment, too_late = a_session(), a_session()
    assert last_moment.prolong(last_moment.expires_at)
    assert not too_late.prolong(too_late.expires_at + TICK)
    assert too_late == a_session()


@pytest.mark.parametrize("off", [timedelta(0), timedelta(milliseconds=3), timedelta(seconds=-0.9)])
def test_session_of_one_day_is_temporary(off: timedelta) -> None:
    """Better Auth reads its clock twice."""
    session = a_session(lifetime=DAY + off)
    assert session.is_temporary
    for moment in (NOW, NOW + DAY / 2, session.expires_at):
        assert not session.prolong(moment)
    assert session == a_session(lifetime=DAY + off)


@pytest.mark.parametrize(
    "lifetime", [DAY - timedelta(seconds=2), DAY + timedelta(seconds=2), 30 * DAY]
)
def test_session_of_another_lifetime_is_not_temporary(lifetime: timedelta) -> None:
    session = a_session(lifetime=lifetime)
    assert not session.is_temporary
    assert session.prolong(session.expires_at)


WAITS = st.lists(st.timedeltas(timedelta(0), 8 * DAY), max_size=20)
LIFETIMES = st.sampled_from([SESSION_LIFETIME, DAY]) | st.timedeltas(TICK, 90 * DAY)


@given(lifetime=LIFETIMES, waits=WAITS)
def test_prolonging_at_any_times_keeps_the_invariants(
    lifetime: timedelta, waits: list[timedelta]
) -> None:
    """Prolonging never shortens a session, restores no expired one, ignores temporary ones, and is
    not due again for a day."""
    session, now = a_session(lifetime=lifetime), NOW
    for wait in waits:
        now += wait
        before = copy(session)
        changed = session.prolong(now)
        assert changed == (session != before)
        assert session.expires_at >= before.expires_at
        assert session.is_alive(now) == before.is_alive(now)
        assert session.is_temporary == before.is_temporary
        assert not (changed and before.is_temporary)
        if changed:
            assert session.expires_at == now + SESSION_LIFETIME
            assert session.updated_at == now
        elif session.is_alive(now) and not session.is_temporary:
            assert session.expires_at > now + SESSION_LIFETIME - SESSION_UPDATE_AGE
        after = copy(session)
        assert not session.prolong(now)
        assert session == after
