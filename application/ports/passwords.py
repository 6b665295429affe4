"""Password hashes and where they are stored."""

from datetime import datetime
from typing import Protocol


class AccountStore(Protocol):
    """Where the password hashes of users are kept. Every method may raise `Unavailable`."""

    async def password_hash(self, user_id: str) -> str | None:
        """None for a user who has no password, and for nobody."""

    async def add_password(
        self, *, id: str, user_id: str, password_hash: str, now: datetime
    ) -> None:
        """Give a user without one a password. Raises `UnknownUser`."""


class Passwords(Protocol):
    """Hashing takes long, whatever is hashed. Raises `Unavailable` where too many wait for it."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one behind a hash. Against None it takes as long, in vain."""
