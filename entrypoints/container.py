"""The composition root: the one place where adapters are registered for ports."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_urlsafe
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, get_type_hints
from urllib.parse import urlsplit

import punq

from adapters.better_auth.access_tokens import AccessTokens
from adapters.better_auth.authenticator import BetterAuthAuthenticator
from adapters.better_auth.cookie_options import DONT_REMEMBER, SESSION_TOKEN
from adapters.better_auth.cookies import BetterAuthCookies
from adapters.better_auth.former_cookies import FormerCookies
from adapters.better_auth.ids import random_id
from adapters.better_auth.jwks import RemoteKeys
from adapters.better_auth.jwts import JwtPluginTokens
from adapters.better_auth.passwords import ScryptPasswords
from adapters.better_auth.remote_sessions import RemoteSessions
from adapters.better_auth.secondary_storage import SecondaryStorageSessions
from adapters.better_auth.session_credentials import (
    ForwardedCookies,
    ForwardedSessionCredentials,
    SessionCredentials,
    SignedSessionCredentials,
)
from adapters.better_auth.shared_secret import SharedSecretTokens
from adapters.better_auth.signatures import Signatures
from adapters.memory.accounts import MemoryAccounts
from adapters.memory.counters import MemoryCounters
from adapters.memory.keys import MemoryKeys
from adapters.memory.sessions import MemorySessions
from adapters.memory.store import MemoryStore
from adapters.memory.tasks import MemoryTasks
from adapters.memory.unit_of_work import MemoryUnitOfWorkFactory
from adapters.memory.users import MemoryUsers
from adapters.postgres.accounts import PostgresAccounts
from adapters.postgres.current_layout import BetterAuthDatabase, CurrentLayout
from adapters.postgres.database import Database, TransactionalDatabase
from adapters.postgres.keys import PostgresKeys
from adapters.postgres.owners import PostgresOwners
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.schema import PostgresHealth
from adapters.postgres.sessions import PostgresSessions
from adapters.postgres.tasks import PostgresTasks
from adapters.postgres.unit_of_work import PostgresUnitOfWorkFactory
from adapters.postgres.users import PostgresUsers
from adapters.system import JitteredRetries, SystemClock
from application.fallback_counters import FallbackCounters
from application.limits import RequestLimit
from application.ports.clock import Clock, Retries
from application.ports.credentials import Authenticator
from application.ports.health import StorageHealth
from application.ports.keys import KeyStore
from application.ports.passwords import AccountStore, Passwords
from application.ports.secondary_storage import SecondaryStorage
from application.ports.tokens import AccessTokenSigner, RandomIds, SessionCookies, TokenSigner
from application.ports.unit_of_work import UnitOfWorkFactory
from application.sign_in import SignInPolicy
from application.sign_in_limits import SignInLimits
from application.use_cases import UseCases
from application.users import AccountPolicy
from domain.sessions import SessionStore
from domain.tasks import TaskRepository
from domain.users import UserRepository
from entrypoints.settings import Settings

if TYPE_CHECKING:
    from adapters.redis.counters import RedisCounters
    from adapters.redis.secondary_storage import RedisSecondaryStorage


_NOTHING: Final[Mapping[Any, object]] = MappingProxyType({})


@dataclass(frozen=True)
class Service:
    """The wired use cases, and the adapters that an entrypoint needs beside them."""

    use_cases: UseCases
    health: StorageHealth
    cookies: SessionCookies
    users: UserRepository
    request_limit: RequestLimit
    #: None with memory storage.
    database: PipelineDatabase | None
    #: None with memory storage.
    layout: CurrentLayout | None
    #: None if each process counts for itself.
    shared_counters: "RedisCounters | None"
    remote_keys: RemoteKeys
    #: What asks for sessions elsewhere. None if they are in the database.
    foreign_sessions: "RemoteSessions | RedisSecondaryStorage | None"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the connections to the database and to Redis open during an `async with`."""
        if self.database is not None:
            await self.database.open()
        if self.layout is not None:
            self.layout.open()
        if self.shared_counters is not None:
            await self.shared_counters.open()
        try:
            yield
        finally:
            await self.remote_keys.close()
            if self.foreign_sessions is not None:
                await self.foreign_sessions.close()
            if self.layout is not None:
                await self.layout.close()
            if self.shared_counters is not None:
                await self.shared_counters.close()
            if self.database is not None:
                await self.database.close()


def build(settings: Settings, replace: Mapping[Any, object] = _NOTHING) -> Service:
    """Wire the service: on the database of the settings, or in memory if they name none.

    `replace` maps a registered type to the instance to use in its place, such as
    `{Clock: FixedClock()}`. Tests run on this wiring with a few parts swapped.
    """
    container = punq.Container()
    if settings.url is None:
        database = layout = None
        _register_memory(container)
    else:
        database = PipelineDatabase(settings.url, slow_seconds=settings.slow_query_ms / 1000)
        layout = CurrentLayout(database, settings.layout_options)
        _register_postgres(container, database, layout)
    shared_counters = _shared_counters(settings.rate_limit_storage)
    _register_limits(container, settings, shared_counters)
    _register_identity(container, settings)
    foreign_sessions = _register_foreign_sessions(container, settings)
    container.register(Clock, instance=SystemClock())
    container.register(Retries, instance=JitteredRetries())
    for use_case in get_type_hints(UseCases).values():
        container.register(use_case)
    container.register(UseCases)
    # punq resolves the last registration of a type, and nothing has been resolved yet.
    for registered, instance in replace.items():
        container.register(registered, instance=instance)
    return Service(
        use_cases=container.resolve(UseCases),
        health=container.resolve(StorageHealth),
        cookies=container.resolve(SessionCookies),
        users=container.resolve(UserRepository),
        request_limit=container.resolve(RequestLimit),
        database=database,
        layout=layout,
        shared_counters=shared_counters,
        remote_keys=container.resolve(RemoteKeys),
        foreign_sessions=foreign_sessions,
    )


def _register_memory(container: punq.Container) -> None:
    container.register(MemoryStore, instance=MemoryStore())
    container.register(StorageHealth, lambda: container.resolve(MemoryStore))
    container.register(TaskRepository, MemoryTasks)
    container.register(UserRepository, MemoryUsers)
    container.register(SessionStore, MemorySessions)
    container.register(AccountStore, MemoryAccounts)
    container.register(KeyStore, MemoryKeys)
    container.register(UnitOfWorkFactory, MemoryUnitOfWorkFactory)


def _register_postgres(
    container: punq.Container, database: PipelineDatabase, layout: CurrentLayout
) -> None:
    container.register(Database, instance=database)
    container.register(TransactionalDatabase, instance=database)
    container.register(CurrentLayout, instance=layout)
    container.register(BetterAuthDatabase, instance=BetterAuthDatabase(database, layout))
    container.register(StorageHealth, PostgresHealth)
    container.register(PostgresOwners)
    container.register(TaskRepository, PostgresTasks)
    container.register(UserRepository, PostgresUsers)
    container.register(SessionStore, PostgresSessions)
    container.register(AccountStore, PostgresAccounts)
    container.register(KeyStore, PostgresKeys)
    container.register(UnitOfWorkFactory, PostgresUnitOfWorkFactory)


def _shared_counters(storage: str) -> "RedisCounters | None":
    if storage == "memory://":
        return None
    # The Redis client is only loaded if it is used.
    from adapters.redis.counters import RedisCounters  # noqa: PLC0415

    return RedisCounters(storage)


async def shared_counters_are_reachable(settings: Settings) -> bool:
    """Whether the shared counters can be reached; true if the settings name none."""
    counters = _shared_counters(settings.rate_limit_storage)
    if counters is None:
        return True
    await counters.open()
    try:
        return counters.is_up
    finally:
        await counters.close()


def _register_limits(
    container: punq.Container, settings: Settings, shared: "RedisCounters | None"
) -> None:
    # Separate counters, so that a flood of requests cannot evict the failed sign-ins.
    requests, sign_ins = MemoryCounters(), MemoryCounters()
    container.register(RequestLimit, instance=RequestLimit(shared or requests, settings.rate_limit))
    container.register(
        SignInLimits,
        instance=SignInLimits(
            sign_ins if shared is None else FallbackCounters(shared, sign_ins),
            settings.auth_rate_limit,
        ),
    )


def _register_identity(container: punq.Container, settings: Settings) -> None:
    origin, lifetime = settings.better_auth_url, settings.token_lifetime
    # A secret that nobody knows, if only Better Auth has one: nothing is signed with it.
    secrets = settings.secrets or (token_urlsafe(32),)
    # Better Auth, too, verifies session cookies with the current secret alone.
    signatures, cookies = Signatures(secrets[0]), settings.cookie_options.all()
    shared_secret = SharedSecretTokens(secrets, origin, lifetime)
    access_tokens = AccessTokens(secrets, lifetime)
    container.register(RemoteKeys, instance=RemoteKeys(settings.jwks_url))
    container.register(JwtPluginTokens, origin=origin, max_lifetime=settings.jwt_max_age)
    container.register(
        BetterAuthCookies,
        signatures=signatures,
        session=cookies[SESSION_TOKEN],
        dont_remember=cookies[DONT_REMEMBER],
        former=FormerCookies(
            signatures, cookies, urlsplit(origin).hostname or "", origin.startswith("https:")
        ),
    )
    if settings.has_remote_sessions:
        forwarded = ForwardedSessionCredentials(cookies)
        container.register(SessionCredentials, instance=forwarded)
        container.register(SessionCookies, ForwardedCookies, credentials=forwarded)
    else:
        container.register(SessionCookies, lambda: container.resolve(BetterAuthCookies))
        container.register(
            SessionCredentials,
            SignedSessionCredentials,
            signatures=signatures,
            require_signature=settings.bearer_require_signature,
        )
    has_shared_secret = settings.shared_secret_tokens and bool(settings.secrets)
    container.register(
        Authenticator,
        BetterAuthAuthenticator,
        access_tokens=access_tokens,
        shared_secret=shared_secret if has_shared_secret else None,
    )
    container.register(AccessTokenSigner, instance=access_tokens)
    container.register(TokenSigner, instance=shared_secret)
    container.register(Passwords, instance=ScryptPasswords())
    container.register(RandomIds, instance=random_id)
    is_elsewhere = settings.is_sign_in_elsewhere
    container.register(
        SignInPolicy,
        instance=SignInPolicy(
            is_elsewhere=is_elsewhere,
            email_and_password=settings.email_and_password,
            sign_up=settings.sign_up,
            auto_sign_in=settings.auto_sign_in,
            require_email_verification=settings.require_email_verification,
            passwords=settings.password_policy,
            sessions=settings.session_policy,
        ),
    )
    container.register(
        AccountPolicy,
        instance=AccountPolicy(is_elsewhere=is_elsewhere, delete_user=settings.delete_user),
    )


def _register_foreign_sessions(
    container: punq.Container, settings: Settings
) -> "RemoteSessions | RedisSecondaryStorage | None":
    found = foreign_sessions_of(settings)
    if isinstance(found, RemoteSessions):
        container.register(SessionStore, instance=found)
    elif found is not None:
        container.register(SecondaryStorage, instance=found)
        rows = container.resolve(SessionStore)
        container.register(SessionStore, SecondaryStorageSessions, rows=rows)
    return found


def foreign_sessions_of(settings: Settings) -> "RemoteSessions | RedisSecondaryStorage | None":
    """The client of the place that has the sessions; None if that is the database."""
    if not settings.is_sign_in_elsewhere:
        return None
    if settings.has_remote_sessions:
        return RemoteSessions(
            settings.sessions_url,
            settings.better_auth_url,
            max_age=settings.better_auth_session_cache,
        )
    # The Redis client is only loaded if it is used.
    from adapters.redis.secondary_storage import RedisSecondaryStorage  # noqa: PLC0415

    return RedisSecondaryStorage(settings.better_auth_sessions, settings.better_auth_redis_prefix)
