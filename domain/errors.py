"""What can go wrong, in a handful of categories.

```
TaskportError
├── Invalid           a value that the rules refuse
├── Unauthenticated   nobody, or nobody we can believe
├── Forbidden         somebody, but not allowed
├── NotFound          no such thing
├── Conflict          it collides with something that exists
├── Stale             it has moved on since the caller looked
├── TooManyRequests   not so fast
└── Unavailable       not now; the same request may succeed later
```

A state that can go wrong is a subclass beside its noun (`TaskNotFound` in `tasks.py`), with a
stable `code` for machines and a `message` for people. Neither ever holds what a caller sent.
"""

from dataclasses import dataclass
from typing import ClassVar


class TaskportError(Exception):
    """The root of everything that this service refuses or cannot do."""

    code: ClassVar[str]
    message: ClassVar[str]

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class FieldError:
    """One value that was refused: the name of its field, and why in a few words."""

    field: str
    error: str


class Invalid(TaskportError):
    """Some values break the rules; `problems` names each of them."""

    code = "VALIDATION_ERROR"
    message = "Some of the values are not valid."

    def __init__(self, *problems: FieldError) -> None:
        super().__init__()
        self.problems = problems


class Unauthenticated(TaskportError):
    code = "UNAUTHENTICATED"
    message = "Valid credentials are required."


class Forbidden(TaskportError):
    code = "FORBIDDEN"
    message = "You may not do this."


class NotFound(TaskportError):
    code = "NOT_FOUND"
    message = "There is nothing here."


class Conflict(TaskportError):
    """Never raised itself: each conflict has a name of its own."""


class Stale(TaskportError):
    """Never raised itself: each kind of thing that can move on has a name of its own."""


class TooManyRequests(TaskportError):
    """Somebody goes too fast. `retry_after` is in seconds."""

    code = "TOO_MANY_REQUESTS"
    message = "Too many requests; please wait a moment."

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = retry_after


class Unavailable(TaskportError):
    """Something that the request needs does not answer. `retry_after` is in seconds."""

    code = "UNAVAILABLE"
    message = "The service cannot answer just now; please try again."

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = retry_after
