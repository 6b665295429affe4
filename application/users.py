"""What users can do with their own account."""

from dataclasses import dataclass

from application.ports.clock import Clock
from domain.text import Check
from domain.users import User, UserRepository, clean_name


@dataclass(frozen=True)
class RenameUser:
    users: UserRepository
    clock: Clock

    async def __call__(self, user_id: str, name: str) -> User:
        """Raises `Invalid`, `UnknownUser`."""
        check = Check()
        name = check("name", clean_name, name)
        check.done()
        return await self.users.rename(user_id, name, now=self.clock.now())


@dataclass(frozen=True)
class DeleteUser:
    users: UserRepository

    async def __call__(self, user_id: str) -> None:
        """The account goes with all that it owns, for good."""
        await self.users.remove(user_id)
