"""Users that an examination reads, and never changes."""

from dataclasses import dataclass, field
from datetime import datetime

from domain.users import EmailTaken, User, UserRepository


@dataclass(slots=True)
class ReadOnlyUsers:
    """A `UserRepository` that checks what `Authenticate` would write, and only remembers it."""

    users: UserRepository
    #: The user whom a credential would create or update.
    changed: User | None = field(default=None, init=False)

    async def get(self, user_id: str, *, issued_at: datetime | None) -> User:
        if self.changed is not None and self.changed.id == user_id:
            return self.changed
        return await self.users.get(user_id, issued_at=issued_at)

    async def find_by_email(self, email: str) -> User | None:
        return await self.users.find_by_email(email)

    async def exists(self) -> bool:
        return await self.users.exists()

    async def introduce(self, user: User, *, issued_at: datetime | None) -> None:
        await self.users.check_introduction(user, issued_at=issued_at)
        self.changed = user

    async def check_introduction(self, user: User, *, issued_at: datetime | None) -> None:
        await self.users.check_introduction(user, issued_at=issued_at)

    async def save(self, user: User) -> None:
        other = await self.users.find_by_email(user.email)
        if other is not None and other.id != user.id:
            raise EmailTaken
        self.changed = user

    async def release_email(self, email: str) -> bool:
        """False: only the statement that releases an address knows whether it may."""
        return False

    async def add(self, user: User) -> User:
        raise NotImplementedError

    async def rename(self, user_id: str, name: str, *, now: datetime) -> User:
        raise NotImplementedError

    async def remove(self, user_id: str) -> None:
        raise NotImplementedError
