"""Password hashes in a dictionary."""

from dataclasses import dataclass
from datetime import datetime

from adapters.memory.store import MemoryStore
from domain.users import UnknownUser


@dataclass(frozen=True, slots=True)
class MemoryAccounts:
    """An `AccountStore`."""

    store: MemoryStore

    async def password_hash(self, user_id: str) -> str | None:
        return self.store.password_hashes.get(user_id)

    async def add_password(
        self, *, id: str, user_id: str, password_hash: str, now: datetime
    ) -> None:
        if user_id not in self.store.users:
            raise UnknownUser
        self.store.password_hashes[user_id] = password_hash
