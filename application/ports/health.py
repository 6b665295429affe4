"""Health of the storage."""

from typing import Protocol


class StorageHealth(Protocol):
    async def ping(self) -> None:
        """Raises `Unavailable`."""

    async def is_behind(self) -> bool:
        """Whether the schema is older than this code expects. Raises `Unavailable`."""
