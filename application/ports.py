"""What the use cases need from the world, beside the repositories of `domain/`."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.tasks import TaskRepository
from domain.users import UserRepository


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""


class Retries(Protocol):
    def __call__(self) -> AsyncIterator[int]:
        """Attempts at a change that may lose a race, with a growing, random wait in between.

        Ends when trying on is hopeless.
        """


class UnitOfWork(Protocol):
    """Repositories whose changes stand or fall together."""

    @property
    def tasks(self) -> TaskRepository: ...

    @property
    def users(self) -> UserRepository: ...

    async def commit(self) -> None:
        """Make the changes last. Without it, leaving the unit undoes them all."""


class UnitsOfWork(Protocol):
    def __call__(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new unit of work, for one `async with`."""


class CredentialKind(StrEnum):
    """The forms in which somebody can prove who they are."""

    SHARED_SECRET = "shared_secret"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows of its sender, unverified: two header values as they came."""

    authorization: str | None = None
    cookie: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a credential says of its user beyond the id.

    `email` has passed `clean_email`. None in `email_verified` or `updated_at`: it does not say.
    """

    email: str
    name: str
    image: str | None
    email_verified: bool | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified credential: whom it names, when it was issued (None: it does not say).

    With `claims`, the credential comes from a source that may introduce a user to us.
    """

    kind: CredentialKind
    user_id: str
    issued_at: datetime | None
    claims: Claims | None = None


class Authenticator(Protocol):
    async def __call__(self, credentials: Credentials) -> Proof:
        """Verify whichever credential decides. Raises `Unauthenticated`, `Unavailable`."""


class TokenSigner(Protocol):
    def __call__(self, *, user_id: str, email: str, now: datetime) -> str:
        """A token that `Authenticator` takes for this user."""


class StorageHealth(Protocol):
    async def ping(self) -> None:
        """Raises `Unavailable`."""

    async def is_behind(self) -> bool:
        """Whether the schema is older than this code expects. Raises `Unavailable`."""
