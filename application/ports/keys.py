"""Public keys that verify signed tokens."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredKey:
    """The public half of a key that signs tokens: a JSON Web Key, as text.

    `algorithm` is None where the store does not know; so is `expires_at` where it never does.
    """

    id: str
    public_key: str
    algorithm: str | None
    expires_at: datetime | None


class KeyStore(Protocol):
    async def find(self, key_id: str) -> StoredKey | None:
        """Raises `Unavailable`."""
