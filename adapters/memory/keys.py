"""Public keys in a dictionary. Only tests add some: no Better Auth server shares the memory."""

from dataclasses import dataclass

from adapters.memory.store import MemoryStore
from application.ports.keys import StoredKey


@dataclass(frozen=True, slots=True)
class MemoryKeys:
    """A `KeyStore`."""

    store: MemoryStore

    async def find(self, key_id: str) -> StoredKey | None:
        return self.store.keys.get(key_id)
