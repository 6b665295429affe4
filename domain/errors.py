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
    """One rejected value."""

    #: The name of the field, as in the request.
    field: str
    #: The reason in a few words, without the value.
    error: str


class Invalid(TaskportError):
    """A readable value breaks a rule; `problems` names each of them."""

    code = "VALIDATION_ERROR"
    message = "Some of the values are not valid."

    def __init__(self, *problems: FieldError) -> None:
        super().__init__()
        self.problems = problems


class Unauthenticated(TaskportError):
    """No credential, or one that is invalid, expired, or of a session that has ended."""

    code = "UNAUTHENTICATED"
    message = "Valid credentials are required."


class Forbidden(TaskportError):
    """The user may not do this: a task of another user, a refresh without a session, or a preflight
    that CORS does not allow.
    """

    code = "FORBIDDEN"
    message = "You may not do this."


class NotFound(TaskportError):
    """The path does not exist."""

    code = "NOT_FOUND"
    message = "There is nothing here."


class Conflict(TaskportError):
    """Never raised itself: each conflict has a name of its own."""


class Stale(TaskportError):
    """Never raised itself: each kind of thing that can move on has a name of its own."""


class TooManyRequests(TaskportError):
    """A rate limit is exceeded. `retry_after` is in seconds."""

    code = "TOO_MANY_REQUESTS"
    message = "Too many requests; please wait a moment."

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = retry_after


class Unavailable(TaskportError):
    """The database or a key server does not respond, too many requests wait, the deadline has
    passed, or the service is about to stop. `retry_after` is in seconds.
    """

    code = "UNAVAILABLE"
    message = "The service cannot answer just now; please try again."

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = retry_after
