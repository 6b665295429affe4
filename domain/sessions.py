"""Sessions, which this service shares with Better Auth: the entity and the store port."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol, Self

from domain.errors import NotFound
from domain.users import User

#: Better Auth's default.
SESSION_LIFETIME: Final = timedelta(days=7)
#: Better Auth's default.
SESSION_UPDATE_AGE: Final = timedelta(days=1)
_TEMPORARY_LIFETIME: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long a session lives, and how old it is before it is prolonged."""

    #: Better Auth's `session.expiresIn`.
    lifetime: timedelta = SESSION_LIFETIME
    #: Better Auth's `session.updateAge`.
    update_age: timedelta = SESSION_UPDATE_AGE
    #: Whether the end of a session never moves: Better Auth's `session.disableSessionRefresh`.
    is_fixed: bool = False
    #: Whether a new session has the client's address: not with Better Auth's
    #: `advanced.ipAddress.disableIpTracking`.
    tracks_ip_address: bool = True


DEFAULT_POLICY: Final = SessionPolicy()


class SessionNotFound(NotFound):
    """The user has no such session."""

    code = "SESSION_NOT_FOUND"
    message = "There is no such session."


@dataclass(slots=True)
class Session:
    """A sign-in on one device: shared with Better Auth. An entity; times are in UTC."""

    #: The id as text: 32 random letters and digits, a uuid or a number.
    id: str
    #: The user who signed in.
    user_id: str
    #: 32 random letters and digits: the credential. Sent once, to the client that signs in. A store
    #: may have a whole credential in its place.
    token: str = field(repr=False)
    created_at: datetime
    #: When it was last prolonged.
    updated_at: datetime
    #: Valid until then, inclusive.
    expires_at: datetime
    #: Of the client that signed in, as far as `TRUSTED_PROXIES` reveals it. None with
    #: `DISABLE_IP_TRACKING`.
    ip_address: str | None
    #: Of the client that signed in; its first 512 characters.
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
            ip_address=ip_address if policy.tracks_ip_address else None,
            user_agent=user_agent,
        )

    @property
    def is_temporary(self) -> bool:
        """Whether its lifetime is one day, to the second: the user signed in at Better Auth with
        `rememberMe: false`. If every session lives a day, temporary ones cannot be distinguished.
        """
        lifetime = self.expires_at - self.created_at
        return abs(lifetime - _TEMPORARY_LIFETIME) < timedelta(seconds=1)

    def is_alive(self, now: datetime) -> bool:
        """Whether `expires_at` is not past."""
        return self.expires_at >= now

    def prolong(self, now: datetime, policy: SessionPolicy = DEFAULT_POLICY) -> bool:
        """Restart the lifetime if it began `update_age` ago or earlier.

        Returns False, and changes nothing, if the session is younger, temporary, or expired, or if
        the policy fixes its end.
        """
        if policy.is_fixed:
            return False
        due = self.expires_at - policy.lifetime + policy.update_age
        is_temporary = self.is_temporary and policy.lifetime != _TEMPORARY_LIFETIME
        if now < due or is_temporary or not self.is_alive(now):
            return False
        self.expires_at = now + policy.lifetime
        self.updated_at = now
        return True


class SessionStore(Protocol):
    """Finds and ends sessions, wherever Better Auth keeps them. Every method may raise
    `Unavailable`.

    A session whose user does not exist is not found. Callers check whether it has expired.
    """

    @property
    def has_foreign_users(self) -> bool:
        """Whether the users come with their sessions from elsewhere, and are to be introduced."""

    async def find_by_token(self, token: str) -> tuple[Session, User] | None: ...

    async def find_by_id(self, session_id: str) -> tuple[Session, User] | None:
        """None as well if sessions cannot be found by their ids."""

    async def list(
        self, user_id: str, *, now: datetime, caller: Session | None = None
    ) -> Sequence[Session]:
        """The sessions of the user that have not expired, newest first.

        `caller` is a session of the user that the request proves. A store that asks in the name of
        the user raises `Forbidden` without one.
        """

    async def add(self, session: Session) -> Session:
        """Store a new session, and return it as it was stored: a store may have ids of another kind
        and room for shorter texts.

        Raises `UnknownUser` if the user does not exist; `Forbidden` if sessions begin elsewhere.
        """

    async def save(self, session: Session) -> None:
        """Store a prolonged session, unless the stored one expires at the same time or later.

        Raises `SessionNotFound`.
        """

    async def remove(self, session_id: str, user_id: str, *, caller: Session | None = None) -> None:
        """Raises `SessionNotFound`, also if the session belongs to another user.

        For `caller`, see `list`.
        """
