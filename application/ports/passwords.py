"""Password hashes and where they are stored."""

from datetime import datetime
from typing import Protocol


class AccountStore(Protocol):
    """Stores the password hashes of users. Every method may raise `Unavailable`."""

    async def password_hash(self, user_id: str) -> str | None:
        """None if the user has no password or does not exist."""

    async def add_password(
        self, *, id: str, user_id: str, password_hash: str, now: datetime
    ) -> None:
        """Store the password hash of a user who has none, under `id` or an id of the store's own
        kind.

        Raises `UnknownUser`.
        """


class Passwords(Protocol):
    """Hashes passwords, which is slow on purpose.

    Every method raises `Unavailable` if too many calls are queued.
    """

    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password has this hash. With None, false after the same time."""
