"""A task, what can be done to it, and where tasks are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Final, Protocol, Self

from domain.errors import Forbidden, NotFound, Stale
from domain.text import Check, clean_block, clean_line, clean_search

TITLE_MAX_LENGTH: Final = 200
DESCRIPTION_MAX_LENGTH: Final = 1_000
SEARCH_MAX_LENGTH: Final = 200
PAGE_MAX: Final = 1_000_000
LIMIT_MAX: Final = 100
LIMIT_DEFAULT: Final = 50
UNSTORED: Final = 0
"""The id of a task that no repository has stored yet; stored ids start at 1."""


class TaskNotFound(NotFound):
    code = "TASK_NOT_FOUND"
    message = "There is no such task."


class TaskNotYours(Forbidden):
    """The task belongs to somebody else. `owner_id` is for the log alone, never for an answer."""

    message = "This task is not yours."

    def __init__(self, task_id: int, user_id: str, owner_id: str) -> None:
        super().__init__()
        self.task_id = task_id
        self.user_id = user_id
        self.owner_id = owner_id


class StaleTask(Stale):
    code = "STALE_TASK"
    message = "The task has changed since you read it; read it again."


class TaskStatus(StrEnum):
    PENDING = "Pending"
    COMPLETED = "Completed"


class Keep(Enum):
    """The absence of a new value in a partial update, where None would mean "clear it"."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP


def clean_title(text: str) -> str:
    """Raises `domain.text.InvalidText`."""
    return clean_line(text, max_length=TITLE_MAX_LENGTH)


def clean_description(text: str) -> str:
    """Raises `domain.text.InvalidText`."""
    return clean_block(text, max_length=DESCRIPTION_MAX_LENGTH)


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A partial update whose texts are clean: what is given is changed, the rest is kept."""

    title: str | Keep = KEEP
    description: str | Keep | None = KEEP
    status: TaskStatus | Keep = KEEP

    @classmethod
    def create(
        cls,
        *,
        title: str | Keep = KEEP,
        description: str | Keep | None = KEEP,
        status: TaskStatus | Keep = KEEP,
    ) -> Self:
        """Raises `Invalid`."""
        check = Check()
        if title is not KEEP:
            title = check("title", clean_title, title)
        if description is not KEEP and description is not None:
            description = check("description", clean_description, description)
        check.done()
        return cls(title=title, description=description, status=status)


@dataclass(slots=True)
class Task:
    """Something that a user means to do.

    `Task.create` makes a new one and validates; the constructor rehydrates a stored one and
    trusts it. `completed_at` is set exactly while the status is Completed. `version` starts at 1
    and grows by one with each change; a change that changes nothing leaves `version` and
    `updated_at` alone. Times are aware, in UTC, and `updated_at` never runs backwards.
    """

    id: int
    user_id: str
    title: str
    description: str | None
    status: TaskStatus
    completed_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def create(
        cls,
        *,
        user_id: str,
        title: str,
        description: str | None = None,
        status: TaskStatus = TaskStatus.PENDING,
        now: datetime,
    ) -> Self:
        """A new task, not stored yet. Raises `Invalid`."""
        check = Check()
        title = check("title", clean_title, title)
        if description is not None:
            description = check("description", clean_description, description)
        check.done()
        return cls(
            id=UNSTORED,
            user_id=user_id,
            title=title,
            description=description,
            status=status,
            completed_at=now if status is TaskStatus.COMPLETED else None,
            version=1,
            created_at=now,
            updated_at=now,
        )

    def update(self, change: TaskChange, now: datetime) -> None:
        title = self.title if change.title is KEEP else change.title
        description = self.description if change.description is KEEP else change.description
        status = self.status if change.status is KEEP else change.status
        if (title, description, status) == (self.title, self.description, self.status):
            return
        now = max(now, self.updated_at)
        if status is not self.status:
            self.completed_at = now if status is TaskStatus.COMPLETED else None
        self.title, self.description, self.status = title, description, status
        self.version += 1
        self.updated_at = now

    def complete(self, now: datetime) -> None:
        self.update(TaskChange(status=TaskStatus.COMPLETED), now)

    def reopen(self, now: datetime) -> None:
        self.update(TaskChange(status=TaskStatus.PENDING), now)

    def toggle(self, now: datetime) -> None:
        if self.status is TaskStatus.COMPLETED:
            self.reopen(now)
        else:
            self.complete(now)


class TaskSort(StrEnum):
    """An order of tasks; ties go by id in the same direction. Titles sort by code point."""

    CREATED_AT = "created_at"
    CREATED_AT_DESCENDING = "-created_at"
    UPDATED_AT = "updated_at"
    UPDATED_AT_DESCENDING = "-updated_at"
    TITLE = "title"
    TITLE_DESCENDING = "-title"

    @property
    def attribute(self) -> str:
        return self.value.removeprefix("-")

    @property
    def is_descending(self) -> bool:
        return self.value.startswith("-")


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which of a user's tasks to list. `q` is a substring of title or description, in any case."""

    page: int = 1
    limit: int = LIMIT_DEFAULT
    status: TaskStatus | None = None
    q: str | None = None
    sort: TaskSort = TaskSort.CREATED_AT_DESCENDING

    @classmethod
    def create(
        cls, *, page: int, limit: int, status: TaskStatus | None, q: str | None, sort: TaskSort
    ) -> Self:
        """Raises `Invalid` for a `q` that no task could match."""
        if q is not None:
            check = Check()
            q = check("q", lambda text: clean_search(text, max_length=SEARCH_MAX_LENGTH), q)
            check.done()
        return cls(page=page, limit=limit, status=status, q=q, sort=sort)

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.limit


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of tasks, and how many there are on all pages together."""

    tasks: Sequence[Task]
    total: int


class TaskRepository(Protocol):
    """Where tasks are kept. Every method may raise `Unavailable`.

    Each call is one atomic step. The owner is part of every question: no answer holds, and no
    change touches, a task of another user.
    """

    async def add(self, task: Task) -> Task:
        """Store a new task; the result has its id. Raises `UnknownUser` without its owner."""

    async def add_all(self, tasks: Sequence[Task]) -> None:
        """Store many new tasks: all, or none. Raises `UnknownUser` without their owner."""

    async def get(self, task_id: int, user_id: str) -> Task:
        """Raises `TaskNotFound`, `TaskNotYours`."""

    async def list(self, user_id: str, query: TaskQuery) -> TaskPage: ...

    async def save(self, task: Task, *, seen: int) -> None:
        """Store a changed task, provided that the stored one still has the version `seen`.

        Raises `StaleTask` where it has moved on, `TaskNotFound`, `TaskNotYours`.
        """

    async def remove(self, task_id: int, user_id: str, *, seen: int | None = None) -> None:
        """Forget a task; with `seen`, only in that version.

        Raises `StaleTask`, `TaskNotFound`, `TaskNotYours`.
        """
