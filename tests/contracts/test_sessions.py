"""The contract of `SessionStore`."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.sessions import PostgresSessions
from application.authentication import Identity
from application.ports.credentials import CredentialKind
from application.sessions import LogOut, ProlongSession
from application.sign_in import SignInPolicy
from domain.errors import Unauthenticated
from domain.sessions import SESSION_LIFETIME, Session, SessionNotFound
from domain.users import UnknownUser, User
from tests.conftest import FixedClock
from tests.contracts.conftest import NOW, Stores
from tests.databases import better_auth

DAY = timedelta(days=1)
TICK = timedelta.resolution
NASTY = "'; drop table session;-- \\ %_ $1 :x {} 👩\u200d👧 é"


def new(user: User, id: str = "s", **changes: object) -> Session:
    session = Session.create(
        id=id,
        user_id=user.id,
        token=f"token of {id}",
        ip_address="2001:db8::1",
        user_agent=NASTY,
        now=NOW,
    )
    return replace(session, **changes)  # type: ignore[arg-type]


async def stored(stores: Stores, session_id: str = "s") -> Session:
    found = await stores.sessions.find_by_id(session_id)
    assert found is not None
    return found[0]


async def test_added_session_is_found_with_its_user(stores: Stores, ann: User, bob: User) -> None:
    of_ann, of_bob = new(ann), new(bob, "t", ip_address=None, user_agent=None)
    await stores.sessions.add(of_ann)
    await stores.sessions.add(of_bob)
    for session, user in ((of_ann, ann), (of_bob, bob)):
        assert await stores.sessions.find_by_token(session.token) == (session, user)
        assert await stores.sessions.find_by_id(session.id) == (session, user)
    found = await stored(stores)
    for time in (found.created_at, found.updated_at, found.expires_at):
        assert time.utcoffset() == timedelta(0)


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


async def test_tokens_and_ids_are_compared_exactly(stores: Stores, ann: User) -> None:
    await stores.sessions.add(new(ann))
    for other in ("", "ann", "TOKEN OF S", "token of", "token of s ", "%", "token_of_s", NASTY):
        assert await stores.sessions.find_by_token(other) is None
        assert await stores.sessions.find_by_id(other) is None
    assert await stores.sessions.find_by_token("s") is None
    assert await stores.sessions.find_by_id("S") is None
    assert await stores.sessions.find_by_id("token of s") is None


async def test_expired_session_is_found(stores: Stores, ann: User) -> None:
    dead = new(ann, expires_at=NOW - 30 * DAY)
    await stores.sessions.add(dead)
    assert await stores.sessions.find_by_token(dead.token) == (dead, ann)
    assert await stores.sessions.find_by_id(dead.id) == (dead, ann)


async def test_results_are_copies(stores: Stores, ann: User) -> None:
    session, untouched = new(ann), new(ann)
    await stores.sessions.add(session)
    session.token = "changed behind its back"
    for found in (
        await stores.sessions.find_by_token("token of s"),
        await stores.sessions.find_by_id("s"),
    ):
        assert found is not None
        found[0].expires_at += DAY
        found[1].name = "changed behind their back"
    (await stores.sessions.list(ann.id, now=NOW))[0].expires_at += DAY
    assert await stores.sessions.find_by_id("s") == (untouched, ann)


async def test_missing_user_has_no_session(stores: Stores, ann: User) -> None:
    with pytest.raises(UnknownUser):
        await stores.sessions.add(new(replace(ann, id="nobody")))
    assert await stores.sessions.find_by_id("s") is None
    assert list(await stores.sessions.list("nobody", now=NOW)) == []


async def test_deleting_a_user_deletes_the_sessions(stores: Stores, ann: User, bob: User) -> None:
    """Also if the user is created again."""
    of_ann, of_bob = new(ann), new(bob, "t")
    await stores.sessions.add(of_ann)
    await stores.sessions.add(of_bob)
    await stores.users.remove(ann.id)
    await stores.users.introduce(ann, issued_at=NOW + 10_000 * DAY)
    assert await stores.sessions.find_by_token(of_ann.token) is None
    assert await stores.sessions.find_by_id(of_ann.id) is None
    assert list(await stores.sessions.list(ann.id, now=NOW)) == []
    with pytest.raises(SessionNotFound):
        await stores.sessions.save(replace(of_ann, expires_at=NOW + 9 * DAY))
    assert await stores.sessions.find_by_id(of_bob.id) == (of_bob, bob)


async def test_list_has_own_valid_sessions_newest_first(
    stores: Stores, ann: User, bob: User
) -> None:
    older, newest, dead, dying, beside = (
        new(ann, "a", created_at=NOW - DAY),
        new(ann, "b", created_at=NOW + DAY),
        new(ann, "c", expires_at=NOW - TICK),
        new(ann, "d", expires_at=NOW),
        new(ann, "e"),
    )
    for session in (older, newest, dead, dying, beside, new(bob, "x")):
        await stores.sessions.add(session)
    listed = await stores.sessions.list(ann.id, now=NOW)
    assert list(listed) == [newest, beside, dying, older]
    assert list(await stores.sessions.list(ann.id, now=NOW + TICK)) == [newest, beside, older]


async def test_save_changes_only_the_times(stores: Stores, ann: User) -> None:
    session = new(ann)
    await stores.sessions.add(session)
    longer = replace(session, updated_at=NOW + DAY, expires_at=NOW + 8 * DAY)
    await stores.sessions.save(
        replace(longer, token="x", created_at=NOW - DAY, ip_address="::", user_agent=None)
    )
    assert await stored(stores) == longer


async def test_save_never_shortens_a_session(stores: Stores, ann: User) -> None:
    """A save with an earlier expiration has lost a race, which is no error."""
    session = new(ann)
    await stores.sessions.add(session)
    for shorter in (timedelta(0), TICK, 3 * DAY):
        end = session.expires_at - shorter
        await stores.sessions.save(replace(session, expires_at=end, updated_at=NOW + DAY))
        assert await stored(stores) == session


async def test_missing_session_is_not_saved(stores: Stores, ann: User) -> None:
    session = new(ann)
    await stores.sessions.add(session)
    await stores.sessions.remove(session.id, ann.id)
    for expires_at in (session.expires_at, session.expires_at + DAY):
        with pytest.raises(SessionNotFound):
            await stores.sessions.save(replace(session, expires_at=expires_at))
    assert await stores.sessions.find_by_id(session.id) is None


async def test_session_of_another_user_is_not_saved(stores: Stores, ann: User, bob: User) -> None:
    session = new(ann)
    await stores.sessions.add(session)
    for expires_at in (session.expires_at, session.expires_at + DAY):
        with pytest.raises(SessionNotFound):
            await stores.sessions.save(replace(session, user_id=bob.id, expires_at=expires_at))
    assert await stored(stores) == session


async def test_remove_deletes_only_the_named_row(stores: Stores, ann: User, bob: User) -> None:
    session, other, of_bob = new(ann), new(ann, "t"), new(bob, "u")
    for one in (session, other, of_bob):
        await stores.sessions.add(one)
    await stores.sessions.remove(session.id, ann.id)
    for gone in (session.id, of_bob.id, "nothing", other.token):
        with pytest.raises(SessionNotFound):
            await stores.sessions.remove(gone, ann.id)
    assert await stores.sessions.find_by_token(session.token) is None
    assert await stored(stores, "t") == other
    assert await stored(stores, "u") == of_bob


async def test_two_tabs_prolong_concurrently(stores: Stores, ann: User, clock: FixedClock) -> None:
    """Each reads the session before the other saves it, and neither fails."""
    await stores.sessions.add(new(ann))
    tabs = [Identity(ann, CredentialKind.COOKIE, await stored(stores)) for _ in range(10)]
    clock.advance(2 * DAY.total_seconds())
    prolong = ProlongSession(stores.sessions, clock, SignInPolicy())
    assert all(await asyncio.gather(*map(prolong, tabs)))
    assert (await stored(stores)).expires_at == clock.now() + SESSION_LIFETIME


async def test_longest_of_concurrent_prolongations_wins(stores: Stores, ann: User) -> None:
    session = new(ann)
    await stores.sessions.add(session)
    ends = [NOW + SESSION_LIFETIME + n * DAY for n in (3, 1, 7, 2, 9, 0, 5, 9, 4, 8)]
    await asyncio.gather(
        *(
            stores.sessions.save(
                replace(session, expires_at=end, updated_at=end - SESSION_LIFETIME)
            )
            for end in ends
        )
    )
    found = await stored(stores)
    assert (found.expires_at, found.updated_at) == (max(ends), max(ends) - SESSION_LIFETIME)


async def test_one_of_concurrent_removals_succeeds(stores: Stores, ann: User) -> None:
    await stores.sessions.add(new(ann))
    results = await asyncio.gather(
        *(stores.sessions.remove("s", ann.id) for _ in range(20)), return_exceptions=True
    )
    assert results.count(None) == 1
    assert sum(isinstance(result, SessionNotFound) for result in results) == 19


async def test_prolonging_does_not_restore_an_ended_session(
    stores: Stores, ann: User, clock: FixedClock
) -> None:
    """In either order."""
    await stores.sessions.add(new(ann))
    tabs = [Identity(ann, CredentialKind.COOKIE, await stored(stores)) for _ in range(10)]
    clock.advance(2 * DAY.total_seconds())
    prolong, log_out = (
        ProlongSession(stores.sessions, clock, SignInPolicy()),
        LogOut(stores.sessions),
    )
    results = await asyncio.gather(
        *map(prolong, tabs[:5]), log_out(tabs[0]), *map(prolong, tabs[5:]), return_exceptions=True
    )
    assert {type(result) for result in results} <= {bool, type(None), Unauthenticated}
    assert await stores.sessions.find_by_id("s") is None


async def test_concurrent_sessions_are_all_stored(stores: Stores, ann: User) -> None:
    await asyncio.gather(*(stores.sessions.add(new(ann, f"s{n}")) for n in range(20)))
    found = await stores.sessions.list(ann.id, now=NOW)
    assert {session.id for session in found} == {f"s{n}" for n in range(20)}
