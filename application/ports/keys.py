"""Public keys that verify signed tokens."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredKey:
    """The public key of a key pair that signs tokens."""

    id: str
    #: A JSON Web Key, as text.
    public_key: str
    #: None if the store does not contain it.
    algorithm: str | None
    #: None if the key does not expire.
    expires_at: datetime | None


class KeyStore(Protocol):
    """Finds the public keys that Better Auth has stored."""

    async def find(self, key_id: str) -> StoredKey | None:
        """Raises `Unavailable`."""
