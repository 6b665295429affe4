"""The contract of `SessionStore`, wherever Better Auth keeps sessions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.sessions import PostgresSessions
from application.authentication import Identity
from application.ports.credentials import CredentialKind
from application.sessions import LogOut, ProlongSession
from application.sign_in import SignInElsewhere, SignInPolicy
from domain.errors import Forbidden, Unauthenticated, Unavailable
from domain.sessions import SESSION_LIFETIME, Session, SessionNotFound
from domain.users import UnknownUser, User
from tests.conftest import FixedClock
from tests.contracts.conftest import NOW as NOW_IN_MICROSECONDS
from tests.contracts.session_modes import (
    MODES,
    TOKEN_PREFIX,
    Promise,
    Sessions,
    breaking,
    keeping,
    opened_sessions,
)
from tests.databases import better_auth

#: The times in Better Auth's JSON are in milliseconds.
TICK = timedelta(milliseconds=1)
NOW = NOW_IN_MICROSECONDS.replace(microsecond=123_000)
DAY = timedelta(days=1)
NASTY = "'; drop table session;-- \\ %_ $1 :x {} 👩\u200d👧 é"


@pytest.fixture(params=MODES)
async def sessions(request: pytest.FixtureRequest, clock: FixedClock) -> AsyncIterator[Sessions]:
    async with opened_sessions(request.param, request, clock) as sessions:
        yield sessions


@pytest.fixture
async def ann(sessions: Sessions) -> User:
    return await sessions.stores.user("ann", NOW)


@pytest.fixture
async def bob(sessions: Sessions) -> User:
    return await sessions.stores.user("bob", NOW)


def new(user: User, id: str = "s", **changes: object) -> Session:
    session = Session.create(
        id=id,
        user_id=user.id,
        token=f"{TOKEN_PREFIX}token-of-{id}",
        ip_address="2001:db8::1",
        user_agent=NASTY,
        now=NOW,
    )
    return replace(session, **changes)  # type: ignore[arg-type]


async def stored(sessions: Sessions, session_id: str = "s") -> Session:
    found = await sessions.store.find_by_token(f"{TOKEN_PREFIX}token-of-{session_id}")
    assert found is not None
    return found[0]


async def test_session_is_found_with_its_user(sessions: Sessions, ann: User, bob: User) -> None:
    of_ann, of_bob = new(ann), new(bob, "t", ip_address=None, user_agent=None)
    await sessions.put(of_ann, ann)
    await sessions.put(of_bob, bob)
    for session, user in ((of_ann, ann), (of_bob, bob)):
        assert await sessions.find(session) == (session, user)
    found = await stored(sessions)
    for time in (found.created_at, found.updated_at, found.expires_at):
        assert time.utcoffset() == timedelta(0)


@keeping(Promise.FIND_BY_ID)
async def test_session_is_found_by_its_id(sessions: Sessions, ann: User, bob: User) -> None:
    of_ann, of_bob = new(ann), new(bob, "t")
    await sessions.put(of_ann, ann)
    await sessions.put(of_bob, bob)
    assert await sessions.store.find_by_id("s") == (of_ann, ann)
    assert await sessions.store.find_by_id("t") == (of_bob, bob)
    for other in ("", "ann", "S", of_ann.token, "%", "_", NASTY):
        assert await sessions.store.find_by_id(other) is None


@breaking(Promise.FIND_BY_ID)
async def test_id_finds_no_session(sessions: Sessions, ann: User) -> None:
    await sessions.put(new(ann), ann)
    for given in ("s", new(ann).token):
        assert await sessions.store.find_by_id(given) is None


@pytest.mark.postgres
async def test_empty_device_of_better_auth_is_none(database_url: str) -> None:
    """Better Auth stores empty texts."""
    database = PoolDatabase(database_url)
    await database.open()
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(
            'insert into "user" (id, name, email, "emailVerified") values (%s, %s, %s, %s)',
            ("ann", "", "ann@example.com", False),
        )
        await connection.execute(
            'insert into session (id, "userId", token, "expiresAt", "updatedAt", "ipAddress",'
            " \"userAgent\") values ('s', 'ann', 't', now(), now(), '', '')"
        )
    found = await PostgresSessions(better_auth(database)).find_by_token("t")
    assert found is not None
    assert (found[0].ip_address, found[0].user_agent) == (None, None)
    await database.close()


async def test_tokens_are_compared_exactly(sessions: Sessions, ann: User) -> None:
    session = new(ann)
    await sessions.put(session, ann)
    for other in (session.token[:-1], f"{session.token}x", f"{TOKEN_PREFIX}%", f"{TOKEN_PREFIX}s"):
        assert await sessions.store.find_by_token(other) is None
    assert await sessions.store.find_by_token(f"{TOKEN_PREFIX}TOKEN-OF-S") is None


@keeping(Promise.ANY_TOKEN)
async def test_any_text_is_a_token(sessions: Sessions, ann: User) -> None:
    await sessions.put(new(ann), ann)
    for text in ("", "s", "ann", f"{new(ann).token} ", "%", "active-sessions-ann", NASTY):
        assert await sessions.store.find_by_token(text) is None


@breaking(Promise.ANY_TOKEN)
async def test_text_that_is_no_header_line_is_refused(sessions: Sessions) -> None:
    for text in ("", f"X: {NASTY}", "X: a\r\nCookie: b", "X: \ud800"):
        with pytest.raises(Unavailable):
            await sessions.store.find_by_token(text)


@keeping(Promise.FIND_EXPIRED)
async def test_expired_session_is_found(sessions: Sessions, ann: User) -> None:
    dead = new(ann, expires_at=NOW - 30 * DAY)
    await sessions.put(dead, ann)
    assert await sessions.find(dead) == (dead, ann)


@breaking(Promise.FIND_EXPIRED)
async def test_expired_session_is_not_found(sessions: Sessions, ann: User) -> None:
    dead = new(ann, expires_at=NOW - 30 * DAY)
    await sessions.put(dead, ann)
    assert await sessions.find(dead) is None


async def test_results_are_copies(sessions: Sessions, ann: User) -> None:
    session, untouched = new(ann), new(ann)
    await sessions.put(session, ann)
    session.token = "changed behind its back"
    found = await sessions.find(untouched)
    assert found is not None
    found[0].expires_at += DAY
    found[1].name = "changed behind their back"
    (await sessions.list(untouched, now=NOW))[0].expires_at += DAY
    assert await sessions.find(untouched) == (untouched, replace(ann, name="ann"))
    if Promise.FIND_BY_ID not in sessions.broken:
        by_id = await sessions.store.find_by_id("s")
        assert by_id is not None
        by_id[0].expires_at += DAY
        assert await sessions.find(untouched) == (untouched, replace(ann, name="ann"))


@keeping(Promise.ADD)
async def test_missing_user_has_no_session(sessions: Sessions, ann: User) -> None:
    with pytest.raises(UnknownUser):
        await sessions.store.add(new(replace(ann, id="nobody")))
    assert await sessions.find(new(ann)) is None
    assert list(await sessions.store.list("nobody", now=NOW)) == []


@keeping(Promise.ADD)
async def test_concurrent_sessions_are_all_stored(sessions: Sessions, ann: User) -> None:
    await asyncio.gather(*(sessions.store.add(new(ann, f"s{n}")) for n in range(20)))
    found = await sessions.store.list(ann.id, now=NOW)
    assert {session.id for session in found} == {f"s{n}" for n in range(20)}


@breaking(Promise.ADD)
async def test_sessions_begin_elsewhere(sessions: Sessions, ann: User) -> None:
    with pytest.raises(SignInElsewhere):
        await sessions.store.add(new(ann))
    assert await sessions.find(new(ann)) is None


@keeping(Promise.END_WITH_USER)
async def test_deleting_a_user_deletes_the_sessions(
    sessions: Sessions, ann: User, bob: User
) -> None:
    """Also if the user is created again."""
    assert not sessions.store.has_foreign_users
    of_ann, of_bob = new(ann), new(bob, "t")
    await sessions.put(of_ann, ann)
    await sessions.put(of_bob, bob)
    await sessions.stores.users.remove(ann.id)
    await sessions.stores.users.introduce(ann, issued_at=NOW + 10_000 * DAY)
    assert await sessions.find(of_ann) is None
    assert await sessions.store.find_by_id(of_ann.id) is None
    assert await sessions.list(of_ann, now=NOW) == []
    with pytest.raises(SessionNotFound):
        await sessions.store.save(replace(of_ann, expires_at=NOW + 9 * DAY))
    assert await sessions.find(of_bob) == (of_bob, bob)


@breaking(Promise.END_WITH_USER)
async def test_users_come_with_their_sessions(sessions: Sessions, ann: User) -> None:
    """They are not looked up here."""
    await sessions.put(new(ann), ann)
    await sessions.stores.users.remove(ann.id)
    assert sessions.store.has_foreign_users
    assert await sessions.find(new(ann)) == (new(ann), ann)


async def test_list_has_own_valid_sessions_newest_first(
    sessions: Sessions, ann: User, bob: User
) -> None:
    older, newest, dead, dying, beside = (
        new(ann, "a", created_at=NOW - DAY),
        new(ann, "b", created_at=NOW + DAY),
        new(ann, "c", expires_at=NOW - TICK),
        new(ann, "d", expires_at=NOW),
        new(ann, "e"),
    )
    for session in (older, newest, dead, dying, beside):
        await sessions.put(session, ann)
    await sessions.put(new(bob, "x"), bob)
    assert await sessions.list(older, now=NOW) == [newest, beside, dying, older]
    assert await sessions.list(older, now=NOW + TICK) == [newest, beside, older]


@breaking(Promise.WITHOUT_CALLER)
async def test_caller_is_needed(sessions: Sessions, ann: User, bob: User) -> None:
    """Better Auth lists and ends sessions only for their user."""
    await sessions.put(new(ann), ann)
    await sessions.put(new(bob, "t"), bob)
    with pytest.raises(Forbidden):
        await sessions.store.list(ann.id, now=NOW)
    with pytest.raises(Forbidden):
        await sessions.store.remove("s", ann.id)
    assert list(await sessions.store.list(ann.id, now=NOW, caller=new(bob, "t"))) == []
    with pytest.raises(SessionNotFound):
        await sessions.store.remove("s", ann.id, caller=new(bob, "t"))
    assert await stored(sessions) == new(ann)


@keeping(Promise.SAVE)
async def test_save_changes_only_the_times(sessions: Sessions, ann: User) -> None:
    session = new(ann)
    await sessions.put(session, ann)
    longer = replace(session, updated_at=NOW + DAY, expires_at=NOW + 8 * DAY)
    token = session.token if Promise.FIND_BY_ID in sessions.broken else "x"
    changes = {"created_at": NOW - DAY, "ip_address": "::", "user_agent": None, "token": token}
    await sessions.store.save(replace(longer, **changes))  # type: ignore[arg-type]
    assert await stored(sessions) == longer


@breaking(Promise.SAVE)
async def test_save_changes_nothing(sessions: Sessions, ann: User) -> None:
    session = new(ann)
    await sessions.put(session, ann)
    await sessions.store.save(replace(session, expires_at=NOW + 8 * DAY))
    assert await stored(sessions) == session


@keeping(Promise.SAVE)
async def test_save_never_shortens_a_session(sessions: Sessions, ann: User) -> None:
    """A save with an earlier expiration has lost a race, which is no error."""
    session = new(ann)
    await sessions.put(session, ann)
    for shorter in (timedelta(0), TICK, 3 * DAY):
        end = session.expires_at - shorter
        await sessions.store.save(replace(session, expires_at=end, updated_at=NOW + DAY))
        assert await stored(sessions) == session


@keeping(Promise.SAVE)
async def test_missing_session_is_not_saved(sessions: Sessions, ann: User) -> None:
    session = new(ann)
    await sessions.put(session, ann)
    await sessions.remove(session.id, session)
    for expires_at in (session.expires_at, session.expires_at + DAY):
        with pytest.raises(SessionNotFound):
            await sessions.store.save(replace(session, expires_at=expires_at))
    assert await sessions.find(session) is None


@keeping(Promise.SAVE)
async def test_session_of_another_user_is_not_saved(
    sessions: Sessions, ann: User, bob: User
) -> None:
    session = new(ann)
    await sessions.put(session, ann)
    for expires_at in (session.expires_at, session.expires_at + DAY):
        with pytest.raises(SessionNotFound):
            await sessions.store.save(replace(session, user_id=bob.id, expires_at=expires_at))
    assert await stored(sessions) == session


async def test_remove_ends_only_the_named_session(sessions: Sessions, ann: User, bob: User) -> None:
    session, other, of_bob = new(ann), new(ann, "t"), new(bob, "u")
    for one, user in ((session, ann), (other, ann), (of_bob, bob)):
        await sessions.put(one, user)
        assert await sessions.find(one) is not None
    await sessions.remove(session.id, other)
    for gone in (session.id, of_bob.id, "nothing", other.token):
        with pytest.raises(SessionNotFound):
            await sessions.remove(gone, other)
    assert await sessions.find(session) is None
    assert await stored(sessions, "t") == other
    assert await stored(sessions, "u") == of_bob


async def test_session_ends_itself(sessions: Sessions, ann: User) -> None:
    session, other = new(ann), new(ann, "t")
    for one in (session, other):
        await sessions.put(one, ann)
        assert await sessions.find(one) is not None
    await sessions.store.remove(session.id, ann.id, caller=session)
    assert await sessions.find(session) is None
    assert await sessions.list(other, now=NOW) == [other]


@keeping(Promise.SAVE)
async def test_two_tabs_prolong_concurrently(
    sessions: Sessions, ann: User, clock: FixedClock
) -> None:
    """Each reads the session before the other saves it, and neither fails."""
    await sessions.put(new(ann), ann)
    tabs = [Identity(ann, CredentialKind.COOKIE, await stored(sessions)) for _ in range(10)]
    clock.advance(2 * DAY.total_seconds())
    prolong = ProlongSession(sessions.store, clock, SignInPolicy())
    assert all(await asyncio.gather(*map(prolong, tabs)))
    assert (await stored(sessions)).expires_at == clock.now() + SESSION_LIFETIME


@keeping(Promise.SAVE)
async def test_longest_of_concurrent_prolongations_wins(sessions: Sessions, ann: User) -> None:
    session = new(ann)
    await sessions.put(session, ann)
    ends = [NOW + SESSION_LIFETIME + n * DAY for n in (3, 1, 7, 2, 9, 0, 5, 9, 4, 8)]
    await asyncio.gather(
        *(
            sessions.store.save(replace(session, expires_at=end, updated_at=end - SESSION_LIFETIME))
            for end in ends
        )
    )
    found = await stored(sessions)
    assert (found.expires_at, found.updated_at) == (max(ends), max(ends) - SESSION_LIFETIME)


@keeping(Promise.END_ONCE)
async def test_one_of_concurrent_removals_succeeds(sessions: Sessions, ann: User) -> None:
    await sessions.put(new(ann), ann)
    results = await asyncio.gather(
        *(sessions.remove("s", new(ann)) for _ in range(20)), return_exceptions=True
    )
    assert results.count(None) == 1
    assert sum(isinstance(result, SessionNotFound) for result in results) == 19


@breaking(Promise.END_ONCE)
async def test_session_that_has_ended_ends_again(sessions: Sessions, ann: User) -> None:
    """Better Auth signs out whoever asks. With another session, the end is told."""
    session = new(ann)
    await sessions.put(session, ann)
    for _ in range(2):
        await sessions.store.remove(session.id, ann.id, caller=session)
    for other in (sessions.list(session, now=NOW), sessions.remove("t", session)):
        with pytest.raises(Unauthenticated):
            await other


async def test_prolonging_does_not_restore_an_ended_session(
    sessions: Sessions, ann: User, clock: FixedClock
) -> None:
    """In either order."""
    await sessions.put(new(ann), ann)
    tabs = [Identity(ann, CredentialKind.COOKIE, await stored(sessions)) for _ in range(10)]
    clock.advance(2 * DAY.total_seconds())
    prolong, log_out = (
        ProlongSession(sessions.store, clock, SignInPolicy()),
        LogOut(sessions.store),
    )
    results = await asyncio.gather(
        *map(prolong, tabs[:5]), log_out(tabs[0]), *map(prolong, tabs[5:]), return_exceptions=True
    )
    assert {type(result) for result in results} <= {bool, type(None), Unauthenticated}
    assert await sessions.find(new(ann)) is None
