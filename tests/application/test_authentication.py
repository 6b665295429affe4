"""Authentication: from verified credentials to a user."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from adapters.memory.sessions import MemorySessions
from adapters.memory.store import MemoryStore
from adapters.memory.users import MemoryUsers
from application.authentication import Authenticate, Identity
from application.ports.credentials import (
    Claims,
    CredentialKind,
    Credentials,
    Proof,
    SessionProof,
    UserProof,
)
from domain.errors import Unauthenticated
from domain.sessions import Session
from domain.users import UnknownUser, User, UserBanned
from tests.conftest import FixedClock

NOTHING = Credentials()


@dataclass
class FakeAuthenticator:
    """Fake `Authenticator` that returns given proofs."""

    proof: UserProof
    proofs: Sequence[Proof] = ()

    async def __call__(self, credentials: Credentials) -> Sequence[Proof]:
        return self.proofs or [self.proof]


@dataclass
class Scenario:
    users: MemoryUsers
    authenticator: FakeAuthenticator
    authenticate: Authenticate
    store: MemoryStore

    def set_claims(self, claims: Claims | None) -> None:
        self.authenticator.proof = replace(self.authenticator.proof, claims=claims)

    async def identify(self, *proofs: Proof) -> Identity:
        self.authenticator.proofs = proofs
        return await self.authenticate(NOTHING)

    def sign_in(self, user_id: str, session_id: str, clock: FixedClock) -> Session:
        """Store a session and its user."""
        email = f"{user_id}@example.com"
        user = User.create(id=user_id, email=email, now=clock.now())
        self.store.users.setdefault(user_id, user)
        session = Session.create(
            id=session_id,
            user_id=user_id,
            token=f"token of {session_id}",
            ip_address=None,
            user_agent=None,
            now=clock.now(),
        )
        self.store.sessions[session_id] = session
        return replace(session)


@pytest.fixture
def scenario(clock: FixedClock) -> Scenario:
    store = MemoryStore()
    users = MemoryUsers(store)
    authenticator = FakeAuthenticator(UserProof(CredentialKind.SHARED_SECRET, "ann", clock.now()))
    authenticate = Authenticate(authenticator, users, MemorySessions(store), clock)
    return Scenario(users, authenticator, authenticate, store)


@pytest.fixture
def claims(clock: FixedClock) -> Claims:
    return Claims("ann@example.com", "Ann", None, email_verified=True, updated_at=clock.now())


async def test_missing_user_without_claims_is_unknown(scenario: Scenario) -> None:
    with pytest.raises(UnknownUser):
        await scenario.authenticate(NOTHING)


async def test_claims_create_a_missing_user(
    scenario: Scenario, claims: Claims, clock: FixedClock
) -> None:
    scenario.set_claims(claims)
    ann = (await scenario.authenticate(NOTHING)).user
    assert ann == User(
        "ann", "ann@example.com", "Ann", True, None, claims.updated_at or clock.now(), clock.now()
    )
    scenario.set_claims(None)
    assert (await scenario.authenticate(NOTHING)).user == ann


async def test_older_claims_are_ignored(
    scenario: Scenario, claims: Claims, clock: FixedClock
) -> None:
    scenario.set_claims(claims)
    ann = (await scenario.authenticate(NOTHING)).user
    for age in (timedelta(0), timedelta(days=1)):
        scenario.set_claims(replace(claims, name="Old", updated_at=clock.now() - age))
        assert (await scenario.authenticate(NOTHING)).user == ann


async def test_newer_claims_update_the_user(
    scenario: Scenario, claims: Claims, clock: FixedClock
) -> None:
    scenario.set_claims(claims)
    await scenario.authenticate(NOTHING)
    clock.advance(60)
    newer = replace(claims, name="New", email_verified=False, updated_at=clock.now())
    scenario.set_claims(newer)
    changed = (await scenario.authenticate(NOTHING)).user
    assert (changed.name, changed.email_verified) == ("New", False)
    assert await scenario.users.get("ann", issued_at=None) == changed


TICK = timedelta.resolution
BY_TOKEN = SessionProof(CredentialKind.COOKIE, token="token of s")
BY_ID = SessionProof(CredentialKind.ACCESS_TOKEN, session_id="s", user_id="ann")
BOTH = pytest.mark.parametrize("proof", [BY_TOKEN, BY_ID], ids=["by its token", "by its id"])
BEARER = UserProof(CredentialKind.JWT, "ann", None)


@BOTH
async def test_session_identifies_its_user(
    scenario: Scenario, clock: FixedClock, proof: SessionProof
) -> None:
    session = scenario.sign_in("ann", "s", clock)
    scenario.sign_in("ann", "another", clock)
    scenario.sign_in("bob", "bobs", clock)
    ann = scenario.store.users["ann"]
    assert await scenario.identify(proof) == Identity(ann, proof.kind, session)


@BOTH
async def test_missing_session_is_rejected(
    scenario: Scenario, clock: FixedClock, proof: SessionProof
) -> None:
    scenario.sign_in("ann", "another", clock)
    with pytest.raises(Unauthenticated):
        await scenario.identify(proof)


async def test_session_id_and_token_are_not_interchangeable(
    scenario: Scenario, clock: FixedClock
) -> None:
    """A session id is not secret: lists and access tokens contain it."""
    scenario.sign_in("ann", "s", clock)
    for proof in (
        replace(BY_TOKEN, token="s"),
        replace(BY_TOKEN, token=""),
        replace(BY_ID, session_id="token of s"),
        replace(BY_ID, session_id=""),
        replace(BY_ID, session_id=None),
    ):
        with pytest.raises(Unauthenticated):
            await scenario.identify(proof)


@BOTH
async def test_expired_session_is_rejected(
    scenario: Scenario, clock: FixedClock, proof: SessionProof
) -> None:
    """Also if an access token of the session expires later."""
    session = scenario.sign_in("ann", "s", clock)
    clock.time = session.expires_at
    assert (await scenario.identify(proof)).session == session
    clock.time += TICK
    with pytest.raises(Unauthenticated):
        await scenario.identify(proof)


@BOTH
async def test_credential_of_another_user_than_the_session_is_rejected(
    scenario: Scenario, clock: FixedClock, proof: SessionProof
) -> None:
    scenario.sign_in("ann", "s", clock)
    scenario.sign_in("bob", "bobs", clock)
    assert (await scenario.identify(replace(proof, user_id="ann"))).user.id == "ann"
    for other in ("bob", "nobody", ""):
        with pytest.raises(Unauthenticated):
            await scenario.identify(replace(proof, user_id=other))


@BOTH
async def test_identity_is_temporary_if_the_credential_is(
    scenario: Scenario, clock: FixedClock, proof: SessionProof
) -> None:
    scenario.sign_in("ann", "s", clock)
    assert not (await scenario.identify(proof)).is_temporary
    assert (await scenario.identify(replace(proof, is_temporary=True))).is_temporary


@pytest.mark.parametrize("primary", [BEARER, BY_ID, BY_TOKEN])
async def test_second_cookie_of_the_same_user_is_accepted(
    scenario: Scenario, clock: FixedClock, primary: Proof
) -> None:
    """It does not decide, but log-out ends its session, too."""
    session = scenario.sign_in("ann", "s", clock)
    other = scenario.sign_in("ann", "other", clock)
    cookie = SessionProof(CredentialKind.COOKIE, token=other.token, is_temporary=True)
    identity = await scenario.identify(primary, cookie)
    assert identity.credential is primary.kind
    assert identity.session == (None if primary is BEARER else session)
    assert identity.cookie_session == other
    assert not identity.is_temporary


@pytest.mark.parametrize("primary", [BEARER, BY_ID, BY_TOKEN])
async def test_second_cookie_of_another_user_is_rejected(
    scenario: Scenario, clock: FixedClock, primary: Proof
) -> None:
    """The service does not guess which user is meant."""
    scenario.sign_in("ann", "s", clock)
    other = scenario.sign_in("bob", "bobs", clock)
    with pytest.raises(Unauthenticated):
        await scenario.identify(primary, SessionProof(CredentialKind.COOKIE, token=other.token))


@pytest.mark.parametrize("primary", [BEARER, BY_ID, BY_TOKEN])
async def test_second_cookie_of_an_expired_session_is_ignored(
    scenario: Scenario, clock: FixedClock, primary: Proof
) -> None:
    """Of any user."""
    scenario.sign_in("ann", "s", clock)
    for user_id in ("ann", "bob"):
        dead = scenario.sign_in(user_id, "dead", clock)
        scenario.store.sessions["dead"].expires_at = clock.now() - TICK
        for token in (dead.token, "of a session that is gone"):
            cookie = SessionProof(CredentialKind.COOKIE, token=token)
            identity = await scenario.identify(primary, cookie)
            assert (identity.user.id, identity.cookie_session) == ("ann", None)


async def test_valid_cookie_does_not_replace_an_invalid_bearer(
    scenario: Scenario, clock: FixedClock
) -> None:
    scenario.sign_in("ann", "s", clock)
    for bad in (
        replace(BY_TOKEN, token="of a session that is gone"),
        replace(BY_ID, user_id="bob"),
        replace(BEARER, user_id="nobody"),
    ):
        with pytest.raises(Unauthenticated):
            await scenario.identify(bad, BY_TOKEN)


@pytest.mark.parametrize("proofs", [[BEARER], [BY_TOKEN], [BY_ID], [BEARER, BY_TOKEN]])
async def test_banned_user_is_rejected_with_every_credential(
    scenario: Scenario, clock: FixedClock, proofs: list[Proof]
) -> None:
    """Until the ban has expired."""
    scenario.sign_in("ann", "s", clock)
    ann = scenario.store.users["ann"]
    ann.banned = True
    with pytest.raises(UserBanned):
        await scenario.identify(*proofs)
    ann.ban_expires_at = clock.now()
    with pytest.raises(UserBanned):
        await scenario.identify(*proofs)
    clock.time += TICK
    assert (await scenario.identify(*proofs)).user == ann


async def test_invalid_credential_does_not_reveal_a_ban(
    scenario: Scenario, clock: FixedClock
) -> None:
    scenario.sign_in("ann", "s", clock)
    scenario.store.users["ann"].banned = True
    clock.advance(timedelta(days=8).total_seconds())
    with pytest.raises(Unauthenticated):
        await scenario.identify(BY_TOKEN)


async def test_newer_claims_lift_no_ban(
    scenario: Scenario, claims: Claims, clock: FixedClock
) -> None:
    """Only Better Auth's plugins change bans; credentials have no claim about them."""
    scenario.set_claims(claims)
    await scenario.authenticate(NOTHING)
    scenario.store.users["ann"].banned = True
    clock.advance(60)
    scenario.set_claims(replace(claims, name="New", updated_at=clock.now()))
    for _ in range(2):
        with pytest.raises(UserBanned):
            await scenario.authenticate(NOTHING)


async def test_absent_claims_change_nothing(
    scenario: Scenario, claims: Claims, clock: FixedClock
) -> None:
    """An absent claim keeps the value; null clears it."""
    scenario.set_claims(replace(claims, image="https://x/y.png"))
    await scenario.authenticate(NOTHING)
    clock.advance(60)
    partial = replace(claims, name=None, states_image=False, updated_at=clock.now())
    scenario.set_claims(partial)
    user = (await scenario.authenticate(NOTHING)).user
    assert (user.name, user.image) == ("Ann", "https://x/y.png")
    clock.advance(60)
    scenario.set_claims(replace(claims, name="", image=None, updated_at=clock.now()))
    user = (await scenario.authenticate(NOTHING)).user
    assert (user.name, user.image) == ("", None)
