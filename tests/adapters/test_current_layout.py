"""Better Auth's tables with the columns of its plugins and versions, and without time zones."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from adapters.better_auth.ids import random_id
from adapters.postgres import current_layout
from adapters.postgres.accounts import PostgresAccounts
from adapters.postgres.current_layout import BetterAuthDatabase, CurrentLayout
from adapters.postgres.database import Database, Row, Statement, Values
from adapters.postgres.keys import PostgresKeys
from adapters.postgres.layout import ANY_LAYOUT
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.sessions import PostgresSessions
from adapters.postgres.unit_of_work import PostgresUnitOfWorkFactory
from adapters.postgres.users import PostgresUsers
from application.ports.keys import StoredKey
from application.ports.tokens import AccessToken
from application.sign_in import SignInPolicy, SignUp, SignUpClosed
from domain.errors import TaskportError, Unavailable
from domain.sessions import Session, SessionNotFound
from domain.users import User
from tests.conftest import NO_LIMITS, FixedClock, LogEvents
from tests.waiting import eventually_async

NOW = datetime(2026, 11, 20, 18, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta.resolution
ANN = User.create(id="ann", email="ann@example.com", name="Ann", now=NOW)
SESSION = Session.create(
    id="s", user_id="ann", token="t", ip_address="::1", user_agent="curl", now=NOW
)
HASH = "0123456789abcdef" * 2 + ":" + "ab" * 64

PLUGINS = (
    'alter table "user" add "twoFactorEnabled" boolean, add role text,'
    ' add banned boolean, add "banReason" text, add "banExpires" timestamptz'
)
# From the migration of Better Auth 1.7.2; later versions do not have the column.
ISSUER = (
    "alter table account add issuer text not null",
    'create unique index "account_issuer_accountId_uidx" on account (issuer, "accountId")',
)
# UTC+5:30 all year.
SERVER_IN_INDIA = (
    "do $$ begin execute format('alter database %I set timezone = ''Asia/Kolkata''',"
    " current_database()); end $$"
)
WITHOUT_ZONE = tuple(
    f'alter table "{table}" alter "{column}" type timestamp'
    for table, columns in {
        "user": ("createdAt", "updatedAt"),
        "session": ("createdAt", "updatedAt", "expiresAt"),
        "account": ("createdAt", "updatedAt"),
        "jwks": ("createdAt", "expiresAt"),
    }.items()
    for column in columns
)


def sql(url: str, *statements: str) -> list[Any]:
    """Run statements, and return the rows of the last."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@dataclass
class Repositories:
    users: PostgresUsers
    sessions: PostgresSessions
    accounts: PostgresAccounts
    keys: PostgresKeys
    units: PostgresUnitOfWorkFactory

    async def find_ann(self) -> list[User]:
        """Ann as every method returns her."""
        by_token, by_id = (
            await self.sessions.find_by_token("t"),
            await self.sessions.find_by_id("s"),
        )
        by_email = await self.users.find_by_email(ANN.email)
        renamed = await self.users.rename("ann", ANN.name, now=NOW - DAY)
        assert by_token is not None
        assert by_id is not None
        assert by_email is not None
        users = [await self.users.get("ann", issued_at=NOW), by_token[1], by_id[1], by_email]
        return [*users, renamed]


Opening = Callable[[str], AbstractAsyncContextManager[Repositories]]


@pytest.fixture(params=[PoolDatabase, PipelineDatabase])
def opening(request: pytest.FixtureRequest) -> Opening:
    """Opens repositories over either kind of database, with an empty cache of columns."""

    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Repositories]:
        database: PoolDatabase | PipelineDatabase = request.param(url)
        await database.open()
        layout = CurrentLayout(database, ANY_LAYOUT)
        layout.open()
        tables = BetterAuthDatabase(database, layout)
        try:
            yield Repositories(
                PostgresUsers(tables),
                PostgresSessions(tables),
                PostgresAccounts(tables),
                PostgresKeys(tables),
                PostgresUnitOfWorkFactory(database, layout),
            )
        finally:
            await layout.close()
            await database.close()

    return opened


async def add_ann(url: str) -> str:
    database = PipelineDatabase(url)
    await database.open()
    tables = BetterAuthDatabase(database, CurrentLayout(database, ANY_LAYOUT))
    await PostgresUsers(tables).introduce(ANN, issued_at=NOW)
    await PostgresSessions(tables).add(SESSION)
    await database.close()
    return url


@pytest.fixture
async def url(database_url: str) -> str:
    """A database with Ann and a session of hers."""
    return await add_ann(database_url)


@pytest.fixture
async def zoneless_url(database_url: str) -> str:
    """The same with `timestamp` columns, as some front ends declare them; in UTC."""
    sql(database_url, SERVER_IN_INDIA, *WITHOUT_ZONE)
    return await add_ann(database_url)


def plugin_values(user: User) -> tuple[bool, bool, datetime | None]:
    return user.has_second_factor, user.banned, user.ban_expires_at


@pytest.mark.postgres
async def test_without_plugins_nobody_is_banned(opening: Opening, url: str) -> None:
    async with opening(url) as repositories:
        assert {plugin_values(user) for user in await repositories.find_ann()} == {
            (False, False, None)
        }


@pytest.mark.postgres
@pytest.mark.parametrize("zone", ["timestamptz", "timestamp"])
async def test_plugin_columns_are_read(opening: Opening, url: str, zone: str) -> None:
    """A time without a time zone is in UTC, whatever the time zone of the server."""
    sql(
        url,
        SERVER_IN_INDIA,
        PLUGINS.replace("timestamptz", zone),
        """update "user" set "twoFactorEnabled" = true, banned = true, "banReason" = 'spam',"""
        """ "banExpires" = '2026-12-24T18:00:00Z'""",
    )
    ends = datetime(2026, 12, 24, 18, tzinfo=UTC)
    async with opening(url) as repositories:
        assert {plugin_values(user) for user in await repositories.find_ann()} == {
            (True, True, ends)
        }
        sql(url, 'update "user" set "twoFactorEnabled" = false, "banExpires" = null')
        assert {plugin_values(user) for user in await repositories.find_ann()} == {
            (False, True, None)
        }


@pytest.mark.postgres
async def test_null_in_a_plugin_column_means_no(opening: Opening, url: str) -> None:
    """The columns are nullable: users from before the plugin have nulls."""
    sql(url, PLUGINS)
    async with opening(url) as repositories:
        assert {plugin_values(user) for user in await repositories.find_ann()} == {
            (False, False, None)
        }


@pytest.mark.postgres
async def test_one_plugin_without_the_other(opening: Opening, url: str) -> None:
    sql(url, 'alter table "user" add "twoFactorEnabled" boolean not null default true')
    async with opening(url) as repositories:
        assert {plugin_values(user) for user in await repositories.find_ann()} == {
            (True, False, None)
        }


@pytest.mark.postgres
async def test_columns_of_other_tables_do_not_count(opening: Opening, url: str) -> None:
    sql(
        url,
        "create schema other",
        'create table other."user" (banned boolean, "twoFactorEnabled" boolean)',
        'create table users (banned boolean, "banExpires" timestamptz)',
        'alter table session add banned boolean, add "twoFactorEnabled" boolean default true',
        'alter table "user" add issuer text, add alg text',
    )
    async with opening(url) as repositories:
        assert {plugin_values(user) for user in await repositories.find_ann()} == {
            (False, False, None)
        }


@pytest.mark.postgres
async def test_plugin_that_is_added_later_counts(
    opening: Opening, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a minute, without a request that fails."""
    monkeypatch.setattr(current_layout, "REFRESH_SECONDS", 0.01)
    async with opening(url) as repositories:

        async def has_plugins() -> bool:
            values = {plugin_values(user) for user in await repositories.find_ann()}
            return values == {(True, True, None)}

        assert not await has_plugins()
        sql(url, PLUGINS, 'update "user" set "twoFactorEnabled" = true, banned = true')
        await eventually_async(has_plugins)


@pytest.mark.postgres
async def test_plugin_that_is_removed_counts_no_longer(opening: Opening, url: str) -> None:
    """No request fails: each reads the layout again when it finds a column gone."""
    sql(url, PLUGINS, 'update "user" set "twoFactorEnabled" = true, banned = true')
    async with opening(url) as repositories:
        assert {plugin_values(user) for user in await repositories.find_ann()} == {
            (True, True, None)
        }
        sql(url, 'alter table "user" drop "twoFactorEnabled", drop banned, drop "banExpires"')
        assert {plugin_values(user) for user in await repositories.find_ann()} == {
            (False, False, None)
        }


@pytest.mark.postgres
async def test_renamed_tables_and_columns_are_found_again(opening: Opening, url: str) -> None:
    async with opening(url) as repositories:
        await repositories.find_ann()
        sql(
            url,
            'alter table "user" rename to users',
            "alter table session rename to sessions",
            'alter table users rename "emailVerified" to email_verified',
            'alter table sessions rename "expiresAt" to expires_at',
        )
        assert len(await repositories.find_ann()) == 5


@pytest.mark.postgres
async def test_problems_are_logged_once(
    opening: Opening, url: str, monkeypatch: pytest.MonkeyPatch, log_events: LogEvents
) -> None:
    monkeypatch.setattr(current_layout, "REFRESH_SECONDS", 0.01)

    def problems() -> list[str]:
        events = [event for event in log_events if event["event"] == "database_problem"]
        return [event["reason"].partition(",")[0] for event in events]

    async with opening(url):
        sql(url, 'drop trigger taskport_delete_owner on "user"')
        await eventually_async(problems)
        # A problem that comes later shows that there was another look.
        sql(url, "alter table session add tier text not null default ''")
        sql(url, "alter table session alter tier drop default")
        await eventually_async(lambda: len(problems()) > 1)
    assert problems() == [
        '"public"."user" has lost the triggers that record deleted users',
        'the column "tier" of "public"."session" is required and unknown here',
    ]


@pytest.mark.postgres
async def test_tables_that_are_gone_are_unavailable(opening: Opening, url: str) -> None:
    async with opening(url) as repositories:
        await repositories.find_ann()
        sql(url, 'drop table "user", session, account cascade')
        for _ in range(2):
            with pytest.raises(Unavailable):
                await repositories.sessions.find_by_token("t")


@dataclass
class FakeDatabase:
    """A `Database` that counts how often the catalog is read, and waits or fails."""

    database: Database
    reads: int = 0
    is_unavailable: bool = False

    async def fetch_all(self, statement: Statement, values: Values) -> Sequence[Row]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.is_unavailable:
            raise Unavailable
        return await self.database.fetch_all(statement, values)

    async def fetch_one(self, statement: Statement, values: Values) -> Row | None:
        raise NotImplementedError

    async def execute(self, statement: Statement, values: Values) -> int:
        raise NotImplementedError

    async def execute_many(self, statement: Statement, rows: Iterable[Values]) -> None:
        raise NotImplementedError


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[FakeDatabase]:
    pool = PoolDatabase(database_url)
    await pool.open()
    yield FakeDatabase(pool)
    await pool.close()


@pytest.mark.postgres
async def test_concurrent_first_callers_share_one_read(database: FakeDatabase) -> None:
    """Also if the caller that started it is cancelled."""
    layout = CurrentLayout(database, ANY_LAYOUT)
    cancelled = asyncio.create_task(layout())
    others = [asyncio.create_task(layout()) for _ in range(1_000)]
    await asyncio.sleep(0)
    cancelled.cancel()
    found = await asyncio.gather(*others)
    assert database.reads == 1
    assert len(set(map(id, found))) == 1


@pytest.mark.postgres
async def test_layout_that_cannot_be_read_is_unavailable(database: FakeDatabase) -> None:
    """A column is never taken to be missing because the database is unavailable."""
    layout = CurrentLayout(database, ANY_LAYOUT)
    database.is_unavailable = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await layout()
    database.is_unavailable = False
    assert "email" in (await layout()).user.columns
    assert layout.refusal is None


@pytest.mark.postgres
async def test_password_account_with_an_issuer(opening: Opening, url: str) -> None:
    """Better Auth 1.7.2 accepts passwords of this issuer only."""
    sql(url, *ISSUER)
    async with opening(url) as repositories:
        await repositories.accounts.add_password(id="a", user_id="ann", password_hash=HASH, now=NOW)
        assert await repositories.accounts.password_hash("ann") == HASH
        assert sql(url, 'select issuer, "accountId", "providerId" from account') == [
            ("local:credential", "ann", "credential")
        ]
        for other in ("local:oauth", "local:Credential", "", "credential"):
            sql(url, f"update account set issuer = '{other}'")
            assert await repositories.accounts.password_hash("ann") is None
        sql(url, """update account set issuer = 'local:credential', "providerId" = 'github'""")
        assert await repositories.accounts.password_hash("ann") is None


@pytest.mark.postgres
async def test_password_account_without_an_issuer(opening: Opening, url: str) -> None:
    async with opening(url) as repositories:
        await repositories.accounts.add_password(id="a", user_id="ann", password_hash=HASH, now=NOW)
        assert await repositories.accounts.password_hash("ann") == HASH


class PlainPasswords:
    """`Passwords` without a hash."""

    async def hash(self, password: str) -> str:
        return f"hash of {password}"

    async def verify(self, password: str, stored: str | None) -> bool:
        return stored == f"hash of {password}"


def a_token(session: Session, now: datetime) -> AccessToken:
    return AccessToken(session.id, DAY)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("table", "refusal"),
    [("user", SignUpClosed), ("session", SignUpClosed), ("account", SignUpClosed)],
)
async def test_required_column_of_the_front_end_closes_sign_up(
    opening: Opening,
    database_url: str,
    clock: FixedClock,
    table: str,
    refusal: type[TaskportError],
) -> None:
    """The table rejects our row, and the sign-up is rolled back."""
    sql(database_url, f'alter table "{table}" add tier text not null')
    async with opening(database_url) as repositories:
        sign_up = SignUp(
            repositories.users,
            repositories.units,
            PlainPasswords(),
            random_id,
            a_token,
            clock,
            SignInPolicy(),
            NO_LIMITS,
        )
        with pytest.raises(refusal):
            await sign_up(email=ANN.email, password="correct horse")
    left = 'select id from "user" union all select id from account union all select id from session'
    assert sql(database_url, left) == []


@pytest.mark.postgres
async def test_key_without_an_algorithm(opening: Opening, url: str) -> None:
    """Better Auth 1.6 has no column for it."""
    insert = (
        'insert into jwks (id, "publicKey", "privateKey", "createdAt", "expiresAt")'
        " values ('k', '{}', '', now(), '2026-12-24T18:00:00Z')"
    )
    sql(url, "alter table jwks drop alg, drop crv", insert)
    key = StoredKey("k", "{}", None, datetime(2026, 12, 24, 18, tzinfo=UTC))
    async with opening(url) as repositories:
        assert await repositories.keys.find("k") == key


@pytest.mark.postgres
async def test_times_without_a_zone_are_read_as_stored(opening: Opening, zoneless_url: str) -> None:
    async with opening(zoneless_url) as repositories:
        assert await repositories.sessions.find_by_token("t") == (SESSION, ANN)
        assert await repositories.users.get("ann", issued_at=NOW) == ANN
        await repositories.accounts.add_password(id="a", user_id="ann", password_hash=HASH, now=NOW)
        assert await repositories.accounts.password_hash("ann") == HASH


@pytest.mark.postgres
async def test_times_without_a_zone_are_stored_in_utc(opening: Opening, zoneless_url: str) -> None:
    async with opening(zoneless_url) as repositories:
        await repositories.accounts.add_password(id="a", user_id="ann", password_hash=HASH, now=NOW)
    [times] = sql(
        zoneless_url,
        'select u."createdAt", u."updatedAt", s."createdAt", s."updatedAt",'
        ' s."expiresAt" - interval \'7 days\', a."createdAt", a."updatedAt"'
        ' from "user" u, session s, account a',
    )
    assert set(times) == {NOW.replace(tzinfo=None)}


@pytest.mark.postgres
async def test_without_a_zone_expired_sessions_are_not_listed(
    opening: Opening, zoneless_url: str
) -> None:
    async with opening(zoneless_url) as repositories:
        end = SESSION.expires_at
        assert list(await repositories.sessions.list("ann", now=end)) == [SESSION]
        assert list(await repositories.sessions.list("ann", now=end + TICK)) == []


@pytest.mark.postgres
async def test_without_a_zone_saving_only_prolongs_a_session(
    opening: Opening, zoneless_url: str
) -> None:
    async with opening(zoneless_url) as repositories:
        await repositories.sessions.save(replace(SESSION, expires_at=SESSION.expires_at - TICK))
        assert await repositories.sessions.find_by_id("s") == (SESSION, ANN)
        prolonged = replace(SESSION, expires_at=SESSION.expires_at + TICK, updated_at=NOW + DAY)
        await repositories.sessions.save(prolonged)
        assert await repositories.sessions.find_by_id("s") == (prolonged, ANN)
        with pytest.raises(SessionNotFound):
            await repositories.sessions.save(replace(prolonged, id="other"))


@pytest.mark.postgres
async def test_without_a_zone_only_newer_claims_change_a_user(
    opening: Opening, zoneless_url: str
) -> None:
    async with opening(zoneless_url) as repositories:
        await repositories.users.save(replace(ANN, name="Old", updated_at=NOW))
        assert await repositories.users.get("ann", issued_at=NOW) == ANN
        newer = replace(ANN, name="New", updated_at=NOW + TICK)
        await repositories.users.save(newer)
        assert await repositories.users.get("ann", issued_at=NOW) == newer


@pytest.mark.postgres
async def test_without_a_zone_a_rename_sets_a_later_time(
    opening: Opening, zoneless_url: str
) -> None:
    async with opening(zoneless_url) as repositories:
        for now, updated_at in ((NOW, NOW + TICK), (NOW + DAY, NOW + DAY)):
            renamed = await repositories.users.rename("ann", "New", now=now)
            assert renamed == replace(ANN, name="New", updated_at=updated_at)
            assert await repositories.users.get("ann", issued_at=NOW) == renamed


@pytest.mark.postgres
async def test_without_a_zone_a_key_expires_on_time(opening: Opening, zoneless_url: str) -> None:
    sql(
        zoneless_url,
        'insert into jwks (id, "publicKey", "privateKey", "createdAt", "expiresAt")'
        " values ('k', '{}', '', now(), '2026-12-24T18:00:00Z')",
    )
    async with opening(zoneless_url) as repositories:
        key = await repositories.keys.find("k")
    assert key is not None
    assert key.expires_at == datetime(2026, 12, 24, 18, tzinfo=UTC)


@pytest.mark.postgres
async def test_times_with_a_zone_do_not_depend_on_the_zone_of_the_server(
    opening: Opening, database_url: str
) -> None:
    sql(database_url, SERVER_IN_INDIA)
    async with opening(database_url) as repositories:
        await repositories.users.introduce(ANN, issued_at=NOW)
        await repositories.sessions.add(SESSION)
        assert await repositories.sessions.find_by_token("t") == (SESSION, ANN)
        assert list(await repositories.sessions.list("ann", now=SESSION.expires_at)) == [SESSION]
        renamed = await repositories.users.rename("ann", "New", now=NOW + DAY)
        assert renamed == replace(ANN, name="New", updated_at=NOW + DAY)
    assert sql(database_url, 'select "createdAt" = "updatedAt", "createdAt" from session') == [
        (True, NOW)
    ]


@pytest.mark.postgres
async def test_reader_that_reads_again_does_not_disturb_the_others(database: FakeDatabase) -> None:
    """The readers of one read resume one after the other; the first may have begun the next."""
    layout = CurrentLayout(database, ANY_LAYOUT)

    async def read_twice() -> None:
        for _ in range(2):
            assert "email" in (await layout.read()).user.columns

    await asyncio.gather(*(read_twice() for _ in range(3)))


@pytest.mark.postgres
async def test_layout_is_unavailable_to_readers_at_a_stop(database: FakeDatabase) -> None:
    layout = CurrentLayout(database, ANY_LAYOUT)
    reading = asyncio.create_task(layout.read())
    await asyncio.sleep(0)
    await layout.close()
    with pytest.raises(Unavailable):
        await reading
