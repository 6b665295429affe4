"""The contract of `AccountStore`."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import psycopg
import pytest

from adapters.postgres.accounts import PostgresAccounts
from adapters.postgres.pipeline_database import PipelineDatabase
from domain.users import UnknownUser, User
from tests.contracts.conftest import NOW, Stores
from tests.databases import better_auth

HASH = "0123456789abcdef" * 2 + ":" + "ab" * 64


async def add(stores: Stores, user_id: str, password_hash: str = HASH) -> None:
    await stores.accounts.add_password(
        id=f"account of {user_id}", user_id=user_id, password_hash=password_hash, now=NOW
    )


async def test_stored_password_hash_is_found(stores: Stores, ann: User, bob: User) -> None:
    await add(stores, ann.id)
    await add(stores, bob.id, HASH[::-1])
    assert await stores.accounts.password_hash(ann.id) == HASH
    assert await stores.accounts.password_hash(bob.id) == HASH[::-1]


async def test_user_without_a_password_has_no_hash(stores: Stores, ann: User, bob: User) -> None:
    await add(stores, ann.id)
    for user_id in ("", "nobody", bob.id, "ANN", "ann ", "_nn", "account of ann"):
        assert await stores.accounts.password_hash(user_id) is None


async def test_missing_user_gets_no_password(stores: Stores) -> None:
    with pytest.raises(UnknownUser):
        await add(stores, "nobody")
    assert await stores.accounts.password_hash("nobody") is None


async def test_deleting_a_user_deletes_the_password(stores: Stores, ann: User) -> None:
    """Also if the user is created again."""
    await add(stores, ann.id)
    await stores.users.remove(ann.id)
    await stores.users.introduce(ann, issued_at=NOW + timedelta(days=10_000))
    assert await stores.accounts.password_hash(ann.id) is None


@pytest.fixture
async def accounts(database_url: str) -> AsyncIterator[PostgresAccounts]:
    """With Ann and Bob, who have no account row."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            'insert into "user" (id, name, email, "emailVerified")'
            " values ('ann', '', 'ann@example.com', false), ('bob', '', 'bob@example.com', false)"
        )
    database = PipelineDatabase(database_url)
    await database.open()
    yield PostgresAccounts(better_auth(database))
    await database.close()


def insert(
    url: str,
    id: str,
    *,
    user_id: str = "ann",
    account_id: str = "ann",
    provider_id: str = "credential",
    password: str | None = HASH,
    created_at: datetime = NOW,
) -> None:
    """Insert a row, as Better Auth does."""
    with psycopg.connect(url) as connection:
        connection.execute(
            'insert into account (id, "userId", "accountId", "providerId", password, "createdAt",'
            ' "updatedAt") values (%s, %s, %s, %s, %s, %s, now())',
            (id, user_id, account_id, provider_id, password, created_at),
        )


@pytest.mark.postgres
async def test_row_has_better_auths_format(accounts: PostgresAccounts, database_url: str) -> None:
    """It looks for an account of the provider `credential` whose id is the user's."""
    await accounts.add_password(id="a", user_id="ann", password_hash=HASH, now=NOW)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            'select id, "userId", "accountId", "providerId", password, "createdAt", "updatedAt"'
            " from account"
        ).fetchall()
    assert rows == [("a", "ann", "ann", "credential", HASH, NOW, NOW)]


@pytest.mark.postgres
async def test_first_of_two_passwords_counts(accounts: PostgresAccounts, database_url: str) -> None:
    """Better Auth has no constraint against two, and uses the first."""
    insert(database_url, "b", password="second", created_at=NOW + timedelta(seconds=1))
    insert(database_url, "c", password="first")
    insert(database_url, "a", password="third", created_at=NOW + timedelta(seconds=2))
    assert await accounts.password_hash("ann") == "first"
    insert(database_url, "bb", password="of two at once the one with the lesser id")
    assert await accounts.password_hash("ann") == "of two at once the one with the lesser id"


@pytest.mark.postgres
@pytest.mark.parametrize(
    "other",
    [
        {"user_id": "bob"},
        {"account_id": "bob"},
        {"account_id": "ANN"},
        {"account_id": "ann@example.com"},
        {"provider_id": "github"},
        {"provider_id": "Credential"},
        {"password": None},
    ],
)
async def test_account_of_another_provider_has_no_password(
    accounts: PostgresAccounts, database_url: str, other: dict[str, str | None]
) -> None:
    """Better Auth responds with 401 to any of these, too."""
    insert(database_url, "a", **other)  # type: ignore[arg-type]
    assert await accounts.password_hash("ann") is None


@pytest.mark.postgres
async def test_account_of_another_provider_hides_no_password(
    accounts: PostgresAccounts, database_url: str
) -> None:
    insert(database_url, "a", provider_id="github", account_id="4711", password=None)
    insert(database_url, "b", created_at=NOW + timedelta(days=1))
    assert await accounts.password_hash("ann") == HASH
