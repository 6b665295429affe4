"""Tasks in a dictionary."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from adapters.memory.store import MemoryStore
from domain.tasks import (
    StaleTask,
    Task,
    TaskNotFound,
    TaskNotYours,
    TaskPage,
    TaskQuery,
)
from domain.users import UnknownUser


@dataclass(frozen=True, slots=True)
class MemoryTasks:
    """A `TaskRepository`. No method awaits, so each is atomic."""

    store: MemoryStore

    async def add(self, task: Task) -> Task:
        return self._add(task)

    async def add_all(self, tasks: Sequence[Task]) -> None:
        if any(task.user_id not in self.store.users for task in tasks):
            raise UnknownUser
        for task in tasks:
            self._add(task)

    async def get(self, task_id: int, user_id: str) -> Task:
        return copy(self._find(task_id, user_id))

    async def list(self, user_id: str, query: TaskQuery) -> TaskPage:
        found = [task for task in self.store.tasks.values() if _matches(task, user_id, query)]
        found.sort(
            key=lambda task: (getattr(task, query.sort.attribute), task.id),
            reverse=query.sort.is_descending,
        )
        page = found[query.offset : query.offset + query.limit]
        return TaskPage(tasks=[copy(task) for task in page], total=len(found))

    async def save(self, task: Task, *, expected_version: int) -> None:
        if self._find(task.id, task.user_id).version != expected_version:
            raise StaleTask
        self.store.tasks[task.id] = copy(task)

    async def remove(
        self, task_id: int, user_id: str, *, expected_version: int | None = None
    ) -> None:
        found = self._find(task_id, user_id)
        if expected_version not in (None, found.version):
            raise StaleTask
        del self.store.tasks[task_id]

    def _add(self, task: Task) -> Task:
        if task.user_id not in self.store.users:
            raise UnknownUser
        stored = copy(task)
        stored.id = next(self.store.task_ids)
        self.store.tasks[stored.id] = stored
        return copy(stored)

    def _find(self, task_id: int, user_id: str) -> Task:
        task = self.store.tasks.get(task_id)
        if task is None:
            raise TaskNotFound
        if task.user_id != user_id:
            raise TaskNotYours(task_id, user_id, task.user_id)
        return task


def _matches(task: Task, user_id: str, query: TaskQuery) -> bool:
    if task.user_id != user_id or query.status not in (None, task.status):
        return False
    if query.q is None:
        return True
    text = query.q.lower()
    return text in task.title.lower() or text in (task.description or "").lower()
