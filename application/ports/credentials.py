"""Credentials of a request and what they prove."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class CredentialKind(StrEnum):
    """The forms in which somebody can prove who they are."""

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
