"""Users, which this service shares with Better Auth: the entity and the repository port."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, Self

from domain.errors import Conflict, Forbidden, Unauthenticated
from domain.refusals import Reason
from domain.text import clean_line
from domain.validation import RuleViolation, Validator

# Better Auth's grammar, which it checks at sign-up and at sign-in: an address outside it could
# never sign in there.
EMAIL_PATTERN: Final = (
    r"(?:[A-Za-z0-9_'+\-]+\.)*[A-Za-z0-9_'+\-]*[A-Za-z0-9_+\-]"
    r"@(?:[A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}"
)
_EMAIL: Final = re.compile(EMAIL_PATTERN)
#: RFC 5321, 4.5.3.1.3: a path of 256 octets contains an address of 254.
EMAIL_MAX_LENGTH: Final = 254


class UnknownUser(Unauthenticated):
    """The credential is valid, but its user does not exist, was deleted, or cannot be created."""

    code = "UNKNOWN_USER"
    message = "The user of these credentials does not exist."

    def __init__(self) -> None:
        super().__init__(Reason.USER_UNKNOWN)


class UserBanned(Forbidden):
    """The account is banned."""

    code = "USER_BANNED"
    message = "This account is banned."

    def __init__(self) -> None:
        super().__init__(Reason.USER_BANNED)


class EmailTaken(Conflict):
    """The address belongs to another user: at sign-up, or in a token that would create or change a
    user.
    """

    code = "EMAIL_TAKEN"
    message = "This e-mail address belongs to another user."


class AccountInUse(Conflict):
    """A row of the front end's own references the account, so that it cannot be deleted."""

    code = "ACCOUNT_IN_USE"
    message = "The account cannot be deleted: other data depends on it."


#: In code points.
NAME_MAX_LENGTH: Final = 255


def clean_name(text: str) -> str:
    """The name on one line, trimmed; may be empty. Raises `RuleViolation`."""
    return clean_line(text, max_length=NAME_MAX_LENGTH, may_be_blank=True)


def clean_email(text: str) -> str:
    """The address in lower case. Raises `RuleViolation`."""
    if len(text) > EMAIL_MAX_LENGTH or not _EMAIL.fullmatch(text):
        raise RuleViolation("must be an e-mail address in ASCII")
    return text.lower()


@dataclass(slots=True)
class User:
    """A person who can sign in: a row shared with Better Auth. An entity; times are in UTC."""

    #: The row's id as text: from a sign-up, 32 random letters and digits, a uuid or a number, as
    #: the front end's table has it; else the `sub` of a token. Never changes.
    id: str
    #: Unique; in lower case.
    email: str
    #: May be empty. Cleaned if this service receives it; Better Auth's is stored as it is.
    name: str
    #: False after a sign-up; later as Better Auth or a JWT states.
    email_verified: bool
    #: The URL of a picture, set by Better Auth or a token; read-only here.
    image: str | None
    created_at: datetime
    #: Claims of a token count only if they are later.
    updated_at: datetime
    #: Of a Better Auth plugin; read-only, never sent to clients. Log-in here is rejected.
    has_second_factor: bool = False
    #: Of a Better Auth plugin; read-only, never sent to clients.
    banned: bool = False
    #: None: never. Of a Better Auth plugin; read-only, never sent to clients.
    ban_expires_at: datetime | None = None

    @classmethod
    def create(
        cls,
        *,
        id: str,
        email: str,
        name: str = "",
        email_verified: bool = False,
        image: str | None = None,
        now: datetime,
    ) -> Self:
        """A new user. Raises `Invalid` for an e-mail address that Better Auth would reject."""
        validator = Validator()
        email = validator.clean("email", clean_email, email)
        validator.raise_problems()
        return cls(
            id=id,
            email=email,
            name=name,
            email_verified=email_verified,
            image=image,
            created_at=now,
            updated_at=now,
        )

    def is_banned(self, now: datetime) -> bool:
        """Whether the user is banned, with no end or one that is not past. At the exact end a ban
        still counts, as in Better Auth.
        """
        return self.banned and (self.ban_expires_at is None or self.ban_expires_at >= now)


class UserRepository(Protocol):
    """Stores users. Every method may raise `Unavailable`.

    The ids of deleted users are kept: a credential that was issued before the deletion is
    rejected and cannot create the user again, nor can one that was issued within an hour after it.
    `issued_at` is when it was issued; None counts as before the deletion.
    """

    async def get(self, user_id: str, *, issued_at: datetime | None) -> User:
        """Raises `UnknownUser` if the user does not exist or was deleted after `issued_at`."""

    async def find_by_email(self, email: str) -> User | None: ...

    async def exists(self) -> bool:
        """Whether there is any user."""

    async def add(self, user: User) -> User:
        """Store a new user of this service, and return it with its id.

        The id is the user's own, unless the store has ids of another kind. Raises `EmailTaken`,
        `Invalid`; `UnknownUser` if the store has columns that only the front end can fill.
        """

    async def introduce(self, user: User, *, issued_at: datetime | None) -> None:
        """Store a user whom a credential names. If the id exists, nothing changes: another request
        was first.

        Raises `EmailTaken`; `UnknownUser` if the user was deleted, and the credential was not
        issued an hour after that, or if the store cannot have such an id.
        """

    async def check_introduction(self, user: User, *, issued_at: datetime | None) -> None:
        """Raise what `introduce` would raise for a user who does not exist, but store nothing."""

    async def save(self, user: User) -> None:
        """Store a changed user, unless the stored `updated_at` is the same or later.

        Raises `EmailTaken`.
        """

    async def rename(self, user_id: str, name: str, *, now: datetime) -> User:
        """Change only the name. The new `updated_at` is later than the stored one.

        Raises `UnknownUser`.
        """

    async def release_email(self, email: str) -> bool:
        """Take the address from a user who signed up at this service and never verified it, or
        whom only credentials from elsewhere have introduced.

        False if no such user has it. The user keeps everything else.
        """

    async def remove(self, user_id: str) -> None:
        """Delete the user with everything that belongs to it, and keep its id and the time.

        Raises `AccountInUse`.
        """
