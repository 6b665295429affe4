"""The one place where ports meet adapters."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_type_hints

import punq

from adapters.better_auth.access_tokens import AccessTokens
from adapters.better_auth.authenticator import BetterAuthAuthenticator
from adapters.better_auth.cookies import BetterAuthCookies
from adapters.better_auth.ids import random_id
from adapters.better_auth.jwks import RemoteKeys
from adapters.better_auth.jwts import JwtPluginTokens
from adapters.better_auth.passwords import ScryptPasswords
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
from adapters.postgres.keys import PostgresKeys
from adapters.postgres.optional_columns import OptionalColumns
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.schema import PostgresHealth
from adapters.postgres.sessions import PostgresSessions
from adapters.postgres.tasks import PostgresTasks
from adapters.postgres.unit_of_work import PostgresUnitOfWorkFactory
from adapters.postgres.users import PostgresUsers
from adapters.system import JitteredRetries, SystemClock
from application.limits import FallbackCounters, RequestLimit, SignInLimits
from application.ports.clock import Clock, Retries
from application.ports.credentials import Authenticator
from application.ports.health import StorageHealth
from application.ports.keys import KeyStore
from application.ports.passwords import AccountStore, Passwords
from application.ports.tokens import AccessTokenSigner, RandomIds, SessionCookies, TokenSigner
from application.ports.unit_of_work import UnitOfWorkFactory
from application.sessions import SignInPolicy
from application.use_cases import UseCases
from domain.sessions import SessionStore
from domain.tasks import TaskRepository
from domain.users import UserRepository
from entrypoints.settings import Settings

if TYPE_CHECKING:
    from adapters.redis.counters import RedisCounters


@dataclass(frozen=True)
class Service:
    """Everything that can be done, and what it stands on."""

    use_cases: UseCases
    health: StorageHealth
    cookies: SessionCookies
    users: UserRepository
    request_limit: RequestLimit
    database: PipelineDatabase | None
    shared_counters: "RedisCounters | None"
    remote_keys: RemoteKeys

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold connections open for the time of an `async with`."""
        if self.database is not None:
            await self.database.open()
        if self.shared_counters is not None:
            await self.shared_counters.open()
        try:
            yield
        finally:
            await self.remote_keys.close()
            if self.shared_counters is not None:
                await self.shared_counters.close()
            if self.database is not None:
                await self.database.close()


def build(settings: Settings) -> Service:
    """The service on the database of the settings, or on memory where they name none."""
    container = punq.Container()
    if settings.url is None:
        database = None
        _register_memory(container)
    else:
        database = PipelineDatabase(settings.url, slow_seconds=settings.slow_query_ms / 1000)
        _register_postgres(container, database)
    remote_keys = RemoteKeys(settings.jwks_url)
    _register_identity(container, settings, remote_keys)
    shared_counters = _shared_counters(settings.rate_limit_storage)
    _register_limits(container, settings, shared_counters)
    container.register(Clock, instance=SystemClock())
    container.register(Retries, instance=JitteredRetries())
    for use_case in get_type_hints(UseCases).values():
        container.register(use_case)
    container.register(UseCases)
    return Service(
        use_cases=container.resolve(UseCases),
        health=container.resolve(StorageHealth),
        cookies=container.resolve(SessionCookies),
        users=container.resolve(UserRepository),
        request_limit=container.resolve(RequestLimit),
        database=database,
        shared_counters=shared_counters,
        remote_keys=remote_keys,
    )


def _register_memory(container: punq.Container) -> None:
    store = MemoryStore()
    container.register(TaskRepository, instance=MemoryTasks(store))
    container.register(UserRepository, instance=MemoryUsers(store))
    container.register(SessionStore, instance=MemorySessions(store))
    container.register(AccountStore, instance=MemoryAccounts(store))
    container.register(KeyStore, instance=MemoryKeys(store))
    container.register(UnitOfWorkFactory, instance=MemoryUnitOfWorkFactory(store))
    container.register(StorageHealth, instance=store)


def _register_postgres(container: punq.Container, database: PipelineDatabase) -> None:
    optional = OptionalColumns(database)
    container.register(TaskRepository, instance=PostgresTasks(database))
    container.register(UserRepository, instance=PostgresUsers(database, optional))
    container.register(SessionStore, instance=PostgresSessions(database, optional))
    container.register(AccountStore, instance=PostgresAccounts(database, optional))
    container.register(KeyStore, instance=PostgresKeys(database, optional))
    container.register(UnitOfWorkFactory, instance=PostgresUnitOfWorkFactory(database, optional))
    container.register(StorageHealth, instance=PostgresHealth(database))


def _shared_counters(storage: str) -> "RedisCounters | None":
    if storage == "memory://":
        return None
    # Who does not use Redis need not load its client.
    from adapters.redis.counters import RedisCounters  # noqa: PLC0415

    return RedisCounters(storage)


async def shared_counters_answer(settings: Settings) -> bool:
    """Whether counters that are to be shared can be; so, too, where none are."""
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
    # Each has counters of its own, so that a flood of requests makes none forget a failure.
    requests, sign_ins = MemoryCounters(), MemoryCounters()
    container.register(RequestLimit, instance=RequestLimit(shared or requests, settings.rate_limit))
    container.register(
        SignInLimits,
        instance=SignInLimits(
            sign_ins if shared is None else FallbackCounters(shared, sign_ins),
            settings.auth_rate_limit,
        ),
    )


def _register_identity(
    container: punq.Container, settings: Settings, remote_keys: RemoteKeys
) -> None:
    clock = SystemClock()
    origin, secret, lifetime = settings.better_auth_url, settings.secret, settings.token_lifetime
    signatures = Signatures(secret)
    shared_secret = SharedSecretTokens(secret, origin, lifetime)
    access_tokens = AccessTokens(secret, lifetime)
    cookies = BetterAuthCookies(
        signatures,
        prefix=settings.better_auth_cookie_prefix,
        is_secure=origin.startswith("https://"),
        domain=settings.cookie_domain,
        clock=clock,
    )
    authenticator = BetterAuthAuthenticator(
        signatures=signatures,
        cookies=cookies,
        access_tokens=access_tokens,
        jwts=JwtPluginTokens(origin, container.resolve(KeyStore), remote_keys),
        shared_secret=shared_secret if settings.shared_secret_tokens else None,
        clock=clock,
    )
    container.register(Authenticator, instance=authenticator)
    container.register(SessionCookies, instance=cookies)
    container.register(AccessTokenSigner, instance=access_tokens)
    container.register(TokenSigner, instance=shared_secret)
    container.register(Passwords, instance=ScryptPasswords())
    container.register(RandomIds, instance=random_id)
    container.register(
        SignInPolicy,
        instance=SignInPolicy(
            sign_up=settings.sign_up,
            require_email_verification=settings.require_email_verification,
            sessions=settings.session_policy,
        ),
    )
