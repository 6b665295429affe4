"""Signing up, in and out: who is let in, who is not, and in which order that is said."""

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
    """Hashes that anybody can read, and a note of each that was made or compared."""

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


class Door:
    """The use cases over memory. `policy` may be changed."""

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
        """Who shows the session, as it is stored now."""
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
        """As a plugin of the front end does."""
        [user] = self.store.users.values()
        self.store.users[user.id] = replace(user, **changes)


@pytest.fixture
def door(clock: FixedClock) -> Door:
    return Door(clock)


@pytest.fixture
async def ann(door: Door) -> SignedIn:
    """Ann has signed up, and everything is counted from then on."""
    result = await door.sign_up()
    door.store.sessions.clear()
    door.passwords.hashed.clear()
    return result


def problems(caught: pytest.ExceptionInfo[Invalid]) -> list[str]:
    return [problem.field for problem in caught.value.problems]


async def test_who_signs_up_has_an_account_a_password_and_a_session(door: Door) -> None:
    result = await door.sign_up(email="Ann@Example.com", name="  Ann ")
    user, session = result.user, result.session
    assert session is not None
    now = door.clock.now()
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
    assert await door.users.get(user.id, issued_at=now) == user
    assert await door.sessions.find_by_token(session.token) == (session, user)
    assert await door.accounts.password_hash(user.id) == "hash of correct horse"


async def test_a_name_may_be_left_out(door: Door) -> None:
    assert (await door.sign_up()).user.name == ""


async def test_a_door_that_is_closed(door: Door) -> None:
    door.policy = SignInPolicy(sign_up=False)
    with pytest.raises(SignUpClosed):
        await door.sign_up()
    assert not await door.users.exists()
    assert door.passwords.hashed == []


async def test_what_is_invalid_is_said_before_what_is_forbidden(door: Door) -> None:
    door.policy = SignInPolicy(sign_up=False)
    with pytest.raises(Invalid):
        await door.sign_up(email="nobody")


@pytest.mark.parametrize("email", [EMAIL, "ANN@example.COM"])
async def test_an_address_that_is_taken(door: Door, ann: SignedIn, email: str) -> None:
    """It costs no hash, and changes neither the password nor the sessions of whoever has it."""
    with pytest.raises(EmailTaken):
        await door.sign_up(email=email, password="another password")
    assert door.passwords.hashed == []
    assert list(door.store.users.values()) == [ann.user]
    assert await door.accounts.password_hash(ann.user.id) == f"hash of {PASSWORD}"
    assert door.store.sessions == {}


async def test_an_address_that_is_taken_while_the_password_is_hashed(door: Door) -> None:
    other = User.create(id="other", email=EMAIL, now=door.clock.now())
    door.passwords.meanwhile = lambda: door.store.users.setdefault(other.id, other)
    with pytest.raises(EmailTaken):
        await door.sign_up()
    assert list(door.store.users) == ["other"]
    assert (door.store.password_hashes, door.store.sessions) == ({}, {})


async def test_a_table_that_refuses_new_users_is_a_closed_door(door: Door) -> None:
    """To this service it looks like an id that was deleted before."""
    door.store.deleted_users["id1"] = door.clock.now()
    with pytest.raises(SignUpClosed):
        await door.sign_up()
    assert (door.store.users, door.store.password_hashes, door.store.sessions) == ({}, {}, {})


async def test_who_must_verify_their_address_has_no_session_yet(door: Door) -> None:
    door.policy = SignInPolicy(require_email_verification=True)
    result = await door.sign_up()
    assert result == SignedIn(result.user)
    assert door.store.sessions == {}
    assert await door.accounts.password_hash(result.user.id) is not None
    assert not result.user.email_verified


async def test_all_that_is_invalid_is_said_at_once(door: Door) -> None:
    with pytest.raises(Invalid) as caught:
        await door.sign_up(email="nobody", password="short", name="a\nb")
    assert caught.value.problems == (
        FieldError("email", "must be an e-mail address in ASCII"),
        FieldError("password", "must have at least 8 characters"),
        FieldError("name", "must not contain control characters"),
    )
    assert not await door.users.exists()


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
        # Eight before they are normalised, and fewer after.
        "e\u0301" * 4,
        # 128 before, and three times as many after.
        "\ufb03" * 128,
    ],
)
async def test_passwords_that_better_auth_would_take(door: Door, password: str) -> None:
    """Lengths are in UTF-16 units, before anything is done to the text."""
    result = await door.sign_up(password=password)
    assert door.passwords.hashed == [password]
    assert (await door.log_in(password=password)).user == result.user


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
async def test_passwords_that_better_auth_would_refuse(
    door: Door, password: str, error: str
) -> None:
    with pytest.raises(Invalid) as caught:
        await door.sign_up(password=password)
    [problem] = caught.value.problems
    assert problem == FieldError("password", f"must have {error} characters")
    assert door.passwords.hashed == []


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a\tb", "\u202ea", "x" * 256])
async def test_names_that_nobody_may_have(door: Door, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        await door.sign_up(name=name)
    assert problems(caught) == ["name"]


async def test_no_refusal_holds_what_was_sent(door: Door) -> None:
    with pytest.raises(Invalid) as caught:
        await door.sign_up(email="canary@", password="canary", name="canary\0")
    assert "canary" not in f"{caught.value!r} {caught.value} {caught.value.problems}"


async def test_a_signed_in_user_does_not_print_their_secrets(door: Door) -> None:
    result = await door.sign_up()
    assert result.session is not None
    assert result.access_token is not None
    assert repr(result.session.token) not in repr(result)
    assert result.access_token.token not in repr(result)


async def test_who_knows_the_password_is_let_in(door: Door, ann: SignedIn) -> None:
    door.clock.advance(60)
    result = await door.log_in(email="ANN@example.com")
    session, now = result.session, door.clock.now()
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
    assert await door.sessions.find_by_token(session.token) == (session, ann.user)
    again = await door.log_in()
    assert again.session is not None
    assert (again.session.id, again.session.token) != (session.id, session.token)
    assert len(door.store.sessions) == 2


async def test_who_does_not_know_the_password_is_not(door: Door, ann: SignedIn) -> None:
    for wrong in ("", "x", PASSWORD.upper(), PASSWORD + " ", f"hash of {PASSWORD}"):
        with pytest.raises(InvalidCredentials):
            await door.log_in(password=wrong)
    assert door.store.sessions == {}


async def test_nobody_is_refused_in_the_same_words_and_the_same_time(
    door: Door, ann: SignedIn
) -> None:
    """As long as it takes to compare a hash: whoever has none is compared with nothing."""
    with pytest.raises(InvalidCredentials) as wrong:
        await door.log_in(password="wrong password")
    with pytest.raises(InvalidCredentials) as nobody:
        await door.log_in(email="nobody@example.com")
    door.store.password_hashes.clear()
    with pytest.raises(InvalidCredentials) as without:
        await door.log_in()
    assert len({str(caught.value) for caught in (wrong, nobody, without)}) == 1
    assert door.passwords.verified == [
        ("wrong password", f"hash of {PASSWORD}"),
        (PASSWORD, None),
        (PASSWORD, None),
    ]
    assert door.store.sessions == {}


async def test_nobody_is_let_in_whatever_is_verified(door: Door, ann: SignedIn) -> None:
    """Nobody's hash is looked for like anybody's, and one under no id lets nobody in."""
    door.store.password_hashes[""] = f"hash of {PASSWORD}"
    with pytest.raises(InvalidCredentials):
        await door.log_in(email="nobody@example.com")
    assert door.passwords.verified == [(PASSWORD, f"hash of {PASSWORD}")]


async def test_only_what_can_be_read_is_compared(door: Door, ann: SignedIn) -> None:
    """A password may be too long, but not too short: who has a short one may get in with it."""
    with pytest.raises(Invalid) as caught:
        await door.log_in(email="nobody", password=EMOJI * 65)
    assert problems(caught) == ["email", "password"]
    assert door.passwords.verified == []
    door.store.password_hashes[ann.user.id] = "hash of short"
    assert (await door.log_in(password="short")).user == ann.user


BANNED: dict[str, Any] = {"banned": True}
UNVERIFIED: dict[str, Any] = {"email_verified": False}
VERIFIED: dict[str, Any] = {"email_verified": True}
SECOND_FACTOR: dict[str, Any] = {"has_second_factor": True}


@pytest.mark.parametrize(
    ("user", "refusal"),
    [
        (BANNED | VERIFIED, UserBanned),
        (BANNED | UNVERIFIED | SECOND_FACTOR, UserBanned),
        (UNVERIFIED, EmailNotVerified),
        (UNVERIFIED | SECOND_FACTOR, EmailNotVerified),
        (SECOND_FACTOR | VERIFIED, SecondFactorRequired),
    ],
)
async def test_what_stands_in_the_way_of_a_session(
    door: Door, ann: SignedIn, user: dict[str, Any], refusal: type[TaskportError]
) -> None:
    """It is told to whoever knows the password, and to nobody else."""
    door.policy = SignInPolicy(require_email_verification=True)
    door.change_user(**user)
    with pytest.raises(InvalidCredentials):
        await door.log_in(password="wrong password")
    with pytest.raises(refusal):
        await door.log_in()
    assert door.store.sessions == {}


async def test_what_stands_in_the_way_no_more(door: Door, ann: SignedIn) -> None:
    door.policy = SignInPolicy(require_email_verification=True)
    door.change_user(**VERIFIED, **BANNED, ban_expires_at=door.clock.now())
    with pytest.raises(UserBanned):
        await door.log_in()
    door.clock.advance(1e-6)
    assert (await door.log_in()).session is not None
    door.change_user(banned=False, ban_expires_at=None)
    assert (await door.log_in()).session is not None


async def test_an_address_need_not_be_verified_where_nobody_asks(door: Door, ann: SignedIn) -> None:
    assert (await door.log_in()).session is not None


async def test_who_is_deleted_while_the_hash_is_compared_is_nobody(
    door: Door, ann: SignedIn
) -> None:
    door.passwords.meanwhile = door.store.users.clear
    with pytest.raises(InvalidCredentials):
        await door.log_in()
    assert door.store.sessions == {}


async def test_who_is_turned_away_changes_nothing(door: Door, ann: SignedIn) -> None:
    door.passwords.is_full = True
    with pytest.raises(Unavailable):
        await door.log_in()
    with pytest.raises(Unavailable):
        await door.sign_up(email="bob@example.com")
    assert list(door.store.users) == [ann.user.id]
    assert door.store.sessions == {}


async def test_logging_out_ends_the_session_and_the_one_beside_it(
    door: Door, ann: SignedIn
) -> None:
    shown, beside, other = [await door.log_in() for _ in range(3)]
    identity = await door.identity(shown, cookie_session=beside.session)
    log_out = LogOut(door.sessions)
    await log_out(identity)
    assert other.session is not None
    assert list(door.store.sessions) == [other.session.id]
    # Whoever was faster, as in another tab, has done what was asked for.
    await log_out(identity)
    assert list(door.store.sessions) == [other.session.id]


async def test_the_session_beside_ends_though_the_other_has_ended_before(
    door: Door, ann: SignedIn
) -> None:
    shown, beside = [await door.log_in() for _ in range(2)]
    identity = await door.identity(shown, cookie_session=beside.session)
    assert shown.session is not None
    await door.sessions.remove(shown.session.id, ann.user.id)
    await LogOut(door.sessions)(identity)
    assert door.store.sessions == {}


async def test_a_bearer_and_a_cookie_of_the_same_session(door: Door, ann: SignedIn) -> None:
    shown = await door.log_in()
    await LogOut(door.sessions)(await door.identity(shown, cookie_session=shown.session))
    assert door.store.sessions == {}


async def test_who_has_no_session_logs_out_of_nothing(door: Door, ann: SignedIn) -> None:
    await door.log_in()
    await LogOut(door.sessions)(Identity(ann.user, CredentialKind.JWT))
    assert len(door.store.sessions) == 1


async def test_a_refresh_gives_a_new_token_and_prolongs_the_session(
    door: Door, ann: SignedIn
) -> None:
    shown = await door.log_in()
    assert shown.session is not None
    door.clock.advance(DAY.total_seconds() - 1)
    young = await door.refresh(await door.identity(shown))
    assert young == SignedIn(ann.user, shown.session, sign(shown.session, door.clock.now()))
    door.clock.advance(1)
    old = await door.refresh(await door.identity(shown))
    now = door.clock.now()
    longer = replace(shown.session, updated_at=now, expires_at=now + SESSION_LIFETIME)
    assert old == SignedIn(ann.user, longer, sign(longer, now))
    assert door.store.sessions == {longer.id: longer}


async def test_without_a_session_there_is_nothing_to_refresh(door: Door, ann: SignedIn) -> None:
    await door.log_in()
    with pytest.raises(Forbidden):
        await door.refresh(Identity(ann.user, CredentialKind.SHARED_SECRET))


async def test_a_session_that_was_ended_meanwhile_is_not_refreshed(
    door: Door, ann: SignedIn
) -> None:
    shown = await door.log_in()
    identity = await door.identity(shown)
    assert shown.session is not None
    await door.sessions.remove(shown.session.id, ann.user.id)
    door.clock.advance(2 * DAY.total_seconds())
    with pytest.raises(Unauthenticated):
        await door.refresh(identity)
    assert door.store.sessions == {}


@pytest.mark.parametrize("says", ["the session", "the cookie"])
async def test_a_temporary_session_is_not_prolonged(door: Door, ann: SignedIn, says: str) -> None:
    """It was made for a day; or a cookie beside it asks for it to be forgotten."""
    shown = await door.log_in()
    assert shown.session is not None
    if says == "the session":
        shown.session.expires_at = shown.session.created_at + DAY
        door.store.sessions[shown.session.id] = shown.session
    door.clock.advance(DAY.total_seconds())
    identity = await door.identity(shown, is_temporary=says == "the cookie")
    assert not await ProlongSession(door.sessions, door.clock, door.policy)(identity)
    refreshed = await door.refresh(identity)
    assert refreshed.access_token == sign(shown.session, door.clock.now())
    assert door.store.sessions == {shown.session.id: shown.session}


async def test_prolonging_says_whether_it_did(door: Door, ann: SignedIn) -> None:
    shown = await door.log_in()
    prolong = ProlongSession(door.sessions, door.clock, door.policy)
    assert not await prolong(await door.identity(shown))
    assert not await prolong(await door.identity(shown, session=None))
    door.clock.advance(DAY.total_seconds())
    stale = await door.identity(shown)
    assert await prolong(await door.identity(shown))
    assert not await prolong(await door.identity(shown))
    # Another tab that has read the session before: it has lost a race, and nothing else.
    assert await prolong(stale)


async def test_listing_and_ending_the_own_sessions(door: Door, ann: SignedIn) -> None:
    older, dead = await door.log_in(), await door.log_in()
    door.clock.advance(60)
    newer = await door.log_in()
    bob = await door.sign_up(email="bob@example.com")
    assert older.session is not None
    assert dead.session is not None
    assert bob.session is not None
    dead.session.expires_at = door.clock.now() - timedelta.resolution
    door.store.sessions[dead.session.id] = dead.session
    listed, end = ListSessions(door.sessions, door.clock), EndSession(door.sessions)
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
