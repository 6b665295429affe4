"""Tokens and cookies that this service issues."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from domain.sessions import Session


class RandomIds(Protocol):
    """Generates ids."""

    def __call__(self) -> str:
        """A new id or session token that cannot be guessed."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token for a session."""

    token: str = field(repr=False)
    #: The longest that the token is valid: it ends with its session.
    lifetime: timedelta


class AccessTokenSigner(Protocol):
    """Issues access tokens."""

    def __call__(self, session: Session, now: datetime) -> AccessToken:
        """A token that `Authenticator` accepts as a proof of the session."""


class TokenSigner(Protocol):
    """Issues shared-secret tokens, for development."""

    def __call__(self, *, user_id: str, email: str, now: datetime) -> str:
        """A token that `Authenticator` accepts as a proof of the user."""


@dataclass(frozen=True, slots=True)
class BrowserCookies:
    """The cookies that a browser has, as far as its request shows them."""

    #: The `Cookie` headers, joined.
    header: str = field(default="", repr=False)
    #: The `Host` header: a browser has cookies for it and for the domains that it is in.
    host: str = ""


class SessionCookies(Protocol):
    """Issues and expires the cookies of a session, as values of `Set-Cookie` headers."""

    @property
    def name(self) -> str:
        """The name of the session cookie."""

    def issue(self, session: Session, *, is_temporary: bool = False) -> Sequence[str]:
        """Cookies that expire with the session; if it is temporary, when the browser is closed."""

    def replace(self, session: Session, browser: BrowserCookies) -> Sequence[str]:
        """The cookie of a new session; expires all other cookies of a session in the browser."""

    def expire(self, browser: BrowserCookies) -> Sequence[str]:
        """Expire all cookies of a session in the browser."""

    def signed_tokens(self, browser: BrowserCookies) -> Sequence[str]:
        """The tokens of all session cookies in the browser that are signed with our secret.

        For ending their sessions only: they prove no identity.
        """
