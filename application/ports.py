"""What the use cases need from the world, beside the repositories of `domain/`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from domain.sessions import Session, SessionStore
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

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def accounts(self) -> "AccountStore": ...

    async def commit(self) -> None:
        """Make the changes last. Without it, leaving the unit undoes them all."""


class UnitOfWorkFactory(Protocol):
    def __call__(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new unit of work, for one `async with`."""


class AccountStore(Protocol):
    """Where the password hashes of users are kept. Every method may raise `Unavailable`."""

    async def password_hash(self, user_id: str) -> str | None:
        """None for a user who has no password, and for nobody."""

    async def add_password(
        self, *, id: str, user_id: str, password_hash: str, now: datetime
    ) -> None:
        """Give a user without one a password. Raises `UnknownUser`."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """The public half of a key that signs tokens: a JSON Web Key, as text.

    `algorithm` is None where the store does not know; so is `expires_at` where it never does.
    """

    id: str
    public_key: str
    algorithm: str | None
    expires_at: datetime | None


class KeyStore(Protocol):
    async def find(self, key_id: str) -> StoredKey | None:
        """Raises `Unavailable`."""


class Passwords(Protocol):
    """Hashing takes long, whatever is hashed. Raises `Unavailable` where too many wait for it."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one behind a hash. Against None it takes as long, in vain."""


class RandomIds(Protocol):
    def __call__(self) -> str:
        """A new id, or a new session token: nobody can guess it."""


class CredentialKind(StrEnum):
    """The forms in which somebody can prove who they are."""

    COOKIE = "cookie"
    SESSION_TOKEN = "session_token"  # noqa: S105
    JWT = "jwt"
    ACCESS_TOKEN = "access_token"  # noqa: S105
    SHARED_SECRET = "shared_secret"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows of its sender, unverified: two header values as they came."""

    authorization: str | None = None
    cookie: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a credential says of its user beyond the id.

    `email` has passed `clean_email`. None in `name`, `email_verified` or `updated_at`: it does not
    say; in `image`, it says that there is none, unless `says_image` is false.
    """

    email: str
    name: str | None
    image: str | None
    email_verified: bool | None
    updated_at: datetime | None
    says_image: bool = True


@dataclass(frozen=True, slots=True)
class UserProof:
    """A verified credential that names a user, and when it was issued (None: it does not say).

    With `claims`, the credential comes from a source that may introduce a user to us.
    """

    kind: CredentialKind
    user_id: str
    issued_at: datetime | None
    claims: Claims | None = None


@dataclass(frozen=True, slots=True)
class SessionProof:
    """A verified credential that stands for a session, by its token or by its id.

    `user_id` is whom it names, where it names anybody. `is_temporary` where it says that the
    session is not to be prolonged.
    """

    kind: CredentialKind
    token: str | None = field(default=None, repr=False)
    session_id: str | None = None
    user_id: str | None = None
    is_temporary: bool = False


Proof = UserProof | SessionProof


class Authenticator(Protocol):
    async def __call__(self, credentials: Credentials) -> Sequence[Proof]:
        """Verify what a request shows: first the proof that decides, then those beside it.

        Those beside it may turn out to prove nothing, but not to prove somebody else.
        Raises `Unauthenticated`, `Unavailable`.
        """


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What to show instead of the session, and for how long that works at most."""

    token: str = field(repr=False)
    lifetime: timedelta


class AccessTokenSigner(Protocol):
    def __call__(self, session: Session, now: datetime) -> AccessToken:
        """A token that `Authenticator` takes for this session, as long as the session lives."""


class SessionCookies(Protocol):
    """The cookies of a session, each as the value of a `Set-Cookie` header."""

    @property
    def name(self) -> str:
        """Of the one that proves the session."""

    def issue(
        self, session: Session, *, is_temporary: bool = False, shown: str | None = None
    ) -> Sequence[str]:
        """One that lasts as long as the session; or, temporary, as long as the browser runs.

        Of the cookies that the request has `shown`, what says otherwise is taken back.
        """

    def expire(self) -> Sequence[str]:
        """Let the browser forget them all."""


class TokenSigner(Protocol):
    def __call__(self, *, user_id: str, email: str, now: datetime) -> str:
        """A token that `Authenticator` takes for this user."""


class WindowCount(NamedTuple):
    """How often something was counted in the window at hand, and when that ends."""

    times: int
    seconds_left: float


WindowKey = tuple[str, int]
"""What is counted, and how many seconds a window of it lasts; the same in two windows is two."""


class Counters(Protocol):
    """Counts in windows, each of which begins with the first of its kind.

    Every method may raise `Unavailable`; then nobody knows whether it has counted.
    """

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        """Count each of them once more."""

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        """Count each of them once less; never below nothing."""


class StorageHealth(Protocol):
    async def ping(self) -> None:
        """Raises `Unavailable`."""

    async def is_behind(self) -> bool:
        """Whether the schema is older than this code expects. Raises `Unavailable`."""
