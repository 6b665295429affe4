"""Examines a database for `taskport check`, and mends it for `taskport forget`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from adapters.better_auth.jwts import is_accepted
from adapters.better_auth.passwords import STORED_HASH
from adapters.postgres.current_layout import BetterAuthDatabase, CurrentLayout
from adapters.postgres.database_problems import Problem, Severity
from adapters.postgres.drift import find_notes, find_problems_in_rows
from adapters.postgres.drift import find_problems as find_quickly
from adapters.postgres.layout import Layout
from adapters.postgres.option_checks import ExpectedOptions, find_option_problems
from adapters.postgres.owners import NotForgotten, PostgresOwners
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.tables import SCHEMA
from adapters.postgres.users import PostgresUsers
from domain.users import UnknownUser
from entrypoints.origins import without_query
from entrypoints.settings import Settings
from entrypoints.url_checks import find_session_problems, find_url_problems


async def find_problems(configured: Settings, settings: Settings, layout: Layout) -> list[Problem]:
    """All problems, as the role that serves requests. Raises `Unavailable`."""
    assert settings.url is not None
    async with _database(settings.url) as database:
        problems = await find_url_problems(settings)
        problems += await find_session_problems(settings)
        problems += await find_quickly(database, layout)
        if any(problem.severity is Severity.FAILURE for problem in problems):
            return problems
        expected = expected_options(settings)
        problems += await find_problems_in_rows(database, layout, sign_up=expected.sign_up)
        # The embedded database is nobody else's.
        if configured.url is not None:
            problems += await find_option_problems(database, layout, expected)
            keys_url = settings.jwks_url and without_query(settings.jwks_url)
            problems += await find_notes(database, layout, keys_url)
        return problems


def expected_options(settings: Settings) -> ExpectedOptions:
    """What Better Auth's rows look like if its options agree with these settings."""
    passwords = settings.email_and_password and not settings.is_sign_in_elsewhere
    return ExpectedOptions(
        sessions=not settings.is_sign_in_elsewhere,
        session_lifetime=settings.session_policy.lifetime,
        passwords=passwords,
        sign_up=passwords and settings.sign_up,
        verified_only=settings.require_email_verification,
        password_hash=STORED_HASH,
        accepts=is_accepted,
    )


async def forget(settings: Settings, user_id: str) -> None:
    """Delete what a user owns: of a former account, or of any user whom only sessions elsewhere
    have introduced. Raises `NotForgotten`, `Unavailable`.
    """
    assert settings.direct_url is not None
    async with _database(settings.direct_url) as database:
        layout = CurrentLayout(database, settings.layout_options)
        tables = BetterAuthDatabase(database, layout)
        if (await layout()).user.catalog.schema != SCHEMA:
            await PostgresOwners(tables).forget(user_id)
            return
        users = PostgresUsers(tables)
        try:
            await users.get(user_id, issued_at=datetime.now(UTC))
        except UnknownUser:
            raise NotForgotten from None
        await users.remove(user_id)


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[PoolDatabase]:
    database = PoolDatabase(url, size=1)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
