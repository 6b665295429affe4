"""The use cases of sign-in and sessions over memory storage."""

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
from application.sessions import ProlongSession, RefreshSession
from application.sign_in import (
    Device,
    LogIn,
    SignedIn,
    SignInPolicy,
    SignUp,
)
from domain.errors import (
    Unavailable,
)
from domain.sessions import Session
from tests.conftest import NO_LIMITS, FixedClock

DAY = timedelta(days=1)
EMAIL, PASSWORD = "ann@example.com", "correct horse"
DEVICE = Device("2001:db8::1", "curl/8")


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

    async def sign_up(self, **arguments: Any) -> SignedIn:
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
        return await action(**{"email": EMAIL, "password": PASSWORD, "device": DEVICE, **arguments})

    async def log_in(self, **arguments: Any) -> SignedIn:
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
        return await action(**{"email": EMAIL, "password": PASSWORD, "device": DEVICE, **arguments})

    async def refresh(self, identity: Identity) -> SignedIn:
        prolong = ProlongSession(self.sessions, self.clock, self.policy)
        return await RefreshSession(prolong, sign, self.clock, self.policy)(identity)

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
