"""Better Auth's `secondaryStorage` in a dictionary."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MemorySecondaryStorage:
    """A `SecondaryStorage`. No method awaits, so each is atomic. Values never expire."""

    values: dict[str, str] = field(default_factory=dict)

    async def get(self, *keys: str) -> Sequence[str | None]:
        return [self.values.get(key) for key in keys]

    async def replace(self, key: str, expected: str, value: str | None, *, seconds: int) -> bool:
        if self.values.get(key) != expected:
            return False
        if value is None:
            del self.values[key]
        else:
            self.values[key] = value
        return True
