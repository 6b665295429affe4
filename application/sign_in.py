"""Use cases of sign-up and log-in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from application.ports.clock import Clock
from application.ports.passwords import AccountStore, Passwords
from application.ports.tokens import AccessToken, AccessTokenSigner, RandomIds
from application.ports.unit_of_work import UnitOfWorkFactory
from application.sign_in_limits import SignInLimits
from domain.errors import Forbidden, Unauthenticated
from domain.refusals import Reason
from domain.sessions import DEFAULT_POLICY, Session, SessionPolicy, SessionStore
from domain.users import (
    EmailTaken,
    UnknownUser,
    User,
    UserBanned,
    UserRepository,
    clean_email,
    clean_name,
)
from domain.validation import RuleViolation, Validator

#: Better Auth's default.
PASSWORD_MIN_LENGTH: Final = 8
#: Better Auth's default.
PASSWORD_MAX_LENGTH: Final = 128


class SignUpClosed(Forbidden):
    """`SIGN_UP` or `EMAIL_AND_PASSWORD` is off, or the front end's table has columns that only the
    front end can fill.
    """

    code = "SIGN_UP_CLOSED"
    message = "Sign-up is closed."

    def __init__(self) -> None:
        super().__init__(Reason.SIGN_UP_CLOSED)


class SignInElsewhere(Forbidden):
    """Log-in with a password while `EMAIL_AND_PASSWORD` is off; a change of a session or of an
    account while Better Auth alone has them, by `BETTER_AUTH_SESSIONS`.
    """

    code = "SIGN_IN_ELSEWHERE"
    message = "Sign in, and change your account, on the front end."

    def __init__(self) -> None:
        super().__init__(Reason.SIGN_IN_ELSEWHERE)


class EmailNotVerified(Forbidden):
    """Log-in before the address was verified, if `REQUIRE_EMAIL_VERIFICATION` is on."""

    code = "EMAIL_NOT_VERIFIED"
    message = "The e-mail address must be verified first."

    def __init__(self) -> None:
        super().__init__(Reason.EMAIL_NOT_VERIFIED)


class SecondFactorRequired(Forbidden):
    """Log-in to an account with a second factor."""

    code = "SECOND_FACTOR_REQUIRED"
    message = "This account requires a second factor: sign in on the front end."

    def __init__(self) -> None:
        super().__init__(Reason.SECOND_FACTOR_REQUIRED)


class InvalidCredentials(Unauthenticated):
    """The address or the password of a log-in is wrong.

    `user_id` is for the log only: the response does not reveal whether the user exists.
    """

    code = "INVALID_CREDENTIALS"
    message = "The e-mail address or the password is wrong."

    def __init__(self, user_id: str | None = None) -> None:
        super().__init__(Reason.INVALID_CREDENTIALS)
        self.user_id = user_id


@dataclass(frozen=True, slots=True)
class Device:
    """The device that a session is created for."""

    #: The client address.
    ip_address: str | None = None
    #: The `User-Agent` header.
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The result of a sign-in, sign-up or refresh."""

    user: User
    #: None after a sign-up that creates no session.
    session: Session | None = None
    #: Valid while the session exists. None if there is no session.
    access_token: AccessToken | None = None


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """The lengths of passwords in UTF-16 code units, as Better Auth counts them."""

    #: Checked at sign-up.
    min_length: int = PASSWORD_MIN_LENGTH
    #: Checked at sign-up and log-in.
    max_length: int = PASSWORD_MAX_LENGTH

    def clean(self, password: str) -> str:
        """A password that Better Auth would accept. Raises `RuleViolation`."""
        if _length(password) < self.min_length:
            raise RuleViolation(f"must have at least {self.min_length} characters")
        return self.bounded(password)

    def bounded(self, password: str) -> str:
        """A password that is short enough to be hashed. Raises `RuleViolation`."""
        if _length(password) > self.max_length:
            raise RuleViolation(f"must have at most {self.max_length} characters")
        return password


DEFAULT_PASSWORD_POLICY: Final = PasswordPolicy()


@dataclass(frozen=True, slots=True)
class SignInPolicy:
    """The operator's settings for sign-up and sign-in."""

    #: Whether sessions begin at Better Auth alone, which then owns the accounts as well.
    is_elsewhere: bool = False
    #: Whether users can sign up and log in with a password at this service.
    email_and_password: bool = True
    #: Whether users can sign up at this service.
    sign_up: bool = True
    #: Whether sign-up creates a session.
    auto_sign_in: bool = True
    #: Whether an unverified e-mail address cannot sign in.
    require_email_verification: bool = False
    passwords: PasswordPolicy = DEFAULT_PASSWORD_POLICY
    sessions: SessionPolicy = DEFAULT_POLICY


@dataclass(frozen=True)
class SignUp:
    """Create a user, a password and a session, atomically.

    Checks the values, then `BETTER_AUTH_SESSIONS`, `EMAIL_AND_PASSWORD`, `SIGN_UP`, the limits and
    the address. No session with `REQUIRE_EMAIL_VERIFICATION` or without `AUTO_SIGN_IN`.
    `SignUpClosed` if the front end's tables have columns that only the front end can fill.
    """

    users: UserRepository
    unit_of_work: UnitOfWorkFactory
    passwords: Passwords
    ids: RandomIds
    signer: AccessTokenSigner
    clock: Clock
    policy: SignInPolicy
    limits: SignInLimits

    async def __call__(
        self, *, email: str, password: str, name: str = "", device: Device = Device()
    ) -> SignedIn:
        """Raises `Invalid`, `SignInElsewhere`, `SignUpClosed`, `TooManyRequests`, `EmailTaken`,
        `Unavailable`.
        """
        validator = Validator()
        email = validator.clean("email", clean_email, email)
        password = validator.clean("password", self.policy.passwords.clean, password)
        name = validator.clean("name", clean_name, name)
        validator.raise_problems()
        if self.policy.is_elsewhere:
            raise SignInElsewhere
        if not self.policy.email_and_password or not self.policy.sign_up:
            raise SignUpClosed
        await self.limits.count_sign_up(device.ip_address)
        if await self.users.find_by_email(email) is not None:
            raise EmailTaken
        password_hash = await self.passwords.hash(password)
        now = self.clock.now()
        user = User.create(id=self.ids(), email=email, name=name, now=now)
        session = None
        async with self.unit_of_work() as unit:
            try:
                user = await unit.users.add(user)
                await unit.accounts.add_password(
                    id=self.ids(), user_id=user.id, password_hash=password_hash, now=now
                )
                if self.policy.auto_sign_in and not self.policy.require_email_verification:
                    session = new_session(user, device, self.ids, now, self.policy.sessions)
                    session = await unit.sessions.add(session)
            except UnknownUser:
                # The ids are new, so the table has columns that only the front end can fill.
                raise SignUpClosed from None
            await unit.commit()
        if session is None:
            return SignedIn(user)
        return SignedIn(user, session, self.signer(session, now))


@dataclass(frozen=True)
class LogIn:
    """Create a session for an e-mail address and a password.

    An unknown address takes as long as a wrong password, and has the same error. Only after the
    right password does the error name a ban, a missing verification or a second factor; none of
    these creates a session.
    """

    users: UserRepository
    accounts: AccountStore
    sessions: SessionStore
    passwords: Passwords
    ids: RandomIds
    signer: AccessTokenSigner
    clock: Clock
    policy: SignInPolicy
    limits: SignInLimits

    async def __call__(self, *, email: str, password: str, device: Device = Device()) -> SignedIn:
        """Raises `Invalid`, `SignInElsewhere`, `TooManyRequests`, `InvalidCredentials`,
        `UserBanned`, `EmailNotVerified`, `SecondFactorRequired`, `Unavailable`.
        """
        validator = Validator()
        email = validator.clean("email", clean_email, email)
        password = validator.clean("password", self.policy.passwords.bounded, password)
        validator.raise_problems()
        if self.policy.is_elsewhere or not self.policy.email_and_password:
            raise SignInElsewhere
        async with self.limits.attempt(email, device.ip_address):
            user = await self._verify(email, password)
        if user.is_banned(self.clock.now()):
            raise UserBanned
        if self.policy.require_email_verification and not user.email_verified:
            raise EmailNotVerified
        if user.has_second_factor:
            raise SecondFactorRequired
        now = self.clock.now()
        session = new_session(user, device, self.ids, now, self.policy.sessions)
        try:
            # No session for an id whose tasks are those of another account.
            await self.users.get(user.id, issued_at=now)
            session = await self.sessions.add(session)
        except UnknownUser:
            raise InvalidCredentials from None
        return SignedIn(user, session, self.signer(session, now))

    async def _verify(self, email: str, password: str) -> User:
        user = await self.users.find_by_email(email)
        stored = await self.accounts.password_hash("" if user is None else user.id)
        if not await self.passwords.verify(password, stored) or user is None:
            raise InvalidCredentials(None if user is None else user.id)
        return user


def new_session(
    user: User, device: Device, ids: RandomIds, now: datetime, policy: SessionPolicy
) -> Session:
    """A new session with random id and token."""
    return Session.create(
        id=ids(),
        user_id=user.id,
        token=ids(),
        ip_address=device.ip_address,
        user_agent=device.user_agent,
        now=now,
        policy=policy,
    )


def _length(password: str) -> int:
    return len(password.encode("utf-16-le", "surrogatepass")) // 2
