"""The contract of `UnitOfWork`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from adapters.better_auth.ids import random_id
from application.ports.tokens import AccessToken
from application.ports.unit_of_work import UnitOfWork
from application.sign_in import SignedIn, SignInPolicy, SignUp
from domain.sessions import Session, SessionNotFound
from domain.tasks import Task, TaskDraft, TaskQuery
from domain.users import EmailTaken, UnknownUser, User
from tests.conftest import NO_LIMITS, FixedClock
from tests.contracts.conftest import NOW, Stores

SESSION = Session.create(
    id="s", user_id="new", token="t", ip_address=None, user_agent=None, now=NOW
)


def a_user(user_id: str, email: str = "new@example.com") -> User:
    return User.create(id=user_id, email=email, now=NOW)


async def _is_there(stores: Stores, user_id: str) -> bool:
    try:
        await stores.users.get(user_id, issued_at=NOW)
    except UnknownUser:
        return False
    return True


async def test_committed_changes_are_stored(stores: Stores) -> None:
    async with stores.unit_of_work() as unit:
        await unit.users.introduce(a_user("new"), issued_at=NOW)
        added = await unit.tasks.add(Task.create(TaskDraft(title="x"), user_id="new", now=NOW))
        await unit.tasks.add_all([Task.create(TaskDraft(title="y"), user_id="new", now=NOW)])
        await unit.commit()
    assert await stores.tasks.get(added.id, "new") == added
    assert (await stores.tasks.list("new", TaskQuery())).total == 2


async def test_uncommitted_changes_are_rolled_back(stores: Stores, ann: User) -> None:
    task = await stores.tasks.add(Task.create(TaskDraft(title="x"), user_id=ann.id, now=NOW))
    async with stores.unit_of_work() as unit:
        await unit.users.introduce(a_user("new"), issued_at=NOW)
        await unit.tasks.remove(task.id, ann.id)
        await unit.users.remove(ann.id)
    assert not await _is_there(stores, "new")
    assert await stores.tasks.get(task.id, ann.id) == task


async def test_error_rolls_back(stores: Stores, ann: User) -> None:
    with pytest.raises(EmailTaken):
        async with stores.unit_of_work() as unit:
            await unit.users.introduce(a_user("new"), issued_at=NOW)
            await unit.users.introduce(a_user("other", email=ann.email), issued_at=NOW)
            await unit.commit()
    assert not await _is_there(stores, "new")


async def test_concurrent_writes_outside_are_kept(stores: Stores, ann: User) -> None:
    """Writes outside an open unit of work are neither lost nor rolled back."""
    async with stores.unit_of_work() as unit:
        await unit.users.introduce(a_user("new"), issued_at=NOW)
        outside = await stores.tasks.add(Task.create(TaskDraft(title="x"), user_id=ann.id, now=NOW))
        inside = await unit.tasks.add(Task.create(TaskDraft(title="y"), user_id="new", now=NOW))
        await unit.commit()
    assert inside.id != outside.id
    assert await stores.tasks.get(outside.id, ann.id) == outside
    assert await stores.tasks.get(inside.id, "new") == inside


async def test_units_of_work_can_follow_each_other(stores: Stores) -> None:
    for number in range(12):
        async with stores.unit_of_work() as unit:
            await unit.users.introduce(
                a_user(f"u{number}", f"u{number}@example.com"), issued_at=NOW
            )
            if number % 2:
                await unit.commit()
    there = [number for number in range(12) if await _is_there(stores, f"u{number}")]
    assert there == [1, 3, 5, 7, 9, 11]


async def sign_up(unit: UnitOfWork) -> None:
    await unit.users.introduce(a_user("new"), issued_at=NOW)
    await unit.accounts.add_password(id="a", user_id="new", password_hash="x:y", now=NOW)
    await unit.sessions.add(SESSION)


async def test_user_password_and_session_are_committed_together(stores: Stores) -> None:
    async with stores.unit_of_work() as unit:
        await sign_up(unit)
        # Visible inside the unit of work, but not outside yet.
        assert await unit.accounts.password_hash("new") == "x:y"
        assert await unit.sessions.find_by_token("t") == (SESSION, a_user("new"))
        assert not await _is_there(stores, "new")
        assert await stores.sessions.find_by_token("t") is None
        await unit.commit()
    assert await stores.sessions.find_by_token("t") == (SESSION, a_user("new"))
    assert await stores.accounts.password_hash("new") == "x:y"


@pytest.mark.parametrize("breaks", ["nobody's session", "nobody's password", "no commit"])
async def test_user_password_and_session_are_rolled_back_together(
    stores: Stores, breaks: str
) -> None:
    try:
        async with stores.unit_of_work() as unit:
            await sign_up(unit)
            if breaks == "nobody's session":
                other = Session.create(
                    id="o", user_id="no", token="o", ip_address=None, user_agent=None, now=NOW
                )
                await unit.sessions.add(other)
            if breaks == "nobody's password":
                await unit.accounts.add_password(id="b", user_id="no", password_hash="x:y", now=NOW)
    except UnknownUser:
        assert breaks != "no commit"
    else:
        assert breaks == "no commit"
    assert not await _is_there(stores, "new")
    assert await stores.users.find_by_email("new@example.com") is None
    assert await stores.accounts.password_hash("new") is None
    assert await stores.sessions.find_by_token("t") is None


async def test_sessions_are_removed_and_saved_in_a_unit_of_work(stores: Stores, ann: User) -> None:
    ending, other = (
        Session.create(id=id, user_id=ann.id, token=id, ip_address=None, user_agent=None, now=NOW)
        for id in ("a", "b")
    )
    await stores.sessions.add(ending)
    await stores.sessions.add(other)
    assert other.prolong(NOW + timedelta(days=2))
    for commits in (False, True):
        async with stores.unit_of_work() as unit:
            await unit.sessions.remove(ending.id, ann.id)
            await unit.sessions.save(other)
            with pytest.raises(SessionNotFound):
                await unit.sessions.remove(ending.id, ann.id)
            if commits:
                await unit.commit()
        found = await stores.sessions.list(ann.id, now=NOW)
        assert [session.id for session in found] == (["b"] if commits else ["b", "a"])
        assert (found[0] == other) is commits


@dataclass
class PlainPasswords:
    """Fake `Passwords` that let other tasks run first."""

    async def hash(self, password: str) -> str:
        await asyncio.sleep(0)
        return f"hash of {password}"

    async def verify(self, password: str, stored: str | None) -> bool:
        return stored == await self.hash(password)


def a_token(session: Session, now: datetime) -> AccessToken:
    return AccessToken(session.id, timedelta(days=1))


async def test_one_of_concurrent_sign_ups_with_one_address_succeeds(
    stores: Stores, clock: FixedClock
) -> None:
    """The others leave no user, password or session."""
    policy = SignInPolicy()
    action = SignUp(
        stores.users,
        stores.unit_of_work,
        PlainPasswords(),
        random_id,
        a_token,
        clock,
        policy,
        NO_LIMITS,
    )
    results: Sequence[SignedIn | BaseException] = await asyncio.gather(
        *(action(email="New@example.com", password=f"password {n}") for n in range(8)),
        return_exceptions=True,
    )
    [winner] = [result for result in results if isinstance(result, SignedIn)]
    assert sum(isinstance(result, EmailTaken) for result in results) == 7
    number = results.index(winner)
    user_id = winner.user.id
    assert await stores.users.find_by_email("new@example.com") == winner.user
    assert await stores.accounts.password_hash(user_id) == f"hash of password {number}"
    assert list(await stores.sessions.list(user_id, now=clock.now())) == [winner.session]
