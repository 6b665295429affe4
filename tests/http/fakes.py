"""Fakes that replace one part of the wiring each, most of them to inject a fault."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.types import Receive, Scope, Send

from adapters.better_auth.keys import PublicKey
from adapters.memory.counters import MemoryCounters
from adapters.memory.users import MemoryUsers
from application.ports.clock import Clock
from application.ports.counters import WindowCount, WindowKey
from domain.errors import Unavailable
from domain.tasks import TaskPage, TaskQuery
from domain.users import AccountInUse, User


@dataclass(slots=True)
class FreezableClock:
    """A `Clock`: the time of the system, unless a test sets another clock."""

    frozen: Clock | None = None

    def now(self) -> datetime:
        return datetime.now(UTC) if self.frozen is None else self.frozen.now()


@dataclass(slots=True)
class FakePasswords:
    """`Passwords` in the format of Better Auth's hashes, but with a fast hash."""

    #: The passwords that were hashed, verified ones included.
    hashed: list[str] = field(default_factory=list)

    async def hash(self, password: str) -> str:
        return self._hash(password, secrets.token_hex(16))

    async def verify(self, password: str, stored: str | None) -> bool:
        salt = (stored or "").partition(":")[0]
        return hmac.compare_digest(self._hash(password, salt).encode(), (stored or "").encode())

    def _hash(self, password: str, salt: str) -> str:
        self.hashed.append(password)
        return fast_hash(password, salt)


def fast_hash(password: str, salt: str) -> str:
    """A password hash that `FakePasswords` verifies, as long as a real one."""
    key = hashlib.sha512(f"{salt}:{password}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{salt}:{key}"


class CrashingPasswords:
    """`Passwords` with a bug."""

    async def verify(self, password: str, stored: str | None) -> bool:
        raise RuntimeError("canary-5b1c")


@dataclass(frozen=True, slots=True)
class FailingTasks:
    """A `TaskRepository` that raises an error for each list."""

    error: Exception

    async def list(self, user_id: str, query: TaskQuery) -> TaskPage:
        raise self.error


@dataclass(frozen=True, slots=True)
class HangingTasks:
    """A `TaskRepository` that never returns a list."""

    #: Set once a list has been requested.
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def list(self, user_id: str, query: TaskQuery) -> TaskPage:
        self.started.set()
        await asyncio.Event().wait()
        raise AssertionError


class UnavailableUsers:
    """A `UserRepository` whose database is unreachable."""

    async def get(self, user_id: str, *, issued_at: datetime | None) -> User:
        raise Unavailable


@dataclass(slots=True)
class FakeHealth:
    """A `StorageHealth` with faults that a test can switch on."""

    is_unavailable: bool = False
    is_hanging: bool = False
    is_old: bool = False
    #: Set once a request hangs.
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def ping(self) -> None:
        if self.is_hanging:
            self.started.set()
            await asyncio.Event().wait()
        if self.is_unavailable:
            raise Unavailable

    async def is_ready(self) -> bool:
        await self.ping()
        return not self.is_old


@dataclass(frozen=True, slots=True)
class FakeRemoteKeys:
    """The keys of a Better Auth server, without requests to one."""

    keys: Mapping[str, PublicKey]
    url: str = "http://localhost:3000/api/auth/jwks"

    async def find(self, kid: str) -> PublicKey | None:
        return self.keys.get(kid)

    async def close(self) -> None:
        pass


class ResettableCounters:
    """`Counters` that a test can set to zero, so that tests can share an application."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._counters = MemoryCounters()

    async def add(self, keys: Sequence[WindowKey]) -> Sequence[WindowCount]:
        return await self._counters.add(keys)

    async def undo(self, keys: Sequence[WindowKey]) -> None:
        await self._counters.undo(keys)


async def crashing_endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of a route with a bug."""
    raise RuntimeError("a pipe has burst")


async def unavailable_endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of a route whose database is unreachable."""
    raise Unavailable


class ReferencedUsers(MemoryUsers):
    """A `UserRepository` whose users cannot be deleted: other rows reference them."""

    async def remove(self, user_id: str) -> None:
        raise AccountInUse
