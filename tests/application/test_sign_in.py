"""Sign-up and log-in: results, errors and their order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory.users import MemoryUsers
from application.sign_in import (
    EmailNotVerified,
    InvalidCredentials,
    PasswordPolicy,
    SecondFactorRequired,
    SignedIn,
    SignInElsewhere,
    SignInPolicy,
    SignUpClosed,
)
from domain.errors import FieldError, Invalid, TaskportError, Unavailable
from domain.sessions import SESSION_LIFETIME, Session
from domain.users import EmailTaken, UnknownUser, User, UserBanned
from domain.validation import RuleViolation
from tests.application.conftest import EMAIL, PASSWORD, SignInScenario, sign

EMOJI = "👩"


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


async def test_passwords_can_be_turned_off(scenario: SignInScenario, ann: SignedIn) -> None:
    """Neither sign-up nor log-in looks at the stored users."""
    scenario.policy = SignInPolicy(email_and_password=False)
    for email in (EMAIL, "bob@example.com"):
        with pytest.raises(SignUpClosed):
            await scenario.sign_up(email=email)
        with pytest.raises(SignInElsewhere):
            await scenario.log_in(email=email)
    assert (scenario.passwords.hashed, scenario.passwords.verified) == ([], [])
    assert scenario.store.sessions == {}
    with pytest.raises(Invalid):
        await scenario.log_in(email="nobody")


async def test_sign_up_without_auto_sign_in_creates_no_session(scenario: SignInScenario) -> None:
    scenario.policy = SignInPolicy(auto_sign_in=False)
    signed_up = await scenario.sign_up()
    assert (signed_up.session, signed_up.access_token) == (None, None)
    assert (await scenario.log_in()).session is not None


@given(length=st.integers(1, 30), bounds=st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_password_length_counts_utf_16_code_units(length: int, bounds: tuple[int, int]) -> None:
    """As JavaScript's `length` does: an emoji counts twice."""
    policy = PasswordPolicy(min(bounds), max(bounds))
    for password in ("x" * length, "😀" * (length // 2) + "x" * (length % 2)):
        for check, is_valid in (
            (policy.clean, policy.min_length <= length <= policy.max_length),
            (policy.bounded, length <= policy.max_length),
        ):
            if is_valid:
                assert check(password) == password
            else:
                with pytest.raises(RuleViolation):
                    check(password)


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


async def test_sign_up_is_closed_if_the_table_rejects_new_users(
    scenario: SignInScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository reports it like a user who does not exist."""

    async def add(_users: MemoryUsers, _user: User) -> User:
        raise UnknownUser

    monkeypatch.setattr(MemoryUsers, "add", add)
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
