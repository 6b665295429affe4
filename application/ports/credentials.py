"""Credentials of a request and what they prove."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class CredentialKind(StrEnum):
    """The kinds of credentials."""

    #: Better Auth's signed session cookie.
    COOKIE = "cookie"
    #: The token of a session as bearer, raw or signed.
    SESSION_TOKEN = "session_token"  # noqa: S105
    #: A JWT of Better Auth's `jwt` plugin.
    JWT = "jwt"
    #: An access token of this service.
    ACCESS_TOKEN = "access_token"  # noqa: S105
    #: A token that the front end's server signed.
    SHARED_SECRET = "shared_secret"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Credentials:
    """The header values of a request that may contain credentials, unverified."""

    authorization: str | None = None
    cookie: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token about its user."""

    #: Validated by `clean_email`.
    email: str
    #: None if there is no such claim.
    name: str | None
    #: None if the user has no image, or if there is no such claim.
    image: str | None
    #: None if there is no such claim.
    email_verified: bool | None
    #: When the user was last changed. None if there is no such claim.
    updated_at: datetime | None
    #: Whether there is a claim about the image.
    states_image: bool = True


@dataclass(frozen=True, slots=True)
class UserProof:
    """A verified credential that names a user."""

    kind: CredentialKind
    user_id: str
    #: None if the credential does not tell.
    issued_at: datetime | None
    #: Only of an issuer that may create and update users.
    claims: Claims | None = None


@dataclass(frozen=True, slots=True)
class SessionProof:
    """A verified credential that names a session, by its token or by its id."""

    kind: CredentialKind
    token: str | None = field(default=None, repr=False)
    session_id: str | None = None
    #: The user that the credential names. None if it names only the session.
    user_id: str | None = None
    #: Whether the credential tells that the session must not be prolonged.
    is_temporary: bool = False


Proof = UserProof | SessionProof


class Authenticator(Protocol):
    """Verifies credentials."""

    async def __call__(self, credentials: Credentials) -> Sequence[Proof]:
        """The primary proof first, then secondary ones.

        A secondary proof may turn out to be of no existing session. If it is of another user than
        the primary one, the request is rejected. Raises `Unauthenticated`, `Unavailable`.
        """
