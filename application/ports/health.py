"""Health of the storage."""

from typing import Protocol


class StorageHealth(Protocol):
    """Checks the storage for health and readiness probes."""

    async def ping(self) -> None:
        """Check that the storage responds. Raises `Unavailable`."""

    async def is_behind(self) -> bool:
        """Whether the schema is older than this code expects. Raises `Unavailable`."""
