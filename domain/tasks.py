"""Tasks: the entity, the values that create, change and list it, and the repository port."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol, Self

from domain.errors import Forbidden, NotFound, Stale
from domain.refusals import Reason
from domain.text import clean_block, clean_line, clean_search
from domain.validation import KEEP, Keep, clean_fields, optional

#: In code points. The schema and the check of the column use it as well.
TITLE_MAX_LENGTH: Final = 200
#: In code points. The schema and the check of the column use it as well.
DESCRIPTION_MAX_LENGTH: Final = 1_000
#: The length of `q` in code points.
SEARCH_MAX_LENGTH: Final = 200
#: The greatest number of a page.
PAGE_MAX: Final = 1_000_000
#: The greatest number of tasks on a page.
LIMIT_MAX: Final = 100
#: The number of tasks on a page by default.
LIMIT_DEFAULT: Final = 50
#: The id of a task that no repository has stored yet; stored ids start at 1.
UNSTORED: Final = 0


class TaskNotFound(NotFound):
    """The task does not exist; with `HIDE_FOREIGN_TASKS`, also if it belongs to another user."""

    code = "TASK_NOT_FOUND"
    message = "There is no such task."


class TaskNotYours(Forbidden):
    """The task belongs to another user. `owner_id` is for the log only, never for a response."""

    message = "This task belongs to another user."

    def __init__(self, task_id: int, user_id: str, owner_id: str) -> None:
        super().__init__(Reason.TASK_OF_ANOTHER_USER)
        self.task_id = task_id
        self.user_id = user_id
        self.owner_id = owner_id


class StaleTask(Stale):
    """The task has another version than those of `If-Match`."""

    code = "STALE_TASK"
    message = "The task has changed since you read it; read it again."


class TaskStatus(StrEnum):
    """Whether a task is done."""

    #: To be done; the status of a new task by default.
    PENDING = "Pending"
    #: Done, since `completed_at`.
    COMPLETED = "Completed"


def clean_title(text: str) -> str:
    """Raises `RuleViolation`."""
    return clean_line(text, max_length=TITLE_MAX_LENGTH)


def clean_description(text: str) -> str:
    """Raises `RuleViolation`."""
    return clean_block(text, max_length=DESCRIPTION_MAX_LENGTH)


def clean_q(text: str) -> str:
    """Raises `RuleViolation`."""
    return clean_search(text, max_length=SEARCH_MAX_LENGTH)


_RULES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "title": clean_title,
    "description": optional(clean_description),
}
_QUERY_RULES: Final = {"q": optional(clean_q)}


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """The values of a new task. Cleans itself when it is made, or raises `Invalid`."""

    #: Cleaned text on one line.
    title: str
    #: Cleaned text; None for no description.
    description: str | None = None
    status: TaskStatus = TaskStatus.PENDING

    def __post_init__(self) -> None:
        clean_fields(self, _RULES)


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A partial update: a field that is `KEEP` stays unchanged.

    Cleans itself when it is made, or raises `Invalid`.
    """

    #: It cannot be cleared.
    title: str | Keep = KEEP
    #: None clears it.
    description: str | Keep | None = KEEP
    #: Completed sets `completed_at`, Pending clears it.
    status: TaskStatus | Keep = KEEP

    def __post_init__(self) -> None:
        clean_fields(self, _RULES)


_CHANGEABLE: Final = tuple(field.name for field in fields(TaskChange))
_COMPLETE: Final = TaskChange(status=TaskStatus.COMPLETED)
_REOPEN: Final = TaskChange(status=TaskStatus.PENDING)


@dataclass(slots=True)
class Task:
    """Something that a user wants to do. An entity; times are aware and in UTC.

    `Task.create` makes a new one from a valid draft; the constructor rehydrates a stored one and
    trusts it. A change that changes nothing leaves `version` and `updated_at` unchanged.
    """

    #: `UNSTORED`, then from 1. The database generates it; gaps are normal. Never changes.
    id: int
    #: The owner. Never changes.
    user_id: str
    #: Cleaned text on one line.
    title: str
    #: Cleaned text. The empty text and None are two values.
    description: str | None
    status: TaskStatus
    #: When it was completed; set exactly while `status` is Completed.
    completed_at: datetime | None
    #: From 1; grows by one with each change. Optimistic locking and the ETag use it.
    version: int
    #: Never changes.
    created_at: datetime
    #: The time of the last change; never before an earlier one.
    updated_at: datetime

    @classmethod
    def create(cls, draft: TaskDraft, *, user_id: str, now: datetime) -> Self:
        """A new task, with the id `UNSTORED`."""
        return cls(
            id=UNSTORED,
            user_id=user_id,
            title=draft.title,
            description=draft.description,
            status=draft.status,
            completed_at=now if draft.status is TaskStatus.COMPLETED else None,
            version=1,
            created_at=now,
            updated_at=now,
        )

    def update(self, change: TaskChange, now: datetime) -> None:
        """Apply a change. If no value differs, `version` and `updated_at` stay the same."""
        changed = False
        for name in _CHANGEABLE:
            value = getattr(change, name)
            if value is not KEEP and value != getattr(self, name):
                setattr(self, name, value)
                changed = True
        if not changed:
            return
        self.version += 1
        self.updated_at = max(now, self.updated_at)
        completed = self.status is TaskStatus.COMPLETED
        if completed is (self.completed_at is None):
            self.completed_at = self.updated_at if completed else None

    def complete(self, now: datetime) -> None:
        """Set the status to Completed; no effect if it is."""
        self.update(_COMPLETE, now)

    def reopen(self, now: datetime) -> None:
        """Set the status to Pending; no effect if it is."""
        self.update(_REOPEN, now)

    def toggle(self, now: datetime) -> None:
        """Complete a pending task, reopen a completed one."""
        if self.status is TaskStatus.COMPLETED:
            self.reopen(now)
        else:
            self.complete(now)


class TaskSort(StrEnum):
    """The order of a list: ties are ordered by id in the same direction, titles by code point."""

    #: Oldest first.
    CREATED_AT = "created_at"
    #: Newest first; the default.
    CREATED_AT_DESCENDING = "-created_at"
    #: Last changed last.
    UPDATED_AT = "updated_at"
    #: Last changed first.
    UPDATED_AT_DESCENDING = "-updated_at"
    #: By code point: `Z` before `a`.
    TITLE = "title"
    #: The reverse.
    TITLE_DESCENDING = "-title"

    @property
    def attribute(self) -> str:
        """The field of `Task` to order by."""
        return self.value.removeprefix("-")

    @property
    def is_descending(self) -> bool:
        return self.value.startswith("-")


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Filter, order and page of a list of tasks.

    Cleans itself when it is made, or raises `Invalid` for a `q` that no task can match.
    """

    #: 1 to `PAGE_MAX`, checked by the HTTP adapter. A page past the end is empty.
    page: int = 1
    #: 1 to `LIMIT_MAX`, checked by the HTTP adapter.
    limit: int = LIMIT_DEFAULT
    #: None: any status.
    status: TaskStatus | None = None
    #: A case-insensitive substring of title or description, without wildcards.
    q: str | None = None
    sort: TaskSort = TaskSort.CREATED_AT_DESCENDING

    def __post_init__(self) -> None:
        clean_fields(self, _QUERY_RULES)

    @property
    def offset(self) -> int:
        """The number of tasks on earlier pages."""
        return (self.page - 1) * self.limit


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of a list."""

    #: The tasks of the page, in order.
    tasks: Sequence[Task]
    #: The number of tasks on all pages, from the same snapshot.
    total: int


class TaskRepository(Protocol):
    """Stores tasks. Every method is atomic and may raise `Unavailable`.

    Every method takes the owner: none returns or changes a task of another user.
    """

    async def add(self, task: Task) -> Task:
        """Store a new task and return it with its id; the argument may be given it, too.

        Raises `UnknownUser` if the owner does not exist.
        """

    async def add_all(self, tasks: Sequence[Task]) -> None:
        """Store new tasks, all or none. Raises `UnknownUser` if an owner does not exist."""

    async def get(self, task_id: int, user_id: str) -> Task:
        """Raises `TaskNotFound`, `TaskNotYours`."""

    async def list(self, user_id: str, query: TaskQuery) -> TaskPage:
        """The page and the total are of one snapshot."""

    async def save(self, task: Task, *, expected_version: int) -> None:
        """Store a changed task, if the stored one still has the expected version.

        Raises `StaleTask` if it has another version; `TaskNotFound`, `TaskNotYours`.
        """

    async def remove(
        self, task_id: int, user_id: str, *, expected_version: int | None = None
    ) -> None:
        """Remove a task, if it has the expected version. None: in any version.

        Raises `StaleTask`, `TaskNotFound`, `TaskNotYours`.
        """
