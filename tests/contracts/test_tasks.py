"""The contract of `TaskRepository`."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.system import JitteredRetries, SystemClock
from application.tasks import CompleteTask, DeleteTask, UpdateTask
from domain.tasks import (
    StaleTask,
    Task,
    TaskChange,
    TaskDraft,
    TaskNotFound,
    TaskNotYours,
    TaskQuery,
    TaskSort,
    TaskStatus,
)
from domain.users import UnknownUser, User
from tests.contracts.conftest import NOW, Stores

LATER = NOW + timedelta(hours=1)
NASTY = "Robert'); drop table tasks;-- \\ %_ $1 :x {} 👩\u200d👧 é"


def new(user_id: str, title: str = "Water the plants", **values: object) -> Task:
    draft = TaskDraft(title=title, **values)  # type: ignore[arg-type]
    return Task.create(draft, user_id=user_id, now=NOW)


async def test_added_entity_is_found(stores: Stores, ann: User) -> None:
    task = new(ann.id, NASTY, description=f"{NASTY}\n\t.", status=TaskStatus.COMPLETED)
    added = await stores.tasks.add(task)
    assert added == replace(task, id=added.id)
    assert added.id >= 1
    found = await stores.tasks.get(added.id, ann.id)
    assert found == added
    assert found.created_at.utcoffset() == timedelta(0)


async def test_results_are_copies(stores: Stores, ann: User) -> None:
    added = await stores.tasks.add(new(ann.id))
    added.title = "changed behind its back"
    (await stores.tasks.get(added.id, ann.id)).title = "and again"
    (await stores.tasks.list(ann.id, TaskQuery())).tasks[0].title = "and again"
    assert (await stores.tasks.get(added.id, ann.id)).title == "Water the plants"


async def test_task_of_a_missing_user_is_rejected(stores: Stores) -> None:
    with pytest.raises(UnknownUser):
        await stores.tasks.add(new("nobody"))


async def test_add_all_stores_every_task(stores: Stores, ann: User) -> None:
    await stores.tasks.add_all([new(ann.id, f"task {n}") for n in range(30)])
    assert (await stores.tasks.list(ann.id, TaskQuery(limit=100))).total == 30


async def test_add_all_is_atomic(stores: Stores, ann: User) -> None:
    with pytest.raises(UnknownUser):
        await stores.tasks.add_all([new(ann.id), new("nobody"), new(ann.id)])
    assert (await stores.tasks.list(ann.id, TaskQuery())).total == 0


async def test_missing_task_is_not_found(stores: Stores, ann: User) -> None:
    task = replace(new(ann.id), id=2**63 - 1)
    for operation in (
        stores.tasks.get(task.id, ann.id),
        stores.tasks.save(task, expected_version=1),
        stores.tasks.remove(task.id, ann.id),
        stores.tasks.remove(task.id, ann.id, expected_version=1),
    ):
        with pytest.raises(TaskNotFound):
            await operation


async def test_task_of_another_user_is_not_accessible(stores: Stores, ann: User, bob: User) -> None:
    task = await stores.tasks.add(new(ann.id))
    for operation in (
        stores.tasks.get(task.id, bob.id),
        stores.tasks.save(replace(task, user_id=bob.id, title="stolen"), expected_version=1),
        stores.tasks.remove(task.id, bob.id),
        stores.tasks.remove(task.id, bob.id, expected_version=1),
    ):
        with pytest.raises(TaskNotYours) as caught:
            await operation
        assert (caught.value.user_id, caught.value.owner_id) == (bob.id, ann.id)
    assert await stores.tasks.get(task.id, ann.id) == task
    assert (await stores.tasks.list(bob.id, TaskQuery())).total == 0


async def test_saved_change_is_stored(stores: Stores, ann: User) -> None:
    task = await stores.tasks.add(new(ann.id))
    change = TaskChange(title="b", description="c", status=TaskStatus.COMPLETED)
    task.update(change, LATER)
    await stores.tasks.save(task, expected_version=1)
    assert await stores.tasks.get(task.id, ann.id) == task


async def test_save_over_another_version_is_stale(stores: Stores, ann: User) -> None:
    first = await stores.tasks.add(new(ann.id))
    second = await stores.tasks.get(first.id, ann.id)
    first.complete(LATER)
    await stores.tasks.save(first, expected_version=1)
    second.update(TaskChange(title="late"), LATER)
    with pytest.raises(StaleTask):
        await stores.tasks.save(second, expected_version=1)
    assert await stores.tasks.get(first.id, ann.id) == first


async def test_remove_deletes_only_the_named_row(stores: Stores, ann: User) -> None:
    task = await stores.tasks.add(new(ann.id))
    with pytest.raises(StaleTask):
        await stores.tasks.remove(task.id, ann.id, expected_version=2)
    await stores.tasks.remove(task.id, ann.id, expected_version=1)
    with pytest.raises(TaskNotFound):
        await stores.tasks.get(task.id, ann.id)
    other = await stores.tasks.add(new(ann.id))
    assert other.id != task.id
    await stores.tasks.remove(other.id, ann.id)


@pytest.mark.parametrize("sort", TaskSort)
async def test_list_orders_ties_by_id(stores: Stores, ann: User, sort: TaskSort) -> None:
    titles = ["b", "A", "ä", "a", "B", "a"]
    added = []
    for number, title in enumerate(titles):
        task = new(ann.id, title)
        task.created_at = NOW + timedelta(seconds=number // 2)
        task.updated_at = NOW + timedelta(hours=1, seconds=-(number // 3))
        added.append(await stores.tasks.add(task))
    added.sort(
        key=lambda task: (getattr(task, sort.attribute), task.id), reverse=sort.is_descending
    )
    found = await stores.tasks.list(ann.id, TaskQuery(sort=sort))
    assert found.tasks == added
    second = await stores.tasks.list(ann.id, TaskQuery(sort=sort, page=2, limit=4))
    assert second.tasks == added[4:]
    assert second.total == 6


async def test_page_past_the_end_has_the_total(stores: Stores, ann: User) -> None:
    await stores.tasks.add(new(ann.id))
    found = await stores.tasks.list(ann.id, TaskQuery(page=1_000_000, limit=100))
    assert (list(found.tasks), found.total) == ([], 1)
    nothing = await stores.tasks.list("nobody", TaskQuery())
    assert (list(nothing.tasks), nothing.total) == ([], 0)


async def test_list_filters_by_status(stores: Stores, ann: User) -> None:
    done = await stores.tasks.add(new(ann.id, status=TaskStatus.COMPLETED))
    await stores.tasks.add(new(ann.id))
    found = await stores.tasks.list(ann.id, TaskQuery(status=TaskStatus.COMPLETED))
    assert (found.tasks, found.total) == ([done], 1)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("milk", ["Buy MILK", "Errands"]),
        ("ÉCLAIR", ["éclairs"]),
        ("БРАТ", ["Брат"]),
        ("%", ["100%_sure"]),
        ("_", ["100%_sure"]),
        ("\\", ["back\\slash"]),
        ("'", ["it's"]),
        ("two\nlines", ["Block"]),
        (" milk", ["Buy MILK", "Errands"]),
        ("milk ", []),
        ("x" * 200, []),
    ],
)
async def test_list_searches_title_and_description(
    stores: Stores, ann: User, bob: User, q: str, found: list[str]
) -> None:
    tasks = {
        "Buy MILK": None,
        "Errands": "bread and milk",
        "éclairs": None,
        "Брат": None,
        "100%_sure": None,
        "back\\slash": None,
        "it's": None,
        "Block": "two\nlines",
    }
    for title, description in tasks.items():
        await stores.tasks.add(new(ann.id, title, description=description))
    await stores.tasks.add(new(bob.id, "milk", description=q))
    page = await stores.tasks.list(ann.id, TaskQuery(q=q, sort=TaskSort.CREATED_AT))
    assert [task.title for task in page.tasks] == found
    assert page.total == len(found)


async def test_concurrent_toggles_lose_no_update(stores: Stores, ann: User) -> None:
    """An even number of toggles restores the status, and each one is a version."""
    task = await stores.tasks.add(new(ann.id))
    toggle = CompleteTask(stores.tasks, SystemClock(), JitteredRetries())
    results = await asyncio.gather(*(toggle(ann.id, task.id) for _ in range(50)))
    assert sorted(result.version for result in results) == list(range(2, 52))
    final = await stores.tasks.get(task.id, ann.id)
    assert (final.status, final.version) == (TaskStatus.PENDING, 51)


async def test_one_of_concurrent_updates_with_if_match_wins(stores: Stores, ann: User) -> None:
    task = await stores.tasks.add(new(ann.id))
    update = UpdateTask(stores.tasks, SystemClock(), JitteredRetries())
    results = await asyncio.gather(
        *(update(ann.id, task.id, TaskChange(title=f"title {n}"), if_match={1}) for n in range(20)),
        return_exceptions=True,
    )
    winners = [result for result in results if isinstance(result, Task)]
    losers = [result for result in results if isinstance(result, StaleTask)]
    assert (len(winners), len(losers)) == (1, 19)
    assert await stores.tasks.get(task.id, ann.id) == winners[0]


async def test_deletion_concurrent_with_changes_wins(stores: Stores, ann: User) -> None:
    task = await stores.tasks.add(new(ann.id))
    toggle = CompleteTask(stores.tasks, SystemClock(), JitteredRetries())
    delete = DeleteTask(stores.tasks)
    results = await asyncio.gather(
        *(toggle(ann.id, task.id) for _ in range(10)),
        delete(ann.id, task.id),
        *(toggle(ann.id, task.id) for _ in range(10)),
        return_exceptions=True,
    )
    assert all(isinstance(r, Task | TaskNotFound) or r is None for r in results)
    with pytest.raises(TaskNotFound):
        await stores.tasks.get(task.id, ann.id)
