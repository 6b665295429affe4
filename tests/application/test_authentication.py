"""Who a credential turns out to be."""

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
class Believing:
    """An `Authenticator` that is content with anything."""

    proof: UserProof
    proofs: Sequence[Proof] = ()

    async def __call__(self, credentials: Credentials) -> Sequence[Proof]:
        return self.proofs or [self.proof]


@dataclass
class Setting:
    users: MemoryUsers
    believing: Believing
    authenticate: Authenticate
    store: MemoryStore

    def says(self, claims: Claims | None) -> None:
        self.believing.proof = replace(self.believing.proof, claims=claims)

    async def shows(self, *proofs: Proof) -> Identity:
        self.believing.proofs = proofs
        return await self.authenticate(NOTHING)

    def signs_in(self, user_id: str, session_id: str, clock: FixedClock) -> Session:
        """A session of a user, who exists from then on."""
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
def setting(clock: FixedClock) -> Setting:
    store = MemoryStore()
    users = MemoryUsers(store)
    believing = Believing(UserProof(CredentialKind.SHARED_SECRET, "ann", clock.now()))
    authenticate = Authenticate(believing, users, MemorySessions(store), clock)
    return Setting(users, believing, authenticate, store)


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


TICK = timedelta.resolution
BY_TOKEN = SessionProof(CredentialKind.COOKIE, token="token of s")
BY_ID = SessionProof(CredentialKind.ACCESS_TOKEN, session_id="s", user_id="ann")
BOTH = pytest.mark.parametrize("proof", [BY_TOKEN, BY_ID], ids=["by its token", "by its id"])
BEARER = UserProof(CredentialKind.JWT, "ann", None)


@BOTH
async def test_who_shows_a_session_is_its_user(
    setting: Setting, clock: FixedClock, proof: SessionProof
) -> None:
    session = setting.signs_in("ann", "s", clock)
    setting.signs_in("ann", "another", clock)
    setting.signs_in("bob", "bobs", clock)
    ann = setting.store.users["ann"]
    assert await setting.shows(proof) == Identity(ann, proof.kind, session)


@BOTH
async def test_a_session_that_does_not_exist_is_nobodys(
    setting: Setting, clock: FixedClock, proof: SessionProof
) -> None:
    setting.signs_in("ann", "another", clock)
    with pytest.raises(Unauthenticated):
        await setting.shows(proof)


async def test_a_token_is_no_id_and_an_id_no_token(setting: Setting, clock: FixedClock) -> None:
    """An id is no secret: it is listed, and stands in access tokens."""
    setting.signs_in("ann", "s", clock)
    for proof in (
        replace(BY_TOKEN, token="s"),
        replace(BY_TOKEN, token=""),
        replace(BY_ID, session_id="token of s"),
        replace(BY_ID, session_id=""),
        replace(BY_ID, session_id=None),
    ):
        with pytest.raises(Unauthenticated):
            await setting.shows(proof)


@BOTH
async def test_a_session_is_worth_nothing_after_its_end(
    setting: Setting, clock: FixedClock, proof: SessionProof
) -> None:
    """Also where a token that hangs on it would live on."""
    session = setting.signs_in("ann", "s", clock)
    clock.time = session.expires_at
    assert (await setting.shows(proof)).session == session
    clock.time += TICK
    with pytest.raises(Unauthenticated):
        await setting.shows(proof)


@BOTH
async def test_a_credential_that_names_another_user_is_nobodys(
    setting: Setting, clock: FixedClock, proof: SessionProof
) -> None:
    setting.signs_in("ann", "s", clock)
    setting.signs_in("bob", "bobs", clock)
    assert (await setting.shows(replace(proof, user_id="ann"))).user.id == "ann"
    for other in ("bob", "nobody", ""):
        with pytest.raises(Unauthenticated):
            await setting.shows(replace(proof, user_id=other))


@BOTH
async def test_a_session_is_temporary_where_the_browser_was_told_so(
    setting: Setting, clock: FixedClock, proof: SessionProof
) -> None:
    setting.signs_in("ann", "s", clock)
    assert not (await setting.shows(proof)).is_temporary
    assert (await setting.shows(replace(proof, is_temporary=True))).is_temporary


@pytest.mark.parametrize("deciding", [BEARER, BY_ID, BY_TOKEN])
async def test_a_cookie_of_the_same_user_stands_beside(
    setting: Setting, clock: FixedClock, deciding: Proof
) -> None:
    """It decides nothing, but logging out ends its session as well."""
    session = setting.signs_in("ann", "s", clock)
    other = setting.signs_in("ann", "other", clock)
    cookie = SessionProof(CredentialKind.COOKIE, token=other.token, is_temporary=True)
    identity = await setting.shows(deciding, cookie)
    assert identity.credential is deciding.kind
    assert identity.session == (None if deciding is BEARER else session)
    assert identity.cookie_session == other
    assert not identity.is_temporary


@pytest.mark.parametrize("deciding", [BEARER, BY_ID, BY_TOKEN])
async def test_a_cookie_of_another_user_beside_makes_nobody(
    setting: Setting, clock: FixedClock, deciding: Proof
) -> None:
    """Which of the two was meant is not for us to guess."""
    setting.signs_in("ann", "s", clock)
    other = setting.signs_in("bob", "bobs", clock)
    with pytest.raises(Unauthenticated):
        await setting.shows(deciding, SessionProof(CredentialKind.COOKIE, token=other.token))


@pytest.mark.parametrize("deciding", [BEARER, BY_ID, BY_TOKEN])
async def test_a_dead_cookie_beside_is_ignored(
    setting: Setting, clock: FixedClock, deciding: Proof
) -> None:
    """Whoever's it was."""
    setting.signs_in("ann", "s", clock)
    for user_id in ("ann", "bob"):
        dead = setting.signs_in(user_id, "dead", clock)
        setting.store.sessions["dead"].expires_at = clock.now() - TICK
        for token in (dead.token, "of a session that is gone"):
            cookie = SessionProof(CredentialKind.COOKIE, token=token)
            identity = await setting.shows(deciding, cookie)
            assert (identity.user.id, identity.cookie_session) == ("ann", None)


async def test_a_good_cookie_does_not_make_up_for_a_bad_bearer(
    setting: Setting, clock: FixedClock
) -> None:
    setting.signs_in("ann", "s", clock)
    for bad in (
        replace(BY_TOKEN, token="of a session that is gone"),
        replace(BY_ID, user_id="bob"),
        replace(BEARER, user_id="nobody"),
    ):
        with pytest.raises(Unauthenticated):
            await setting.shows(bad, BY_TOKEN)


@pytest.mark.parametrize("proofs", [[BEARER], [BY_TOKEN], [BY_ID], [BEARER, BY_TOKEN]])
async def test_who_is_banned_is_not_let_in_by_any_credential(
    setting: Setting, clock: FixedClock, proofs: list[Proof]
) -> None:
    """Until the ban is over."""
    setting.signs_in("ann", "s", clock)
    ann = setting.store.users["ann"]
    ann.banned = True
    with pytest.raises(UserBanned):
        await setting.shows(*proofs)
    ann.ban_expires_at = clock.now()
    with pytest.raises(UserBanned):
        await setting.shows(*proofs)
    clock.time += TICK
    assert (await setting.shows(*proofs)).user == ann


async def test_a_ban_is_not_told_to_who_proves_nothing(setting: Setting, clock: FixedClock) -> None:
    setting.signs_in("ann", "s", clock)
    setting.store.users["ann"].banned = True
    clock.advance(timedelta(days=8).total_seconds())
    with pytest.raises(Unauthenticated):
        await setting.shows(BY_TOKEN)


async def test_news_of_a_user_lift_no_ban(
    setting: Setting, claims: Claims, clock: FixedClock
) -> None:
    """They are the business of the front end's plugins, and no credential says anything of them."""
    setting.says(claims)
    await setting.authenticate(NOTHING)
    setting.store.users["ann"].banned = True
    clock.advance(60)
    setting.says(replace(claims, name="New", updated_at=clock.now()))
    for _ in range(2):
        with pytest.raises(UserBanned):
            await setting.authenticate(NOTHING)


async def test_what_claims_do_not_say_stays(
    setting: Setting, claims: Claims, clock: FixedClock
) -> None:
    """A token of few words is no news of what it leaves out; a null is."""
    setting.says(replace(claims, image="https://x/y.png"))
    await setting.authenticate(NOTHING)
    clock.advance(60)
    silent = replace(claims, name=None, states_image=False, updated_at=clock.now())
    setting.says(silent)
    user = (await setting.authenticate(NOTHING)).user
    assert (user.name, user.image) == ("Ann", "https://x/y.png")
    clock.advance(60)
    setting.says(replace(claims, name="", image=None, updated_at=clock.now()))
    user = (await setting.authenticate(NOTHING)).user
    assert (user.name, user.image) == ("", None)
