"""Better Auth's `secondaryStorage`: texts by key, which expire."""

from collections.abc import Sequence
from typing import Protocol


class SecondaryStorage(Protocol):
    """Reads and changes values. Every method may raise `Unavailable`."""

    async def get(self, *keys: str) -> Sequence[str | None]:
        """The value of each key; None if there is none."""

    async def replace(self, key: str, expected: str, value: str | None, *, seconds: int) -> bool:
        """Change a value to another one, which expires in `seconds`, or delete it with None.

        Atomic. False, and nothing changes, if the value is not `expected`.
        """
