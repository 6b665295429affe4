"""Tokens and cookies that this service issues."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from domain.sessions import Session


class RandomIds(Protocol):
    def __call__(self) -> str:
        """A new id, or a new session token: nobody can guess it."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What to show instead of the session, and for how long that works at most."""

    token: str = field(repr=False)
    lifetime: timedelta


class AccessTokenSigner(Protocol):
    def __call__(self, session: Session, now: datetime) -> AccessToken:
        """A token that `Authenticator` takes for this session, as long as the session lives."""


class TokenSigner(Protocol):
    def __call__(self, *, user_id: str, email: str, now: datetime) -> str:
        """A token that `Authenticator` takes for this user."""


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
