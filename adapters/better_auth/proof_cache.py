"""A bounded memory of what was verified: checking a signature costs more than all that follows."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

_CAPACITY = 4_096

Proven = TypeVar("Proven")


@dataclass(slots=True)
class ProofCache(Generic[Proven]):
    """What each token proved, for as long as it may be believed without another look."""

    _proven: dict[str, tuple[float, Proven]] = field(default_factory=dict, repr=False)

    def get(self, token: str, now: datetime) -> Proven | None:
        seen = self._proven.get(token)
        if seen is None:
            return None
        until, proven = seen
        if until <= now.timestamp():
            del self._proven[token]
            return None
        return proven

    def put(self, token: str, proven: Proven, until: float) -> None:
        """Remember until a moment, in seconds since the epoch; the oldest makes room."""
        if len(self._proven) >= _CAPACITY:
            del self._proven[next(iter(self._proven))]
        self._proven[token] = until, proven
