"""A session: a row that this service shares with Better Auth. Who shows its token is its user."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol, Self

from domain.errors import NotFound
from domain.users import User

SESSION_LIFETIME: Final = timedelta(days=7)
SESSION_UPDATE_AGE: Final = timedelta(days=1)
"""Better Auth's defaults."""

_TEMPORARY_LIFETIME: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long a session lives, and how old it is before it is prolonged.

    Better Auth calls them `session.expiresIn` and `session.updateAge`.
    """

    lifetime: timedelta = SESSION_LIFETIME
    update_age: timedelta = SESSION_UPDATE_AGE


DEFAULT_POLICY: Final = SessionPolicy()
"""Where the front end has not decided otherwise."""


class SessionNotFound(NotFound):
    """The user has no such session."""

    code = "SESSION_NOT_FOUND"
    message = "There is no such session."


@dataclass(slots=True)
class Session:
    """Somebody's being signed in, on one device. Times are aware, in UTC.

    `token` is what proves it, and never leaves in an answer but to whoever signs in.
    """

    id: str
    user_id: str
    token: str = field(repr=False)
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    ip_address: str | None
    user_agent: str | None

    @classmethod
    def create(
        cls,
        *,
        id: str,
        user_id: str,
        token: str,
        ip_address: str | None,
        user_agent: str | None,
        now: datetime,
        policy: SessionPolicy = DEFAULT_POLICY,
    ) -> Self:
        return cls(
            id=id,
            user_id=user_id,
            token=token,
            created_at=now,
            updated_at=now,
            expires_at=now + policy.lifetime,
            ip_address=ip_address,
            user_agent=user_agent,
        )

    @property
    def is_temporary(self) -> bool:
        """Whether its user asked Better Auth not to be remembered: then it is made for a day.

        Where all are, nobody can tell.
        """
        lifetime = self.expires_at - self.created_at
        return abs(lifetime - _TEMPORARY_LIFETIME) < timedelta(seconds=1)

    def is_alive(self, now: datetime) -> bool:
        return self.expires_at >= now

    def prolong(self, now: datetime, policy: SessionPolicy = DEFAULT_POLICY) -> bool:
        """Let it live its whole life again where its present one is older than `update_age`.

        False where nothing changed: it is too young, temporary, or over.
        """
        due = self.expires_at - policy.lifetime + policy.update_age
        is_temporary = self.is_temporary and policy.lifetime != _TEMPORARY_LIFETIME
        if now < due or is_temporary or not self.is_alive(now):
            return False
        self.expires_at = now + policy.lifetime
        self.updated_at = now
        return True


class SessionStore(Protocol):
    """Where sessions are kept. Every method may raise `Unavailable`.

    What finds a session finds its user with it: a session whose user is gone does not exist.
    Whether it is still alive is for whoever asks to judge.
    """

    async def find_by_token(self, token: str) -> tuple[Session, User] | None: ...

    async def find_by_id(self, session_id: str) -> tuple[Session, User] | None: ...

    async def list(self, user_id: str, *, now: datetime) -> Sequence[Session]:
        """Those of the user that are alive, the newest first."""

    async def add(self, session: Session) -> None:
        """Raises `UnknownUser`."""

    async def save(self, session: Session) -> None:
        """Store a prolonged session, unless the stored one lives as long.

        Raises `SessionNotFound`.
        """

    async def remove(self, session_id: str, user_id: str) -> None:
        """Raises `SessionNotFound`, also where it is another user's."""
