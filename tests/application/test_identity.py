"""Who a credential turns out to be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from adapters.memory.sessions import MemorySessions
from adapters.memory.store import MemoryStore
from adapters.memory.users import MemoryUsers
from application.identity import Authenticate
from application.ports import Claims, CredentialKind, Credentials, UserProof
from domain.users import UnknownUser, User
from tests.conftest import FixedClock

NOTHING = Credentials()


@dataclass
class Believing:
    """An `Authenticator` that is content with anything."""

    proof: UserProof

    async def __call__(self, credentials: Credentials) -> Sequence[UserProof]:
        return [self.proof]


@dataclass
class Setting:
    users: MemoryUsers
    believing: Believing
    authenticate: Authenticate

    def says(self, claims: Claims | None) -> None:
        self.believing.proof = replace(self.believing.proof, claims=claims)


@pytest.fixture
def setting(clock: FixedClock) -> Setting:
    store = MemoryStore()
    users = MemoryUsers(store)
    believing = Believing(UserProof(CredentialKind.SHARED_SECRET, "ann", clock.now()))
    return Setting(users, believing, Authenticate(believing, users, MemorySessions(store), clock))


@pytest.fixture
def claims(clock: FixedClock) -> Claims:
    return Claims("ann@example.com", "Ann", None, email_verified=True, updated_at=clock.now())


async def test_who_nobody_has_introduced_is_unknown(setting: Setting) -> None:
    with pytest.raises(UnknownUser):
        await setting.authenticate(NOTHING)


async def test_who_is_introduced_exists_from_then_on(
    setting: Setting, claims: Claims, clock: FixedClock
) -> None:
    setting.says(claims)
    ann = (await setting.authenticate(NOTHING)).user
    assert ann == User(
        "ann", "ann@example.com", "Ann", True, None, claims.updated_at or clock.now(), clock.now()
    )
    setting.says(None)
    assert (await setting.authenticate(NOTHING)).user == ann


async def test_old_claims_are_not_even_believed_for_one_request(
    setting: Setting, claims: Claims, clock: FixedClock
) -> None:
    setting.says(claims)
    ann = (await setting.authenticate(NOTHING)).user
    for age in (timedelta(0), timedelta(days=1)):
        setting.says(replace(claims, name="Old", updated_at=clock.now() - age))
        assert (await setting.authenticate(NOTHING)).user == ann


async def test_new_claims_are_believed_at_once_and_from_then_on(
    setting: Setting, claims: Claims, clock: FixedClock
) -> None:
    setting.says(claims)
    await setting.authenticate(NOTHING)
    clock.advance(60)
    news = replace(claims, name="New", email_verified=False, updated_at=clock.now())
    setting.says(news)
    changed = (await setting.authenticate(NOTHING)).user
    assert (changed.name, changed.email_verified) == ("New", False)
    assert await setting.users.get("ann", issued_at=None) == changed
