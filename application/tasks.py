"""Use cases of tasks.

Every use case takes the id of the authenticated user and may raise `Unavailable`. `if_match` is
the set of versions that the caller accepts (None: any). `StaleTask` is raised for any other.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from application.ports.clock import Clock, Retries
from domain.errors import Unavailable
from domain.tasks import StaleTask, Task, TaskChange, TaskDraft, TaskPage, TaskQuery, TaskRepository


@dataclass(frozen=True)
class CreateTask:
    """Create a task.

    `version` is 1; a task created as completed has `completed_at` = now.
    """

    tasks: TaskRepository
    clock: Clock

    async def __call__(self, user_id: str, draft: TaskDraft) -> Task:
        """Raises `UnknownUser` if the account has just been deleted."""
        return await self.tasks.add(Task.create(draft, user_id=user_id, now=self.clock.now()))


@dataclass(frozen=True)
class GetTask:
    """Get a task of the user."""

    tasks: TaskRepository

    async def __call__(self, user_id: str, task_id: int) -> Task:
        """Raises `TaskNotFound`, `TaskNotYours`."""
        return await self.tasks.get(task_id, user_id)


@dataclass(frozen=True)
class ListTasks:
    """List a page of the user's tasks.

    Page and total are from one snapshot.
    """

    tasks: TaskRepository

    async def __call__(self, user_id: str, query: TaskQuery) -> TaskPage:
        return await self.tasks.list(user_id, query)


@dataclass(frozen=True)
class ChangeTask:
    """Get a task, change it, save it with optimistic locking.

    If another request has changed the task in between, the change is retried, unless `if_match`
    is given.
    """

    tasks: TaskRepository
    clock: Clock
    retries: Retries

    async def _change(
        self,
        user_id: str,
        task_id: int,
        if_match: Collection[int] | None,
        change: Callable[[Task], None],
    ) -> Task:
        async for _ in self.retries():
            task = await self.tasks.get(task_id, user_id)
            version = task.version
            if if_match is not None and version not in if_match:
                raise StaleTask
            change(task)
            if task.version == version:
                return task
            try:
                await self.tasks.save(task, expected_version=version)
            except StaleTask:
                if if_match is not None:
                    raise
            else:
                return task
        raise Unavailable


@dataclass(frozen=True)
class UpdateTask(ChangeTask):
    """Apply a partial update.

    A change that changes nothing stores nothing. A lost race is retried, unless the caller names
    versions.
    """

    async def __call__(
        self,
        user_id: str,
        task_id: int,
        change: TaskChange,
        *,
        if_match: Collection[int] | None = None,
    ) -> Task:
        """Raises `TaskNotFound`, `TaskNotYours`, `StaleTask`."""

        def update(task: Task) -> None:
            task.update(change, self.clock.now())

        return await self._change(user_id, task_id, if_match, update)


@dataclass(frozen=True)
class CompleteTask(ChangeTask):
    """Complete or reopen a task.

    Each toggle counts: a lost race is retried as in `UpdateTask`.
    """

    async def __call__(
        self,
        user_id: str,
        task_id: int,
        *,
        completed: bool | None = None,
        if_match: Collection[int] | None = None,
    ) -> Task:
        """Without `completed`, toggle the task.

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

        return await self._change(user_id, task_id, if_match, change)


@dataclass(frozen=True)
class DeleteTask:
    """Delete a task permanently.

    The statement itself checks the version.
    """

    tasks: TaskRepository

    async def __call__(
        self, user_id: str, task_id: int, *, if_match: Collection[int] | None = None
    ) -> None:
        """Raises `TaskNotFound`, `TaskNotYours`, `StaleTask`."""
        version: int | None = None
        if if_match is not None:
            version = (await self.tasks.get(task_id, user_id)).version
            if version not in if_match:
                raise StaleTask
        await self.tasks.remove(task_id, user_id, expected_version=version)
