"""Better Auth's tables as its versions and plugins lay them out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from adapters.better_auth.ids import random_id
from adapters.postgres import optional_columns
from adapters.postgres.accounts import PostgresAccounts
from adapters.postgres.database import Row, Statement, Values
from adapters.postgres.keys import PostgresKeys
from adapters.postgres.optional_columns import REFRESH_SECONDS, OptionalColumns
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.sessions import PostgresSessions
from adapters.postgres.tables import OPTIONAL_COLUMNS
from adapters.postgres.unit_of_work import PostgresUnitOfWorkFactory
from adapters.postgres.users import PostgresUsers
from application.ports.keys import StoredKey
from application.ports.tokens import AccessToken
from application.sessions import SignInPolicy, SignUp, SignUpClosed
from domain.errors import TaskportError, Unavailable
from domain.sessions import Session, SessionNotFound
from domain.users import User
from tests.conftest import NO_LIMITS, FixedClock

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
# The migration of Better Auth 1.7.2, and of no version after it.
ISSUER = (
    "alter table account add issuer text not null",
    'create unique index "account_issuer_accountId_uidx" on account (issuer, "accountId")',
)
# Hours and a half away from UTC, summer and winter.
FAR_AWAY = (
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
    """Runs them; the rows of the last."""
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

    async def everywhere(self) -> list[User]:
        """Ann, however she is found."""
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
    """Opens repositories over either seam. What they look for they have not looked for yet."""

    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Repositories]:
        database: PoolDatabase | PipelineDatabase = request.param(url)
        await database.open()
        optional = OptionalColumns(database)
        try:
            yield Repositories(
                PostgresUsers(database, optional),
                PostgresSessions(database, optional),
                PostgresAccounts(database, optional),
                PostgresKeys(database, optional),
                PostgresUnitOfWorkFactory(database, optional),
            )
        finally:
            await database.close()

    return opened


async def sign_in(url: str) -> str:
    database = PipelineDatabase(url)
    await database.open()
    optional = OptionalColumns(database)
    await PostgresUsers(database, optional).add(ANN, issued_at=NOW)
    await PostgresSessions(database, optional).add(SESSION)
    await database.close()
    return url


@pytest.fixture
async def url(database_url: str) -> str:
    """With Ann, who has signed in."""
    return await sign_in(database_url)


@pytest.fixture
async def zoneless_url(database_url: str) -> str:
    """The same, where no time has a zone: some front ends declare their columns so. What they
    hold is in UTC, wherever the server is."""
    sql(database_url, FAR_AWAY, *WITHOUT_ZONE)
    return await sign_in(database_url)


def said(user: User) -> tuple[bool, bool, datetime | None]:
    return user.has_second_factor, user.banned, user.ban_expires_at


@pytest.mark.postgres
async def test_without_plugins_nobody_is_banned(opening: Opening, url: str) -> None:
    async with opening(url) as found:
        assert {said(user) for user in await found.everywhere()} == {(False, False, None)}


@pytest.mark.postgres
@pytest.mark.parametrize("zone", ["timestamptz", "timestamp"])
async def test_what_plugins_say_of_a_user(opening: Opening, url: str, zone: str) -> None:
    """A time without a zone is in UTC, wherever the server is."""
    sql(
        url,
        FAR_AWAY,
        PLUGINS.replace("timestamptz", zone),
        """update "user" set "twoFactorEnabled" = true, banned = true, "banReason" = 'spam',"""
        """ "banExpires" = '2026-12-24T18:00:00Z'""",
    )
    ends = datetime(2026, 12, 24, 18, tzinfo=UTC)
    async with opening(url) as found:
        assert {said(user) for user in await found.everywhere()} == {(True, True, ends)}
        sql(url, 'update "user" set "twoFactorEnabled" = false, "banExpires" = null')
        assert {said(user) for user in await found.everywhere()} == {(False, True, None)}


@pytest.mark.postgres
async def test_what_plugins_leave_open_is_not_so(opening: Opening, url: str) -> None:
    """Better Auth declares none of their columns as not null: who was there before has nulls."""
    sql(url, PLUGINS)
    async with opening(url) as found:
        assert {said(user) for user in await found.everywhere()} == {(False, False, None)}


@pytest.mark.postgres
async def test_one_plugin_without_the_other(opening: Opening, url: str) -> None:
    sql(url, 'alter table "user" add "twoFactorEnabled" boolean not null default true')
    async with opening(url) as found:
        assert {said(user) for user in await found.everywhere()} == {(True, False, None)}


@pytest.mark.postgres
async def test_columns_elsewhere_do_not_count(opening: Opening, url: str) -> None:
    sql(
        url,
        "create schema other",
        'create table other."user" (banned boolean, "twoFactorEnabled" boolean)',
        'create table users (banned boolean, "banExpires" timestamptz)',
        'alter table session add banned boolean, add "twoFactorEnabled" boolean default true',
        'alter table "user" add "Banned" boolean default true, add issuer text, add alg text',
    )
    async with opening(url) as found:
        assert {said(user) for user in await found.everywhere()} == {(False, False, None)}


@pytest.mark.postgres
async def test_a_plugin_that_comes_later_counts(
    opening: Opening, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that goes again counts no more."""
    monkeypatch.setattr(optional_columns, "REFRESH_SECONDS", 0)
    async with opening(url) as found:
        assert {said(user) for user in await found.everywhere()} == {(False, False, None)}
        sql(url, PLUGINS, 'update "user" set "twoFactorEnabled" = true, banned = true')
        assert {said(user) for user in await found.everywhere()} == {(True, True, None)}
        sql(url, 'alter table "user" drop "twoFactorEnabled", drop banned, drop "banExpires"')
        assert {said(user) for user in await found.everywhere()} == {(False, False, None)}


@dataclass
class Asked:
    """A `Database` that says which columns there are, and counts how often it is asked."""

    rows: Sequence[Row] = ()
    times: int = 0
    is_away: bool = False

    async def fetch_all(self, statement: Statement, values: Values) -> Sequence[Row]:
        self.times += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable
        return self.rows

    async def fetch_one(self, statement: Statement, values: Values) -> Row | None:
        raise NotImplementedError

    async def execute(self, statement: Statement, values: Values) -> int:
        raise NotImplementedError

    async def execute_many(self, statement: Statement, rows: Iterable[Values]) -> None:
        raise NotImplementedError


async def test_columns_are_looked_for_once_a_minute(
    advance_time: Callable[[float], None],
) -> None:
    """Not for every request."""
    asked = Asked([(c.table.name, c.name) for c in OPTIONAL_COLUMNS] + [("user", "id")])
    optional = OptionalColumns(asked)
    for minute in (1, 2):
        for _ in range(100):
            assert await optional() == OPTIONAL_COLUMNS
            advance_time(REFRESH_SECONDS / 128)
        assert asked.times == minute
        advance_time(REFRESH_SECONDS * 28 / 128)
    asked.rows = []
    assert await optional() == frozenset()


async def test_of_many_who_ask_at_once_one_looks(
    advance_time: Callable[[float], None],
) -> None:
    """The others do not wait for it. At the start there is nothing yet that they could go by."""
    asked = Asked([("user", "banned")])
    optional = OptionalColumns(asked)
    known = await optional()
    advance_time(REFRESH_SECONDS)
    asked.rows = []
    answers = await asyncio.gather(*(optional() for _ in range(50)))
    assert asked.times == 2
    assert (answers[0], answers[1:]) == (frozenset(), [known] * 49)
    assert await optional() == frozenset()


async def test_who_could_not_look_does_not_guess(
    advance_time: Callable[[float], None],
) -> None:
    """A ban must not be overlooked because the database was away."""
    asked = Asked([("user", "banned")], is_away=True)
    optional = OptionalColumns(asked)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await optional()
    asked.is_away = False
    assert {column.name for column in await optional()} == {"banned"}
    assert asked.times == 3
    advance_time(REFRESH_SECONDS)
    asked.is_away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await optional()
    asked.is_away, asked.rows = False, []
    assert await optional() == frozenset()


@pytest.mark.postgres
async def test_a_password_where_accounts_have_an_issuer(opening: Opening, url: str) -> None:
    """Better Auth 1.7.2 signs in with this issuer, and with no other."""
    sql(url, *ISSUER)
    async with opening(url) as found:
        await found.accounts.add_password(id="a", user_id="ann", password_hash=HASH, now=NOW)
        assert await found.accounts.password_hash("ann") == HASH
        assert sql(url, 'select issuer, "accountId", "providerId" from account') == [
            ("local:credential", "ann", "credential")
        ]
        for other in ("local:oauth", "local:Credential", "", "credential"):
            sql(url, f"update account set issuer = '{other}'")
            assert await found.accounts.password_hash("ann") is None
        sql(url, """update account set issuer = 'local:credential', "providerId" = 'github'""")
        assert await found.accounts.password_hash("ann") is None


@pytest.mark.postgres
async def test_without_a_column_for_it_there_is_no_issuer(opening: Opening, url: str) -> None:
    async with opening(url) as found:
        await found.accounts.add_password(id="a", user_id="ann", password_hash=HASH, now=NOW)
        assert await found.accounts.password_hash("ann") == HASH


class Plain:
    """`Passwords` that anybody can read."""

    async def hash(self, password: str) -> str:
        return f"hash of {password}"

    async def verify(self, password: str, stored: str | None) -> bool:
        return stored == f"hash of {password}"


def a_token(session: Session, now: datetime) -> AccessToken:
    return AccessToken(session.id, DAY)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("table", "refusal"),
    [("user", SignUpClosed), ("session", Unavailable), ("account", Unavailable)],
)
async def test_a_column_that_only_the_front_end_can_fill(
    opening: Opening,
    database_url: str,
    clock: FixedClock,
    table: str,
    refusal: type[TaskportError],
) -> None:
    """Its table refuses our row: nobody can sign up here, and nothing is left of who tried."""
    sql(database_url, f'alter table "{table}" add tier text not null')
    async with opening(database_url) as found:
        sign_up = SignUp(
            found.users, found.units, Plain(), random_id, a_token, clock, SignInPolicy(), NO_LIMITS
        )
        with pytest.raises(refusal):
            await sign_up(email=ANN.email, password="correct horse")
    left = 'select id from "user" union all select id from account union all select id from session'
    assert sql(database_url, left) == []


@pytest.mark.postgres
async def test_keys_that_do_not_say_for_what_they_are(opening: Opening, url: str) -> None:
    """Better Auth 1.6 has no columns for it."""
    insert = (
        'insert into jwks (id, "publicKey", "privateKey", "createdAt", "expiresAt")'
        " values ('k', '{}', '', now(), '2026-12-24T18:00:00Z')"
    )
    sql(url, "alter table jwks drop alg, drop crv", insert)
    key = StoredKey("k", "{}", None, datetime(2026, 12, 24, 18, tzinfo=UTC))
    async with opening(url) as found:
        assert await found.keys.find("k") == key


@pytest.mark.postgres
async def test_times_without_a_zone_come_back(opening: Opening, zoneless_url: str) -> None:
    async with opening(zoneless_url) as found:
        assert await found.sessions.find_by_token("t") == (SESSION, ANN)
        assert await found.users.get("ann", issued_at=NOW) == ANN
        await found.accounts.add_password(id="a", user_id="ann", password_hash=HASH, now=NOW)
        assert await found.accounts.password_hash("ann") == HASH


@pytest.mark.postgres
async def test_times_without_a_zone_are_in_utc(opening: Opening, zoneless_url: str) -> None:
    async with opening(zoneless_url) as found:
        await found.accounts.add_password(id="a", user_id="ann", password_hash=HASH, now=NOW)
    [times] = sql(
        zoneless_url,
        'select u."createdAt", u."updatedAt", s."createdAt", s."updatedAt",'
        ' s."expiresAt" - interval \'7 days\', a."createdAt", a."updatedAt"'
        ' from "user" u, session s, account a',
    )
    assert set(times) == {NOW.replace(tzinfo=None)}


@pytest.mark.postgres
async def test_without_a_zone_a_list_ends_where_a_life_ends(
    opening: Opening, zoneless_url: str
) -> None:
    async with opening(zoneless_url) as found:
        end = SESSION.expires_at
        assert list(await found.sessions.list("ann", now=end)) == [SESSION]
        assert list(await found.sessions.list("ann", now=end + TICK)) == []


@pytest.mark.postgres
async def test_without_a_zone_saving_only_lengthens(opening: Opening, zoneless_url: str) -> None:
    async with opening(zoneless_url) as found:
        await found.sessions.save(replace(SESSION, expires_at=SESSION.expires_at - TICK))
        assert await found.sessions.find_by_id("s") == (SESSION, ANN)
        longer = replace(SESSION, expires_at=SESSION.expires_at + TICK, updated_at=NOW + DAY)
        await found.sessions.save(longer)
        assert await found.sessions.find_by_id("s") == (longer, ANN)
        with pytest.raises(SessionNotFound):
            await found.sessions.save(replace(longer, id="other"))


@pytest.mark.postgres
async def test_without_a_zone_only_newer_news_change_a_user(
    opening: Opening, zoneless_url: str
) -> None:
    async with opening(zoneless_url) as found:
        await found.users.save(replace(ANN, name="Old", updated_at=NOW))
        assert await found.users.get("ann", issued_at=NOW) == ANN
        newer = replace(ANN, name="New", updated_at=NOW + TICK)
        await found.users.save(newer)
        assert await found.users.get("ann", issued_at=NOW) == newer


@pytest.mark.postgres
async def test_without_a_zone_a_rename_is_newer(opening: Opening, zoneless_url: str) -> None:
    async with opening(zoneless_url) as found:
        for now, newer in ((NOW, NOW + TICK), (NOW + DAY, NOW + DAY)):
            renamed = await found.users.rename("ann", "New", now=now)
            assert renamed == replace(ANN, name="New", updated_at=newer)
            assert await found.users.get("ann", issued_at=NOW) == renamed


@pytest.mark.postgres
async def test_without_a_zone_a_key_expires_when_it_says(
    opening: Opening, zoneless_url: str
) -> None:
    sql(
        zoneless_url,
        'insert into jwks (id, "publicKey", "privateKey", "createdAt", "expiresAt")'
        " values ('k', '{}', '', now(), '2026-12-24T18:00:00Z')",
    )
    async with opening(zoneless_url) as found:
        key = await found.keys.find("k")
    assert key is not None
    assert key.expires_at == datetime(2026, 12, 24, 18, tzinfo=UTC)


@pytest.mark.postgres
async def test_times_with_a_zone_are_the_same_wherever_the_server_is(
    opening: Opening, database_url: str
) -> None:
    sql(database_url, FAR_AWAY)
    async with opening(database_url) as found:
        await found.users.add(ANN, issued_at=NOW)
        await found.sessions.add(SESSION)
        assert await found.sessions.find_by_token("t") == (SESSION, ANN)
        assert list(await found.sessions.list("ann", now=SESSION.expires_at)) == [SESSION]
        renamed = await found.users.rename("ann", "New", now=NOW + DAY)
        assert renamed == replace(ANN, name="New", updated_at=NOW + DAY)
    assert sql(database_url, 'select "createdAt" = "updatedAt", "createdAt" from session') == [
        (True, NOW)
    ]


async def test_who_comes_first_comes_in_a_crowd() -> None:
    """A thousand connections at the start are one look, and wait for it together."""
    asked = Asked([("user", "banned")])
    optional = OptionalColumns(asked)
    impatient = asyncio.create_task(optional())
    crowd = [asyncio.create_task(optional()) for _ in range(1_000)]
    await asyncio.sleep(0)
    impatient.cancel()
    answers = await asyncio.gather(*crowd)
    assert asked.times == 1
    assert {column.name for found in answers for column in found} == {"banned"}
