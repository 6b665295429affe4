"""What users can do with their own account."""

from dataclasses import dataclass

from application.ports.clock import Clock
from domain.users import User, UserRepository, clean_name
from domain.validation import Validator


@dataclass(frozen=True)
class RenameUser:
    users: UserRepository
    clock: Clock

    async def __call__(self, user_id: str, name: str) -> User:
        """Raises `Invalid`, `UnknownUser`."""
        validator = Validator()
        name = validator.clean("name", clean_name, name)
        validator.raise_problems()
        return await self.users.rename(user_id, name, now=self.clock.now())


@dataclass(frozen=True)
class DeleteUser:
    users: UserRepository

    async def __call__(self, user_id: str) -> None:
        """The account goes with all that it owns, for good."""
        await self.users.remove(user_id)
