"""Log-out, refresh, prolongation, list and end of sessions."""

from dataclasses import replace
from datetime import timedelta

import pytest

from application.authentication import Identity
from application.ports.credentials import CredentialKind
from application.sessions import EndSession, FindSessions, ListSessions, LogOut, ProlongSession
from application.sign_in import SignedIn
from domain.errors import Forbidden, Unauthenticated
from domain.sessions import SESSION_LIFETIME, SessionNotFound
from tests.application.conftest import DAY, SignInScenario, sign


async def test_log_out_ends_both_sessions_of_the_request(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in, second, other = [await scenario.log_in() for _ in range(3)]
    identity = await scenario.identity(signed_in, cookie_session=second.session)
    log_out = LogOut(scenario.sessions)
    await log_out(identity)
    assert other.session is not None
    assert list(scenario.store.sessions) == [other.session.id]
    # Another tab may have ended the session before.
    await log_out(identity)
    assert list(scenario.store.sessions) == [other.session.id]


async def test_log_out_ends_the_cookie_session_if_the_other_is_gone(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in, second = [await scenario.log_in() for _ in range(2)]
    identity = await scenario.identity(signed_in, cookie_session=second.session)
    assert signed_in.session is not None
    await scenario.sessions.remove(signed_in.session.id, ann.user.id)
    await LogOut(scenario.sessions)(identity)
    assert scenario.store.sessions == {}


async def test_log_out_with_bearer_and_cookie_of_one_session(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in = await scenario.log_in()
    await LogOut(scenario.sessions)(
        await scenario.identity(signed_in, cookie_session=signed_in.session)
    )
    assert scenario.store.sessions == {}


async def test_log_out_without_a_session_does_nothing(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    await scenario.log_in()
    await LogOut(scenario.sessions)(Identity(ann.user, CredentialKind.JWT))
    assert len(scenario.store.sessions) == 1


async def test_refresh_signs_a_token_and_prolongs_the_session(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in = await scenario.log_in()
    assert signed_in.session is not None
    scenario.clock.advance(DAY.total_seconds() - 1)
    young = await scenario.refresh(await scenario.identity(signed_in))
    assert young == SignedIn(
        ann.user, signed_in.session, sign(signed_in.session, scenario.clock.now())
    )
    scenario.clock.advance(1)
    old = await scenario.refresh(await scenario.identity(signed_in))
    now = scenario.clock.now()
    longer = replace(signed_in.session, updated_at=now, expires_at=now + SESSION_LIFETIME)
    assert old == SignedIn(ann.user, longer, sign(longer, now))
    assert scenario.store.sessions == {longer.id: longer}


async def test_refresh_without_a_session_is_forbidden(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    await scenario.log_in()
    with pytest.raises(Forbidden):
        await scenario.refresh(Identity(ann.user, CredentialKind.SHARED_SECRET))


async def test_refresh_of_an_ended_session_is_unauthenticated(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in = await scenario.log_in()
    identity = await scenario.identity(signed_in)
    assert signed_in.session is not None
    await scenario.sessions.remove(signed_in.session.id, ann.user.id)
    scenario.clock.advance(2 * DAY.total_seconds())
    with pytest.raises(Unauthenticated):
        await scenario.refresh(identity)
    assert scenario.store.sessions == {}


@pytest.mark.parametrize("source", ["the session", "the cookie"])
async def test_temporary_session_is_not_prolonged(
    scenario: SignInScenario, ann: SignedIn, source: str
) -> None:
    """It has a lifetime of a day, or a cookie of the request marks it as temporary."""
    signed_in = await scenario.log_in()
    assert signed_in.session is not None
    if source == "the session":
        signed_in.session.expires_at = signed_in.session.created_at + DAY
        scenario.store.sessions[signed_in.session.id] = signed_in.session
    scenario.clock.advance(DAY.total_seconds())
    identity = await scenario.identity(signed_in, is_temporary=source == "the cookie")
    assert not await ProlongSession(scenario.sessions, scenario.clock, scenario.policy)(identity)
    refreshed = await scenario.refresh(identity)
    assert refreshed.access_token == sign(signed_in.session, scenario.clock.now())
    assert scenario.store.sessions == {signed_in.session.id: signed_in.session}


async def test_prolong_returns_whether_it_prolonged(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in = await scenario.log_in()
    prolong = ProlongSession(scenario.sessions, scenario.clock, scenario.policy)
    assert not await prolong(await scenario.identity(signed_in))
    assert not await prolong(await scenario.identity(signed_in, session=None))
    scenario.clock.advance(DAY.total_seconds())
    stale = await scenario.identity(signed_in)
    assert await prolong(await scenario.identity(signed_in))
    assert not await prolong(await scenario.identity(signed_in))
    # Another tab has read the session before: it loses the race without an error.
    assert await prolong(stale)


async def test_find_valid_sessions_of_others(scenario: SignInScenario, ann: SignedIn) -> None:
    """Not those of the identity, which are known; nor expired and unknown ones."""
    signed_in, second, other, dead = [
        (await scenario.log_in()).session or pytest.fail() for _ in range(4)
    ]
    dead.expires_at = scenario.clock.now() - timedelta.resolution
    scenario.store.sessions[dead.id] = dead
    tokens = [session.token for session in (signed_in, second, other, dead)] + ["unknown"]
    identity = Identity(ann.user, CredentialKind.SESSION_TOKEN, signed_in, cookie_session=second)
    find = FindSessions(scenario.sessions, scenario.clock)
    assert await find(tokens, identity) == [other]
    assert await find(tokens) == [signed_in, second, other]
    assert await find([], identity) == []


async def test_list_and_end_own_sessions(scenario: SignInScenario, ann: SignedIn) -> None:
    older, dead = await scenario.log_in(), await scenario.log_in()
    scenario.clock.advance(60)
    newer = await scenario.log_in()
    bob = await scenario.sign_up(email="bob@example.com")
    assert older.session is not None
    assert dead.session is not None
    assert bob.session is not None
    dead.session.expires_at = scenario.clock.now() - timedelta.resolution
    scenario.store.sessions[dead.session.id] = dead.session
    listed, end = ListSessions(scenario.sessions, scenario.clock), EndSession(scenario.sessions)
    of_ann, of_bob = (Identity(each.user, CredentialKind.JWT) for each in (ann, bob))
    assert list(await listed(of_ann)) == [newer.session, older.session]
    for other in (bob.session.id, "nothing", older.session.token):
        with pytest.raises(SessionNotFound):
            await end(of_ann, other)
    await end(of_ann, older.session.id)
    with pytest.raises(SessionNotFound):
        await end(of_ann, older.session.id)
    assert list(await listed(of_ann)) == [newer.session]
    assert list(await listed(of_bob)) == [bob.session]
