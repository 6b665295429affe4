"""What every unit of work does."""

import pytest

from domain.tasks import Task, TaskQuery
from domain.users import EmailTaken, UnknownUser, User
from tests.contracts.conftest import NOW, Stores


def a_user(user_id: str, email: str = "new@example.com") -> User:
    return User.create(id=user_id, email=email, now=NOW)


async def _is_there(stores: Stores, user_id: str) -> bool:
    try:
        await stores.users.get(user_id, issued_at=NOW)
    except UnknownUser:
        return False
    return True


async def test_committed_changes_last(stores: Stores) -> None:
    async with stores.units() as unit:
        await unit.users.add(a_user("new"), issued_at=NOW)
        added = await unit.tasks.add(Task.create(user_id="new", title="x", now=NOW))
        await unit.tasks.add_all([Task.create(user_id="new", title="y", now=NOW)])
        await unit.commit()
    assert await stores.tasks.get(added.id, "new") == added
    assert (await stores.tasks.list("new", TaskQuery())).total == 2


async def test_without_a_commit_nothing_happened(stores: Stores, ann: User) -> None:
    task = await stores.tasks.add(Task.create(user_id=ann.id, title="x", now=NOW))
    async with stores.units() as unit:
        await unit.users.add(a_user("new"), issued_at=NOW)
        await unit.tasks.remove(task.id, ann.id)
        await unit.users.remove(ann.id)
    assert not await _is_there(stores, "new")
    assert await stores.tasks.get(task.id, ann.id) == task


async def test_an_error_undoes_what_came_before(stores: Stores, ann: User) -> None:
    with pytest.raises(EmailTaken):
        async with stores.units() as unit:
            await unit.users.add(a_user("new"), issued_at=NOW)
            await unit.users.add(a_user("other", email=ann.email), issued_at=NOW)
            await unit.commit()
    assert not await _is_there(stores, "new")


async def test_others_go_on_meanwhile(stores: Stores, ann: User) -> None:
    """What others write while a unit is open is neither lost nor undone."""
    async with stores.units() as unit:
        await unit.users.add(a_user("new"), issued_at=NOW)
        outside = await stores.tasks.add(Task.create(user_id=ann.id, title="x", now=NOW))
        inside = await unit.tasks.add(Task.create(user_id="new", title="y", now=NOW))
        await unit.commit()
    assert inside.id != outside.id
    assert await stores.tasks.get(outside.id, ann.id) == outside
    assert await stores.tasks.get(inside.id, "new") == inside


async def test_a_unit_of_work_can_be_followed_by_another(stores: Stores) -> None:
    for number in range(12):
        async with stores.units() as unit:
            await unit.users.add(a_user(f"u{number}", f"u{number}@example.com"), issued_at=NOW)
            if number % 2:
                await unit.commit()
    there = [number for number in range(12) if await _is_there(stores, f"u{number}")]
    assert there == [1, 3, 5, 7, 9, 11]
