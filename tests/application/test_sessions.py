"""Sign-up, log-in, log-out, refresh: results, errors and their order."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from adapters.memory.accounts import MemoryAccounts
from adapters.memory.sessions import MemorySessions
from adapters.memory.store import MemoryStore
from adapters.memory.unit_of_work import MemoryUnitOfWorkFactory
from adapters.memory.users import MemoryUsers
from application.authentication import Identity
from application.ports.credentials import CredentialKind
from application.ports.tokens import AccessToken
from application.sessions import EndSession, ListSessions, LogOut, ProlongSession, RefreshSession
from application.sign_in import (
    Device,
    EmailNotVerified,
    InvalidCredentials,
    LogIn,
    SecondFactorRequired,
    SignedIn,
    SignInPolicy,
    SignUp,
    SignUpClosed,
)
from domain.errors import (
    FieldError,
    Forbidden,
    Invalid,
    TaskportError,
    Unauthenticated,
    Unavailable,
)
from domain.sessions import SESSION_LIFETIME, Session, SessionNotFound
from domain.users import EmailTaken, User, UserBanned
from tests.conftest import NO_LIMITS, FixedClock

DAY = timedelta(days=1)
EMAIL, PASSWORD = "ann@example.com", "correct horse"
DEVICE = Device("2001:db8::1", "curl/8")
EMOJI = "👩"


@dataclass
class Passwords:
    """Fake `Passwords` with readable hashes, which records its calls."""

    hashed: list[str] = field(default_factory=list)
    verified: list[tuple[str, str | None]] = field(default_factory=list)
    is_full: bool = False
    meanwhile: Callable[[], object] = lambda: None

    async def hash(self, password: str) -> str:
        self._work()
        self.hashed.append(password)
        return f"hash of {password}"

    async def verify(self, password: str, stored: str | None) -> bool:
        self._work()
        self.verified.append((password, stored))
        return stored == f"hash of {password}"

    def _work(self) -> None:
        if self.is_full:
            raise Unavailable
        self.meanwhile()


def sign(session: Session, now: datetime) -> AccessToken:
    return AccessToken(f"{session.id} of {session.user_id} at {now}", DAY)


class SignInScenario:
    """The use cases over memory storage. Tests may change `policy`."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.store = MemoryStore()
        self.users = MemoryUsers(self.store)
        self.accounts = MemoryAccounts(self.store)
        self.sessions = MemorySessions(self.store)
        self.passwords = Passwords()
        self.policy = SignInPolicy()
        self.limits = NO_LIMITS
        self.ids = (f"id{number}" for number in count(1))

    def new_id(self) -> str:
        return next(self.ids)

    async def sign_up(self, **given: Any) -> SignedIn:
        action = SignUp(
            self.users,
            MemoryUnitOfWorkFactory(self.store),
            self.passwords,
            self.new_id,
            sign,
            self.clock,
            self.policy,
            self.limits,
        )
        return await action(**{"email": EMAIL, "password": PASSWORD, "device": DEVICE, **given})

    async def log_in(self, **given: Any) -> SignedIn:
        action = LogIn(
            self.users,
            self.accounts,
            self.sessions,
            self.passwords,
            self.new_id,
            sign,
            self.clock,
            self.policy,
            self.limits,
        )
        return await action(**{"email": EMAIL, "password": PASSWORD, "device": DEVICE, **given})

    async def refresh(self, identity: Identity) -> SignedIn:
        prolong = ProlongSession(self.sessions, self.clock, self.policy)
        return await RefreshSession(prolong, sign, self.clock)(identity)

    async def identity(self, result: SignedIn, **changes: Any) -> Identity:
        """The identity of a request with the session, as it is stored now."""
        assert result.session is not None
        found = await self.sessions.find_by_id(result.session.id)
        assert found is not None
        return Identity(
            **{
                "user": result.user,
                "credential": CredentialKind.COOKIE,
                "session": found[0],
                **changes,
            }
        )

    def change_user(self, **changes: Any) -> None:
        """Change the stored user, as a plugin of Better Auth does."""
        [user] = self.store.users.values()
        self.store.users[user.id] = replace(user, **changes)


@pytest.fixture
def scenario(clock: FixedClock) -> SignInScenario:
    return SignInScenario(clock)


@pytest.fixture
async def ann(scenario: SignInScenario) -> SignedIn:
    """Ann has signed up; her session and the recorded calls are removed."""
    result = await scenario.sign_up()
    scenario.store.sessions.clear()
    scenario.passwords.hashed.clear()
    return result


def problems(caught: pytest.ExceptionInfo[Invalid]) -> list[str]:
    return [problem.field for problem in caught.value.problems]


async def test_sign_up_creates_user_password_and_session(scenario: SignInScenario) -> None:
    result = await scenario.sign_up(email="Ann@Example.com", name="  Ann ")
    user, session = result.user, result.session
    assert session is not None
    now = scenario.clock.now()
    assert user == User("id1", EMAIL, "Ann", False, None, now, now)
    assert session == Session(
        session.id,
        user.id,
        session.token,
        now,
        now,
        now + SESSION_LIFETIME,
        "2001:db8::1",
        "curl/8",
    )
    assert len({user.id, session.id, session.token}) == 3
    assert result.access_token == sign(session, now)
    assert await scenario.users.get(user.id, issued_at=now) == user
    assert await scenario.sessions.find_by_token(session.token) == (session, user)
    assert await scenario.accounts.password_hash(user.id) == "hash of correct horse"


async def test_sign_up_without_a_name_has_the_empty_name(scenario: SignInScenario) -> None:
    assert (await scenario.sign_up()).user.name == ""


async def test_closed_sign_up_is_rejected(scenario: SignInScenario) -> None:
    scenario.policy = SignInPolicy(sign_up=False)
    with pytest.raises(SignUpClosed):
        await scenario.sign_up()
    assert not await scenario.users.exists()
    assert scenario.passwords.hashed == []


async def test_invalid_values_are_reported_before_closed_sign_up(scenario: SignInScenario) -> None:
    scenario.policy = SignInPolicy(sign_up=False)
    with pytest.raises(Invalid):
        await scenario.sign_up(email="nobody")


@pytest.mark.parametrize("email", [EMAIL, "ANN@example.COM"])
async def test_taken_email_address_is_rejected(
    scenario: SignInScenario, ann: SignedIn, email: str
) -> None:
    """It computes no hash and changes nothing of the user with that address."""
    with pytest.raises(EmailTaken):
        await scenario.sign_up(email=email, password="another password")
    assert scenario.passwords.hashed == []
    assert list(scenario.store.users.values()) == [ann.user]
    assert await scenario.accounts.password_hash(ann.user.id) == f"hash of {PASSWORD}"
    assert scenario.store.sessions == {}


async def test_email_address_taken_during_hashing_is_rejected(scenario: SignInScenario) -> None:
    other = User.create(id="other", email=EMAIL, now=scenario.clock.now())
    scenario.passwords.meanwhile = lambda: scenario.store.users.setdefault(other.id, other)
    with pytest.raises(EmailTaken):
        await scenario.sign_up()
    assert list(scenario.store.users) == ["other"]
    assert (scenario.store.password_hashes, scenario.store.sessions) == ({}, {})


async def test_sign_up_is_closed_if_the_table_rejects_new_users(scenario: SignInScenario) -> None:
    """The repository reports it like a deleted id."""
    scenario.store.deleted_users["id1"] = scenario.clock.now()
    with pytest.raises(SignUpClosed):
        await scenario.sign_up()
    assert (scenario.store.users, scenario.store.password_hashes, scenario.store.sessions) == (
        {},
        {},
        {},
    )


async def test_sign_up_with_required_verification_creates_no_session(
    scenario: SignInScenario,
) -> None:
    scenario.policy = SignInPolicy(require_email_verification=True)
    result = await scenario.sign_up()
    assert result == SignedIn(result.user)
    assert scenario.store.sessions == {}
    assert await scenario.accounts.password_hash(result.user.id) is not None
    assert not result.user.email_verified


async def test_sign_up_reports_all_problems_at_once(scenario: SignInScenario) -> None:
    with pytest.raises(Invalid) as caught:
        await scenario.sign_up(email="nobody", password="short", name="a\nb")
    assert caught.value.problems == (
        FieldError("email", "must be an e-mail address in ASCII"),
        FieldError("password", "must have at least 8 characters"),
        FieldError("name", "must not contain control characters"),
    )
    assert not await scenario.users.exists()


@pytest.mark.parametrize(
    "password",
    [
        "8letters",
        " " * 8,
        EMOJI * 4,
        EMOJI * 64,
        "x" * 128,
        "\ud800" * 8,
        "\ud800" * 128,
        "\udc00\ud83d" * 4,
        "\0" * 8,
        # Eight units before normalization, fewer after.
        "e\u0301" * 4,
        # 128 units before normalization, three times as many after.
        "\ufb03" * 128,
    ],
)
async def test_passwords_of_valid_length_are_accepted(
    scenario: SignInScenario, password: str
) -> None:
    """The length counts UTF-16 units of the text as it was sent."""
    result = await scenario.sign_up(password=password)
    assert scenario.passwords.hashed == [password]
    assert (await scenario.log_in(password=password)).user == result.user


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("", "at least 8"),
        ("7letter", "at least 8"),
        (EMOJI * 3 + "x", "at least 8"),
        ("\ud800" * 7, "at least 8"),
        ("x" * 129, "at most 128"),
        (EMOJI * 65, "at most 128"),
        (EMOJI * 64 + "x", "at most 128"),
        ("\ud800" * 129, "at most 128"),
        ("x" * 1_000_000, "at most 128"),
    ],
)
async def test_passwords_of_invalid_length_are_rejected(
    scenario: SignInScenario, password: str, error: str
) -> None:
    with pytest.raises(Invalid) as caught:
        await scenario.sign_up(password=password)
    [problem] = caught.value.problems
    assert problem == FieldError("password", f"must have {error} characters")
    assert scenario.passwords.hashed == []


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a\tb", "\u202ea", "x" * 256])
async def test_invalid_names_are_rejected(scenario: SignInScenario, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        await scenario.sign_up(name=name)
    assert problems(caught) == ["name"]


async def test_errors_never_contain_the_values_sent(scenario: SignInScenario) -> None:
    with pytest.raises(Invalid) as caught:
        await scenario.sign_up(email="canary@", password="canary", name="canary\0")
    assert "canary" not in f"{caught.value!r} {caught.value} {caught.value.problems}"


async def test_repr_of_a_sign_in_hides_the_tokens(scenario: SignInScenario) -> None:
    result = await scenario.sign_up()
    assert result.session is not None
    assert result.access_token is not None
    assert repr(result.session.token) not in repr(result)
    assert result.access_token.token not in repr(result)


async def test_log_in_creates_a_session(scenario: SignInScenario, ann: SignedIn) -> None:
    scenario.clock.advance(60)
    result = await scenario.log_in(email="ANN@example.com")
    session, now = result.session, scenario.clock.now()
    assert session is not None
    assert result == SignedIn(ann.user, session, sign(session, now))
    assert session == Session(
        session.id,
        ann.user.id,
        session.token,
        now,
        now,
        now + SESSION_LIFETIME,
        "2001:db8::1",
        "curl/8",
    )
    assert await scenario.sessions.find_by_token(session.token) == (session, ann.user)
    again = await scenario.log_in()
    assert again.session is not None
    assert (again.session.id, again.session.token) != (session.id, session.token)
    assert len(scenario.store.sessions) == 2


async def test_wrong_password_is_rejected(scenario: SignInScenario, ann: SignedIn) -> None:
    for wrong in ("", "x", PASSWORD.upper(), PASSWORD + " ", f"hash of {PASSWORD}"):
        with pytest.raises(InvalidCredentials):
            await scenario.log_in(password=wrong)
    assert scenario.store.sessions == {}


async def test_unknown_address_is_rejected_like_a_wrong_password(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    """A password is verified in each case, so the time is the same."""
    with pytest.raises(InvalidCredentials) as wrong:
        await scenario.log_in(password="wrong password")
    with pytest.raises(InvalidCredentials) as unknown:
        await scenario.log_in(email="nobody@example.com")
    scenario.store.password_hashes.clear()
    with pytest.raises(InvalidCredentials) as without:
        await scenario.log_in()
    assert len({str(caught.value) for caught in (wrong, unknown, without)}) == 1
    assert scenario.passwords.verified == [
        ("wrong password", f"hash of {PASSWORD}"),
        (PASSWORD, None),
        (PASSWORD, None),
    ]
    assert scenario.store.sessions == {}


async def test_unknown_address_is_rejected_even_if_the_hash_matches(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    """The hash of an empty id is compared, but cannot log in."""
    scenario.store.password_hashes[""] = f"hash of {PASSWORD}"
    with pytest.raises(InvalidCredentials):
        await scenario.log_in(email="nobody@example.com")
    assert scenario.passwords.verified == [(PASSWORD, f"hash of {PASSWORD}")]


async def test_invalid_log_in_hashes_no_password(scenario: SignInScenario, ann: SignedIn) -> None:
    """A password may be rejected as too long, but not as too short: old passwords may be short."""
    with pytest.raises(Invalid) as caught:
        await scenario.log_in(email="nobody", password=EMOJI * 65)
    assert problems(caught) == ["email", "password"]
    assert scenario.passwords.verified == []
    scenario.store.password_hashes[ann.user.id] = "hash of short"
    assert (await scenario.log_in(password="short")).user == ann.user


BANNED: dict[str, Any] = {"banned": True}
UNVERIFIED: dict[str, Any] = {"email_verified": False}
VERIFIED: dict[str, Any] = {"email_verified": True}
SECOND_FACTOR: dict[str, Any] = {"has_second_factor": True}


@pytest.mark.parametrize(
    ("user", "error"),
    [
        (BANNED | VERIFIED, UserBanned),
        (BANNED | UNVERIFIED | SECOND_FACTOR, UserBanned),
        (UNVERIFIED, EmailNotVerified),
        (UNVERIFIED | SECOND_FACTOR, EmailNotVerified),
        (SECOND_FACTOR | VERIFIED, SecondFactorRequired),
    ],
)
async def test_banned_unverified_or_two_factor_user_is_rejected_after_the_password(
    scenario: SignInScenario, ann: SignedIn, user: dict[str, Any], error: type[TaskportError]
) -> None:
    """Only a request with the right password learns the reason."""
    scenario.policy = SignInPolicy(require_email_verification=True)
    scenario.change_user(**user)
    with pytest.raises(InvalidCredentials):
        await scenario.log_in(password="wrong password")
    with pytest.raises(error):
        await scenario.log_in()
    assert scenario.store.sessions == {}


async def test_log_in_succeeds_after_the_obstacle_is_removed(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    scenario.policy = SignInPolicy(require_email_verification=True)
    scenario.change_user(**VERIFIED, **BANNED, ban_expires_at=scenario.clock.now())
    with pytest.raises(UserBanned):
        await scenario.log_in()
    scenario.clock.advance(1e-6)
    assert (await scenario.log_in()).session is not None
    scenario.change_user(banned=False, ban_expires_at=None)
    assert (await scenario.log_in()).session is not None


async def test_unverified_address_logs_in_if_verification_is_not_required(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    assert (await scenario.log_in()).session is not None


async def test_user_deleted_during_log_in_is_rejected(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    scenario.passwords.meanwhile = scenario.store.users.clear
    with pytest.raises(InvalidCredentials):
        await scenario.log_in()
    assert scenario.store.sessions == {}


async def test_rejected_log_in_changes_nothing(scenario: SignInScenario, ann: SignedIn) -> None:
    scenario.passwords.is_full = True
    with pytest.raises(Unavailable):
        await scenario.log_in()
    with pytest.raises(Unavailable):
        await scenario.sign_up(email="bob@example.com")
    assert list(scenario.store.users) == [ann.user.id]
    assert scenario.store.sessions == {}


async def test_log_out_ends_both_sessions_of_the_request(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in, second, other = [await scenario.log_in() for _ in range(3)]
    identity = await scenario.identity(signed_in, cookie_session=second.session)
    log_out = LogOut(scenario.sessions)
    await log_out(identity)
    assert other.session is not None
    assert list(scenario.store.sessions) == [other.session.id]
    # Another tab may have ended the session before.
    await log_out(identity)
    assert list(scenario.store.sessions) == [other.session.id]


async def test_log_out_ends_the_cookie_session_if_the_other_is_gone(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in, second = [await scenario.log_in() for _ in range(2)]
    identity = await scenario.identity(signed_in, cookie_session=second.session)
    assert signed_in.session is not None
    await scenario.sessions.remove(signed_in.session.id, ann.user.id)
    await LogOut(scenario.sessions)(identity)
    assert scenario.store.sessions == {}


async def test_log_out_with_bearer_and_cookie_of_one_session(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in = await scenario.log_in()
    await LogOut(scenario.sessions)(
        await scenario.identity(signed_in, cookie_session=signed_in.session)
    )
    assert scenario.store.sessions == {}


async def test_log_out_without_a_session_does_nothing(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    await scenario.log_in()
    await LogOut(scenario.sessions)(Identity(ann.user, CredentialKind.JWT))
    assert len(scenario.store.sessions) == 1


async def test_refresh_signs_a_token_and_prolongs_the_session(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in = await scenario.log_in()
    assert signed_in.session is not None
    scenario.clock.advance(DAY.total_seconds() - 1)
    young = await scenario.refresh(await scenario.identity(signed_in))
    assert young == SignedIn(
        ann.user, signed_in.session, sign(signed_in.session, scenario.clock.now())
    )
    scenario.clock.advance(1)
    old = await scenario.refresh(await scenario.identity(signed_in))
    now = scenario.clock.now()
    longer = replace(signed_in.session, updated_at=now, expires_at=now + SESSION_LIFETIME)
    assert old == SignedIn(ann.user, longer, sign(longer, now))
    assert scenario.store.sessions == {longer.id: longer}


async def test_refresh_without_a_session_is_forbidden(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    await scenario.log_in()
    with pytest.raises(Forbidden):
        await scenario.refresh(Identity(ann.user, CredentialKind.SHARED_SECRET))


async def test_refresh_of_an_ended_session_is_unauthenticated(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in = await scenario.log_in()
    identity = await scenario.identity(signed_in)
    assert signed_in.session is not None
    await scenario.sessions.remove(signed_in.session.id, ann.user.id)
    scenario.clock.advance(2 * DAY.total_seconds())
    with pytest.raises(Unauthenticated):
        await scenario.refresh(identity)
    assert scenario.store.sessions == {}


@pytest.mark.parametrize("source", ["the session", "the cookie"])
async def test_temporary_session_is_not_prolonged(
    scenario: SignInScenario, ann: SignedIn, source: str
) -> None:
    """It has a lifetime of a day, or a cookie of the request marks it as temporary."""
    signed_in = await scenario.log_in()
    assert signed_in.session is not None
    if source == "the session":
        signed_in.session.expires_at = signed_in.session.created_at + DAY
        scenario.store.sessions[signed_in.session.id] = signed_in.session
    scenario.clock.advance(DAY.total_seconds())
    identity = await scenario.identity(signed_in, is_temporary=source == "the cookie")
    assert not await ProlongSession(scenario.sessions, scenario.clock, scenario.policy)(identity)
    refreshed = await scenario.refresh(identity)
    assert refreshed.access_token == sign(signed_in.session, scenario.clock.now())
    assert scenario.store.sessions == {signed_in.session.id: signed_in.session}


async def test_prolong_returns_whether_it_prolonged(
    scenario: SignInScenario, ann: SignedIn
) -> None:
    signed_in = await scenario.log_in()
    prolong = ProlongSession(scenario.sessions, scenario.clock, scenario.policy)
    assert not await prolong(await scenario.identity(signed_in))
    assert not await prolong(await scenario.identity(signed_in, session=None))
    scenario.clock.advance(DAY.total_seconds())
    stale = await scenario.identity(signed_in)
    assert await prolong(await scenario.identity(signed_in))
    assert not await prolong(await scenario.identity(signed_in))
    # Another tab has read the session before: it loses the race without an error.
    assert await prolong(stale)


async def test_list_and_end_own_sessions(scenario: SignInScenario, ann: SignedIn) -> None:
    older, dead = await scenario.log_in(), await scenario.log_in()
    scenario.clock.advance(60)
    newer = await scenario.log_in()
    bob = await scenario.sign_up(email="bob@example.com")
    assert older.session is not None
    assert dead.session is not None
    assert bob.session is not None
    dead.session.expires_at = scenario.clock.now() - timedelta.resolution
    scenario.store.sessions[dead.session.id] = dead.session
    listed, end = ListSessions(scenario.sessions, scenario.clock), EndSession(scenario.sessions)
    assert list(await listed(ann.user.id)) == [newer.session, older.session]
    for other in (bob.session.id, "nothing", older.session.token):
        with pytest.raises(SessionNotFound):
            await end(ann.user.id, other)
    await end(ann.user.id, older.session.id)
    with pytest.raises(SessionNotFound):
        await end(ann.user.id, older.session.id)
    assert list(await listed(ann.user.id)) == [newer.session]
    assert list(await listed(bob.user.id)) == [bob.session]
    assert list(await listed("nobody")) == []
