"""The stores of sessions, and which promises of `SessionStore` each of them cannot keep."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final, Protocol

import pytest

from adapters.better_auth.remote_sessions import RemoteSessions
from adapters.better_auth.secondary_storage import SecondaryStorageSessions
from adapters.redis.secondary_storage import RedisSecondaryStorage
from application.ports.clock import Clock
from domain.sessions import Session, SessionStore
from domain.users import User
from tests.better_auth.fake_server import fake_server
from tests.better_auth.session_texts import dumped, milliseconds, text_of
from tests.contracts.conftest import KINDS, Stores, memory, opened
from tests.redis_server import RedisServer

#: A store may take a header line as the token of a session.
TOKEN_PREFIX: Final = "Authorization: Bearer "
_REDIS_PREFIX: Final = "better-auth:"
_WEEK_SECONDS: Final = 604_800


class Promise(Enum):
    """The promises of the port that not every store keeps."""

    #: Sessions begin here.
    ADD = auto()
    #: A session is found by its id, and saved by it.
    FIND_BY_ID = auto()
    #: Any text is a token: one that is none is not found.
    ANY_TOKEN = auto()
    #: A session that has expired is still found.
    FIND_EXPIRED = auto()
    #: The sessions of a user end if the user is deleted here, and need one that exists here.
    END_WITH_USER = auto()
    #: A prolonged session is stored.
    SAVE = auto()
    #: Sessions are listed and ended without the credential of the user.
    WITHOUT_CALLER = auto()
    #: The end of a session is told from that of one that has already ended.
    END_ONCE = auto()


BROKEN: Final[Mapping[str, frozenset[Promise]]] = {
    "redis": frozenset({Promise.ADD, Promise.FIND_BY_ID, Promise.END_WITH_USER}),
    "remote": frozenset(Promise),
}
_REDIS: Final = pytest.param("redis", marks=[pytest.mark.debian, pytest.mark.process])
_REMOTE: Final = pytest.param("remote", marks=pytest.mark.slow)
MODES: Final = [*KINDS, _REDIS, _REMOTE]


def keeping(promise: Promise) -> pytest.MarkDecorator:
    """Run a test over the stores that keep a promise."""
    return _over([mode for mode in MODES if promise not in _broken(mode)])


def breaking(promise: Promise) -> pytest.MarkDecorator:
    """Run a test over the stores that do not keep a promise."""
    return _over([mode for mode in MODES if promise in _broken(mode)])


def _over(modes: list[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sessions", modes, indirect=True)


def _broken(mode: Any) -> frozenset[Promise]:
    name = mode if isinstance(mode, str) else mode.values[0]
    return BROKEN.get(name, frozenset())


class Put(Protocol):
    async def __call__(self, session: Session, user: User) -> None: ...


@dataclass(frozen=True)
class Sessions:
    """A store, and how sessions come into it."""

    store: SessionStore
    #: Begin a session, where sessions begin.
    put: Put
    stores: Stores
    broken: frozenset[Promise] = frozenset()

    async def find(self, session: Session) -> tuple[Session, User] | None:
        return await self.store.find_by_token(session.token)

    async def list(self, caller: Session, **now: Any) -> list[Session]:
        """The list of a user, each with the token that finds it."""
        given = caller if Promise.WITHOUT_CALLER in self.broken else None
        found = await self.store.list(caller.user_id, caller=given, **now)
        return [
            replace(each, token=TOKEN_PREFIX + each.token.removeprefix(TOKEN_PREFIX))
            for each in found
        ]

    async def remove(self, session_id: str, caller: Session) -> None:
        given = caller if Promise.WITHOUT_CALLER in self.broken else None
        await self.store.remove(session_id, caller.user_id, caller=given)


@asynccontextmanager
async def opened_sessions(
    mode: str, request: pytest.FixtureRequest, clock: Clock
) -> AsyncIterator[Sessions]:
    if mode == "redis":
        server = request.getfixturevalue("redis_server")
        async with _redis(server, clock) as sessions:
            yield sessions
    elif mode == "remote":
        async with _remote(clock) as sessions:
            yield sessions
    else:
        async with opened(mode, request) as stores:

            async def put(session: Session, user: User) -> None:
                assert session.user_id == user.id
                await stores.sessions.add(session)

            yield Sessions(stores.sessions, put, stores)


@asynccontextmanager
async def _redis(server: RedisServer, clock: Clock) -> AsyncIterator[Sessions]:
    server.ask("FLUSHALL")
    storage = RedisSecondaryStorage(server.url, _REDIS_PREFIX)
    store = SecondaryStorageSessions(storage, None, clock)

    async def put(session: Session, user: User) -> None:
        put_into_redis(server, session, user, _REDIS_PREFIX)

    yield Sessions(store, put, memory(), BROKEN["redis"])
    await storage.close()


def put_into_redis(server: RedisServer, session: Session, user: User, prefix: str) -> None:
    """Store a session as Better Auth does, with the list of its user."""
    text = text_of(session, user)
    server.ask("SETEX", f"{prefix}{session.token}", _WEEK_SECONDS, text)
    script = """
        local entries = cjson.decode(redis.call('get', KEYS[1]) or '[]')
        table.insert(entries, cjson.decode(ARGV[1]))
        table.sort(entries, function(a, b) return a.expiresAt < b.expiresAt end)
        redis.call('setex', KEYS[1], ARGV[2], cjson.encode(entries))
    """
    entry = dumped({"token": session.token, "expiresAt": milliseconds(session.expires_at)})
    key = f"{prefix}active-sessions-{session.user_id}"
    server.ask("EVAL", script, 1, key, entry, _WEEK_SECONDS)


@asynccontextmanager
async def _remote(clock: Clock) -> AsyncIterator[Sessions]:
    async with fake_server(clock.now) as server:
        store = RemoteSessions(server.url, "http://localhost:3000")

        async def put(session: Session, user: User) -> None:
            server.put(_as_there(session), user)

        yield Sessions(store, put, memory(), BROKEN["remote"])
        await store.close()


def _as_there(session: Session) -> Session:
    """The session as the server has it: its token is no header line."""
    return replace(session, token=session.token.removeprefix(TOKEN_PREFIX))
