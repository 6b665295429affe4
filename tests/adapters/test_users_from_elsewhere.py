"""Users in tables of our own schema, whom sessions of a Better Auth elsewhere introduce."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from adapters.postgres.current_layout import BetterAuthDatabase, CurrentLayout
from adapters.postgres.layout import LayoutOptions
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.schema import migrate
from adapters.postgres.users import PostgresUsers
from domain.users import EmailTaken, User

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
ELSEWHERE = LayoutOptions(has_sessions=False)


@pytest.fixture
async def users(empty_database_url: str) -> AsyncIterator[PostgresUsers]:
    migrate(empty_database_url, options=ELSEWHERE)
    database = PoolDatabase(empty_database_url)
    await database.open()
    yield PostgresUsers(BetterAuthDatabase(database, CurrentLayout(database, ELSEWHERE)))
    await database.close()


async def test_address_is_released_by_a_user_who_was_deleted_elsewhere(
    users: PostgresUsers,
) -> None:
    """That deletion is not seen here; the user keeps everything else."""
    old, new = (
        User.create(id=id, email="ada@example.com", email_verified=True, now=NOW)
        for id in ("old", "new")
    )
    await users.introduce(old, issued_at=NOW)
    with pytest.raises(EmailTaken):
        await users.introduce(new, issued_at=NOW)
    assert await users.release_email("ada@example.com")
    await users.introduce(new, issued_at=NOW)
    displaced = (await users.get("old", issued_at=NOW)).email
    assert re.fullmatch(r"displaced-[0-9a-f-]{36}@example\.invalid", displaced)
    assert not await users.release_email("nobody@example.com")
