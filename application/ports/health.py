"""Health of the storage."""

from typing import Protocol


class StorageHealth(Protocol):
    """Checks the storage for health and readiness probes."""

    async def ping(self) -> None:
        """Check that the storage responds. Raises `Unavailable`."""

    async def is_ready(self) -> bool:
        """Whether requests can succeed: the schema is not older than this code expects, and the
        tables can be read.

        Raises `Unavailable`.
        """
