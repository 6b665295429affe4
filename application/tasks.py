"""What a user can do with tasks.

Every use case takes the id of the user who asks and may raise `Unavailable`. `expected` is a set
of versions that the caller would be content to find, or None for any: in another version the
task is `StaleTask`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from application.ports.clock import Clock, Retries
from domain.errors import Unavailable
from domain.tasks import (
    KEEP,
    LIMIT_DEFAULT,
    Keep,
    StaleTask,
    Task,
    TaskChange,
    TaskPage,
    TaskQuery,
    TaskRepository,
    TaskSort,
    TaskStatus,
)


@dataclass(frozen=True)
class CreateTask:
    tasks: TaskRepository
    clock: Clock

    async def __call__(
        self,
        user_id: str,
        *,
        title: str,
        description: str | None = None,
        status: TaskStatus = TaskStatus.PENDING,
    ) -> Task:
        """Raises `Invalid`; `UnknownUser` where the account has just gone."""
        task = Task.create(
            user_id=user_id,
            title=title,
            description=description,
            status=status,
            now=self.clock.now(),
        )
        return await self.tasks.add(task)


@dataclass(frozen=True)
class GetTask:
    tasks: TaskRepository

    async def __call__(self, user_id: str, task_id: int) -> Task:
        """Raises `TaskNotFound`, `TaskNotYours`."""
        return await self.tasks.get(task_id, user_id)


@dataclass(frozen=True)
class ListTasks:
    tasks: TaskRepository

    async def __call__(
        self,
        user_id: str,
        *,
        page: int = 1,
        limit: int = LIMIT_DEFAULT,
        status: TaskStatus | None = None,
        q: str | None = None,
        sort: TaskSort = TaskSort.CREATED_AT_DESCENDING,
    ) -> TaskPage:
        """Raises `Invalid`."""
        query = TaskQuery.create(page=page, limit=limit, status=status, q=q, sort=sort)
        return await self.tasks.list(user_id, query)


@dataclass(frozen=True)
class ChangeTask:
    """Get, change, save, and once more where somebody else was faster and no version was named."""

    tasks: TaskRepository
    clock: Clock
    retries: Retries

    async def _change(
        self,
        user_id: str,
        task_id: int,
        expected: Collection[int] | None,
        change: Callable[[Task], None],
    ) -> Task:
        async for _ in self.retries():
            task = await self.tasks.get(task_id, user_id)
            seen = task.version
            if expected is not None and seen not in expected:
                raise StaleTask
            change(task)
            if task.version == seen:
                return task
            try:
                await self.tasks.save(task, seen=seen)
            except StaleTask:
                if expected is not None:
                    raise
            else:
                return task
        raise Unavailable


@dataclass(frozen=True)
class UpdateTask(ChangeTask):
    async def __call__(
        self,
        user_id: str,
        task_id: int,
        *,
        title: str | Keep = KEEP,
        description: str | Keep | None = KEEP,
        status: TaskStatus | Keep = KEEP,
        expected: Collection[int] | None = None,
    ) -> Task:
        """Raises `Invalid`, `TaskNotFound`, `TaskNotYours`, `StaleTask`."""
        wanted = TaskChange.create(title=title, description=description, status=status)

        def change(task: Task) -> None:
            task.update(wanted, self.clock.now())

        return await self._change(user_id, task_id, expected, change)


@dataclass(frozen=True)
class CompleteTask(ChangeTask):
    async def __call__(
        self,
        user_id: str,
        task_id: int,
        *,
        completed: bool | None = None,
        expected: Collection[int] | None = None,
    ) -> Task:
        """Set the task completed or not; with None, toggle it.

        Raises `TaskNotFound`, `TaskNotYours`, `StaleTask`.
        """

        def change(task: Task) -> None:
            now = self.clock.now()
            if completed is None:
                task.toggle(now)
            elif completed:
                task.complete(now)
            else:
                task.reopen(now)

        return await self._change(user_id, task_id, expected, change)


@dataclass(frozen=True)
class DeleteTask:
    tasks: TaskRepository

    async def __call__(
        self, user_id: str, task_id: int, *, expected: Collection[int] | None = None
    ) -> None:
        """Raises `TaskNotFound`, `TaskNotYours`, `StaleTask`."""
        seen: int | None = None
        if expected is not None:
            seen = (await self.tasks.get(task_id, user_id)).version
            if seen not in expected:
                raise StaleTask
        await self.tasks.remove(task_id, user_id, seen=seen)
