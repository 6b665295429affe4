"""The categories of errors.

```
TaskportError
├── Invalid           a value breaks a rule
├── Refused           has a reason that only the operator learns
│   ├── Unauthenticated   no credentials, or invalid ones
│   └── Forbidden         the user may not do this
├── NotFound          there is no such thing
├── Conflict          the change collides with existing data
├── Stale             the data has changed since the caller read it
├── TooManyRequests   a rate limit is exceeded
└── Unavailable       a dependency does not respond; the same request may succeed later
```

A specific error is a subclass beside its noun (`TaskNotFound` in `tasks.py`), with a stable `code`
for programs and a `message` for people. Neither contains a value that the client sent.
"""

from dataclasses import dataclass
from typing import ClassVar

from domain.refusals import Reason, Refusal


class TaskportError(Exception):
    """The base of all errors that the service reports to a client."""

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


class Refused(TaskportError):
    """Abstract: the credential or the user is refused, for a reason that no response contains."""

    def __init__(
        self, reason: Reason, *, expected: str | None = None, seen: str | None = None
    ) -> None:
        super().__init__()
        self.refusal = Refusal(reason, expected, seen)


class Unauthenticated(Refused):
    """No credential, or one that is invalid, expired, or of a session that has ended."""

    code = "UNAUTHENTICATED"
    message = "Valid credentials are required."


class Forbidden(Refused):
    """The user may not do this: a task of another user, a refresh without a session, deleting an
    account while `DELETE_USER` is off, or a preflight that CORS does not allow.
    """

    code = "FORBIDDEN"
    message = "You may not do this."


class NotFound(TaskportError):
    """The path does not exist."""

    code = "NOT_FOUND"
    message = "The requested resource does not exist."


class Conflict(TaskportError):
    """Abstract: each conflict is a subclass with a code of its own."""


class Stale(TaskportError):
    """Abstract: each kind of versioned data has a subclass with a code of its own."""


class TooManyRequests(TaskportError):
    """A rate limit is exceeded. `retry_after` is in seconds."""

    code = "TOO_MANY_REQUESTS"
    message = "Too many requests; please wait a moment."

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = retry_after


class Unavailable(TaskportError):
    """The database, or a server of keys or sessions, does not respond, too many requests wait,
    the deadline has passed, or the service is about to stop. `retry_after` is in seconds.
    """

    code = "UNAVAILABLE"
    message = "The service is temporarily unavailable; please try again."

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = retry_after
