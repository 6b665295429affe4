"""Users in a dictionary."""

from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from adapters.memory.store import MemoryStore
from domain.sessions import Session
from domain.tasks import Task
from domain.users import EmailTaken, UnknownUser, User

K = TypeVar("K")
Owned = TypeVar("Owned", Session, Task)
_ABSENCE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class MemoryUsers:
    """A `UserRepository`. No method awaits, so each is atomic."""

    store: MemoryStore

    async def get(self, user_id: str, *, issued_at: datetime | None) -> User:
        user = self.store.users.get(user_id)
        if user is None or self._was_deleted_since(user_id, issued_at):
            raise UnknownUser
        return copy(user)

    async def find_by_email(self, email: str) -> User | None:
        for user in self.store.users.values():
            if user.email == email:
                return copy(user)
        return None

    async def exists(self) -> bool:
        return bool(self.store.users)

    async def add(self, user: User) -> User:
        self._claim(user.email, user.id)
        self.store.users[user.id] = copy(user)
        self.store.signed_up_here[user.id] = True
        return user

    async def introduce(self, user: User, *, issued_at: datetime | None) -> None:
        if self._was_deleted_since(user.id, issued_at, _ABSENCE):
            raise UnknownUser
        if user.id in self.store.users:
            return
        self._claim(user.email, user.id)
        self.store.users[user.id] = copy(user)

    async def check_introduction(self, user: User, *, issued_at: datetime | None) -> None:
        if self._was_deleted_since(user.id, issued_at, _ABSENCE):
            raise UnknownUser
        self._claim(user.email, user.id)

    async def save(self, user: User) -> None:
        stored = self.store.users.get(user.id)
        if stored is None or stored.updated_at >= user.updated_at:
            return
        self._claim(user.email, user.id)
        self.store.users[user.id] = copy(user)

    async def rename(self, user_id: str, name: str, *, now: datetime) -> User:
        stored = self.store.users.get(user_id)
        if stored is None:
            raise UnknownUser
        newer = max(now, stored.updated_at + timedelta.resolution)
        self.store.users[user_id] = replace(stored, name=name, updated_at=newer)
        return copy(self.store.users[user_id])

    async def release_email(self, email: str) -> bool:
        for user in self.store.users.values():
            is_released = user.email == email and not user.email_verified
            if is_released and user.id in self.store.signed_up_here:
                nobody = f"displaced-{user.id}@example.invalid"
                self.store.users[user.id] = replace(user, email=nobody)
                return True
        return False

    async def remove(self, user_id: str) -> None:
        if self.store.users.pop(user_id, None) is None:
            return
        self.store.signed_up_here.pop(user_id, None)
        self.store.deleted_users[user_id] = datetime.now(UTC)
        self.store.password_hashes.pop(user_id, None)
        _drop_owned(self.store.tasks, user_id)
        _drop_owned(self.store.sessions, user_id)

    def _was_deleted_since(
        self, user_id: str, issued_at: datetime | None, absence: timedelta = timedelta(0)
    ) -> bool:
        deleted_at = self.store.deleted_users.get(user_id)
        return deleted_at is not None and (issued_at is None or issued_at <= deleted_at + absence)

    def _claim(self, email: str, user_id: str) -> None:
        for other in self.store.users.values():
            if other.email == email and other.id != user_id:
                raise EmailTaken


def _drop_owned(rows: dict[K, Owned], user_id: str) -> None:
    for key in [key for key, row in rows.items() if row.user_id == user_id]:
        del rows[key]
