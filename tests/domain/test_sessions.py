"""Sessions: how long they live, and when they are given their whole life again."""

from copy import copy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.sessions import SESSION_LIFETIME, SESSION_UPDATE_AGE, Session

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta.resolution


def a_session(*, lifetime: timedelta = SESSION_LIFETIME) -> Session:
    session = Session.create(
        id="s", user_id="ann", token="secret", ip_address="::1", user_agent="curl", now=NOW
    )
    session.expires_at = NOW + lifetime
    return session


def test_a_new_session_lives_for_a_week() -> None:
    """Better Auth's default."""
    session = Session.create(
        id="s", user_id="ann", token="secret", ip_address=None, user_agent=None, now=NOW
    )
    assert session == Session("s", "ann", "secret", NOW, NOW, NOW + 7 * DAY, None, None)
    assert not session.is_temporary


def test_a_session_does_not_print_its_token() -> None:
    assert "secret" not in repr(a_session())


def test_a_session_is_alive_at_the_very_moment_at_which_it_expires() -> None:
    """To Better Auth it has expired when `expiresAt` is less than now."""
    session = a_session()
    assert session.is_alive(session.expires_at - TICK)
    assert session.is_alive(session.expires_at)
    assert not session.is_alive(session.expires_at + TICK)


def test_a_session_is_prolonged_a_day_after_it_was_given_its_life() -> None:
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


def test_prolonging_changes_the_end_and_nothing_else() -> None:
    session, before = a_session(), a_session()
    assert session.prolong(NOW + DAY)
    session.updated_at, session.expires_at = before.updated_at, before.expires_at
    assert session == before


def test_a_session_can_be_prolonged_until_it_dies_and_never_after() -> None:
    last_moment, too_late = a_session(), a_session()
    assert last_moment.prolong(last_moment.expires_at)
    assert not too_late.prolong(too_late.expires_at + TICK)
    assert too_late == a_session()


@pytest.mark.parametrize("off", [timedelta(0), timedelta(milliseconds=3), timedelta(seconds=-0.9)])
def test_a_session_made_for_a_day_is_temporary(off: timedelta) -> None:
    """Better Auth reads its clock twice."""
    session = a_session(lifetime=DAY + off)
    assert session.is_temporary
    for moment in (NOW, NOW + DAY / 2, session.expires_at):
        assert not session.prolong(moment)
    assert session == a_session(lifetime=DAY + off)


@pytest.mark.parametrize(
    "lifetime", [DAY - timedelta(seconds=2), DAY + timedelta(seconds=2), 30 * DAY]
)
def test_a_session_made_for_any_other_time_is_not(lifetime: timedelta) -> None:
    session = a_session(lifetime=lifetime)
    assert not session.is_temporary
    assert session.prolong(session.expires_at)


WAITS = st.lists(st.timedeltas(timedelta(0), 8 * DAY), max_size=20)
LIFETIMES = st.sampled_from([SESSION_LIFETIME, DAY]) | st.timedeltas(TICK, 90 * DAY)


@given(lifetime=LIFETIMES, waits=WAITS)
def test_whenever_it_is_asked_for(lifetime: timedelta, waits: list[timedelta]) -> None:
    """Whatever was before: prolonging shortens no life, raises nobody from the dead, leaves
    temporary sessions alone, and once prolonged a session is not due again for a day."""
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
