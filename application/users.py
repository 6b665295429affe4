"""Use cases of a user's own account."""

from dataclasses import dataclass

from application.ports.clock import Clock
from application.sign_in import SignInElsewhere
from domain.errors import Forbidden
from domain.refusals import Reason
from domain.users import User, UserRepository, clean_name
from domain.validation import Validator


@dataclass(frozen=True, slots=True)
class AccountPolicy:
    """The operator's settings for accounts."""

    #: Whether Better Auth alone changes and deletes accounts.
    is_elsewhere: bool = False
    #: Whether users can delete their account at this service.
    delete_user: bool = True


@dataclass(frozen=True)
class RenameUser:
    """Change the name of a user.

    It is newer than any earlier claim of a token.
    """

    users: UserRepository
    clock: Clock
    policy: AccountPolicy

    async def __call__(self, user_id: str, name: str) -> User:
        """Raises `Invalid`, `SignInElsewhere`, `UnknownUser`."""
        validator = Validator()
        name = validator.clean("name", clean_name, name)
        validator.raise_problems()
        if self.policy.is_elsewhere:
            raise SignInElsewhere
        return await self.users.rename(user_id, name, now=self.clock.now())


@dataclass(frozen=True)
class DeleteUser:
    """Delete a user with all their data.

    The store records the id, so that no older token creates it again. Deleting a missing account
    is no error.
    """

    users: UserRepository
    policy: AccountPolicy

    async def __call__(self, user_id: str) -> None:
        """Raises `SignInElsewhere`, `AccountInUse`; `Forbidden` if `DELETE_USER` is off."""
        if self.policy.is_elsewhere:
            raise SignInElsewhere
        if not self.policy.delete_user:
            raise Forbidden(Reason.DELETION_OFF)
        await self.users.remove(user_id)
