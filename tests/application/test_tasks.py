"""Use cases of tasks: retries, `if_match` and time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from adapters.memory.store import MemoryStore
from adapters.memory.tasks import MemoryTasks
from adapters.memory.users import MemoryUsers
from application.tasks import CompleteTask, CreateTask, DeleteTask, UpdateTask
from domain.errors import Unavailable
from domain.tasks import StaleTask, Task, TaskChange, TaskDraft, TaskNotFound, TaskStatus
from domain.users import User
from tests.conftest import FixedClock


@dataclass
class CountedRetries:
    """Fake `Retries` without a wait, with a given number of attempts."""

    attempts: int = 3
    used: int = 0

    async def __call__(self) -> AsyncIterator[int]:
        for number in range(1, self.attempts + 1):
            self.used = number
            yield number


class ContestedTasks(MemoryTasks):
    """`MemoryTasks` that loses a given number of races."""

    races = 0

    async def save(self, task: Task, *, expected_version: int) -> None:
        if ContestedTasks.races > 0:
            ContestedTasks.races -= 1
            raise StaleTask
        await super().save(task, expected_version=expected_version)


@pytest.fixture
async def tasks(clock: FixedClock) -> ContestedTasks:
    store = MemoryStore()
    ann = User.create(id="ann", email="ann@example.com", now=clock.now())
    await MemoryUsers(store).add(ann)
    ContestedTasks.races = 0
    return ContestedTasks(store)


@pytest.fixture
async def task(tasks: ContestedTasks, clock: FixedClock) -> Task:
    return await CreateTask(tasks, clock)("ann", TaskDraft(title="x"))


async def test_lost_race_is_retried(tasks: ContestedTasks, task: Task, clock: FixedClock) -> None:
    ContestedTasks.races = 2
    retries = CountedRetries()
    done = await CompleteTask(tasks, clock, retries)("ann", task.id)
    assert (done.status, done.version, retries.used) == (TaskStatus.COMPLETED, 2, 3)


async def test_retries_end_in_unavailable(
    tasks: ContestedTasks, task: Task, clock: FixedClock
) -> None:
    ContestedTasks.races = 99
    with pytest.raises(Unavailable):
        await CompleteTask(tasks, clock, CountedRetries())("ann", task.id)
    assert await tasks.get(task.id, "ann") == task


async def test_lost_race_with_if_match_is_not_retried(
    tasks: ContestedTasks, task: Task, clock: FixedClock
) -> None:
    ContestedTasks.races = 1
    retries = CountedRetries()
    with pytest.raises(StaleTask):
        await UpdateTask(tasks, clock, retries)("ann", task.id, TaskChange(title="y"), if_match={1})
    assert retries.used == 1


async def test_other_version_than_if_match_is_stale(
    tasks: ContestedTasks, task: Task, clock: FixedClock
) -> None:
    with pytest.raises(StaleTask):
        await UpdateTask(tasks, clock, CountedRetries())("ann", task.id, TaskChange(), if_match=())
    with pytest.raises(StaleTask):
        await DeleteTask(tasks)("ann", task.id, if_match={2, 3})
    await DeleteTask(tasks)("ann", task.id, if_match={1})
    with pytest.raises(TaskNotFound):
        await tasks.get(task.id, "ann")


async def test_change_uses_the_current_time(
    tasks: ContestedTasks, task: Task, clock: FixedClock
) -> None:
    clock.advance(60)
    done = await CompleteTask(tasks, clock, CountedRetries())("ann", task.id, completed=True)
    assert done.completed_at == done.updated_at == clock.now()
    clock.advance(60)
    again = await CompleteTask(tasks, clock, CountedRetries())("ann", task.id, completed=True)
    assert again == done
