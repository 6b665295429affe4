"""The dictionaries that the repositories share."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import TypeVar

from application.ports.keys import StoredKey
from domain.sessions import Session
from domain.tasks import Task
from domain.users import User

K = TypeVar("K")
V = TypeVar("V")

_TABLES = (
    "tasks",
    "users",
    "deleted_users",
    "signed_up_here",
    "sessions",
    "password_hashes",
    "keys",
)


@dataclass(slots=True)
class MemoryStore:
    """The stored entities. Repositories store copies and return copies."""

    tasks: dict[int, Task] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    deleted_users: dict[str, datetime] = field(default_factory=dict)
    #: The users who signed up at this service, as keys.
    signed_up_here: dict[str, bool] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    password_hashes: dict[str, str] = field(default_factory=dict)
    keys: dict[str, StoredKey] = field(default_factory=dict)
    task_ids: Iterator[int] = field(default_factory=lambda: count(1))

    def fork(self) -> "MemoryStore":
        """A copy of the store that takes new ids from the same sequence."""
        return MemoryStore(
            **{name: dict(getattr(self, name)) for name in _TABLES}, task_ids=self.task_ids
        )

    def merge(self, base: "MemoryStore", changed: "MemoryStore") -> None:
        """Apply the differences between `base` and `changed` to this store."""
        for name in _TABLES:
            _merge(getattr(self, name), getattr(base, name), getattr(changed, name))

    def clear(self) -> None:
        """Remove everything."""
        for name in _TABLES:
            getattr(self, name).clear()
        self.task_ids = count(1)

    async def ping(self) -> None:
        """Memory is always available."""

    async def is_ready(self) -> bool:
        return True


def _merge(target: dict[K, V], base: dict[K, V], changed: dict[K, V]) -> None:
    for key in base.keys() - changed.keys():
        target.pop(key, None)
    target.update({k: v for k, v in changed.items() if v is not base.get(k)})
