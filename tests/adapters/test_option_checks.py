"""Rows that show another option of Better Auth are noted; an ordinary database has no note."""

import json
from dataclasses import replace
from typing import Final

import psycopg
import pytest

from adapters.better_auth.passwords import ScryptPasswords
from adapters.postgres.current_layout import CurrentLayout
from adapters.postgres.layout import ANY_LAYOUT
from adapters.postgres.option_checks import ExpectedOptions, find_option_problems
from adapters.postgres.pool_database import PoolDatabase
from adapters.postgres.schema import check_ready
from entrypoints.inspection import expected_options, find_problems
from entrypoints.settings import Settings
from tests.adapters.serving import execute
from tests.better_auth.signer import ALGORITHMS, signer
from tests.interop.taskport import SECRET

pytestmark = pytest.mark.postgres

EXPECTED: Final = expected_options(Settings(better_auth_url="https://app.example.com"))
HASH: Final = f"{'0' * 32}:{'a' * 128}"
BCRYPT: Final = "$2b$12$abcdefghijklmnopqrstuuN1g2Y3wzxyzABCDEFGHIJKLMNOPQRST"
USERS: Final = """
    insert into "user" (id, name, email, "emailVerified", "createdAt")
    select n, '', n || '@example.com', false, now() from generate_series(1, 5) n
"""
ACCOUNTS: Final = """
    insert into account (id, "accountId", "providerId", "userId", password, "updatedAt")
    select id, id, '{provider}', id, {password}, now() from "user"
"""
PASSWORDS: Final = ACCOUNTS.format(provider="credential", password=f"'{HASH}'")
OF_GITHUB: Final = ACCOUNTS.format(provider="github", password="null")
SESSIONS: Final = """
    insert into session (id, token, "userId", "createdAt", "updatedAt", "expiresAt")
    select id, id, id, now(), now(), now() + interval '{lifetime}' from "user"
"""
WEEK: Final = SESSIONS.format(lifetime="7 days")
KEY: Final = """
    insert into jwks (id, "publicKey", "privateKey", "createdAt", "expiresAt")
    values (%s, %s, '', now(), {end})
"""
#: Rows, and what the note about them names.
FOUND: Final = {
    "longer sessions": (
        (USERS, PASSWORDS, SESSIONS.format(lifetime="30 days")),
        "SESSION_EXPIRES_IN=2592000",
    ),
    "shorter sessions": (
        (USERS, PASSWORDS, SESSIONS.format(lifetime="2 hours")),
        "SESSION_EXPIRES_IN=7200",
    ),
    "no sessions": ((USERS, PASSWORDS), "BETTER_AUTH_SESSIONS"),
    "no passwords": ((USERS, OF_GITHUB, WEEK), "EMAIL_AND_PASSWORD=false"),
    "other hashes": (
        (USERS, PASSWORDS, WEEK, f"update account set password = '{BCRYPT}' where id = '1'"),
        "1 passwords",
    ),
}
ORDINARY: Final = {
    "empty": (),
    "users with sessions": (USERS, PASSWORDS, WEEK),
    "not remembered": (USERS, PASSWORDS, SESSIONS.format(lifetime="1 day")),
    "impersonated": (USERS, PASSWORDS, SESSIONS.format(lifetime="1 hour")),
    "few other sessions": (
        USERS,
        PASSWORDS,
        WEEK,
        """update session set "expiresAt" = now() + interval '30 days' where id < '5'""",
    ),
    "sessions used since": (
        USERS,
        PASSWORDS,
        WEEK,
        """update session set "updatedAt" = now() + interval '1 hour' * id::int""",
    ),
    "users who signed out": (
        USERS,
        PASSWORDS,
        """update "user" set "createdAt" = now() - interval '8 days'""",
    ),
    "users who signed up here": (
        USERS,
        PASSWORDS,
        'insert into taskport.owners (id, created_at, signed_up_here) select id, "createdAt", true'
        ' from "user"',
    ),
    "users of tokens": (USERS,),
    "users of a provider too": (
        USERS,
        OF_GITHUB,
        WEEK,
        "update account set \"providerId\" = 'credential' where id = '1'",
    ),
}


async def notes(url: str, expected: ExpectedOptions = EXPECTED) -> list[str]:
    database = PoolDatabase(url)
    await database.open()
    try:
        layout = await CurrentLayout(database, ANY_LAYOUT)()
        return [
            problem.message for problem in await find_option_problems(database, layout, expected)
        ]
    finally:
        await database.close()


@pytest.mark.parametrize("name", FOUND)
async def test_rows_of_another_option_are_noted(
    database_url: str, serving_url: str, name: str
) -> None:
    """By the role that serves requests."""
    statements, cure = FOUND[name]
    execute(database_url, *statements)
    [message] = await notes(serving_url)
    assert cure in message
    assert "\n" not in message


async def test_check_reports_them(database_url: str) -> None:
    execute(database_url, *FOUND["longer sessions"][0])
    settings = Settings(database_url=database_url, better_auth_secret=SECRET)
    found = await find_problems(settings, settings, check_ready(database_url))
    assert len([problem for problem in found if "SESSION_EXPIRES_IN" in problem.message]) == 1


@pytest.mark.parametrize("name", ORDINARY)
async def test_ordinary_rows_are_not_noted(database_url: str, name: str) -> None:
    execute(database_url, *ORDINARY[name])
    assert await notes(database_url) == []


@pytest.mark.parametrize("name", ["no passwords", "other hashes"])
async def test_passwords_that_are_off_are_not_noted(database_url: str, name: str) -> None:
    execute(database_url, *FOUND[name][0])
    assert await notes(database_url, replace(EXPECTED, passwords=False, sign_up=False)) == []


async def test_users_who_must_verify_their_address_have_no_sessions(database_url: str) -> None:
    execute(database_url, *FOUND["no sessions"][0])
    expected = replace(EXPECTED, verified_only=True)
    assert await notes(database_url, expected) == []
    execute(database_url, 'update "user" set "emailVerified" = true')
    assert len(await notes(database_url, expected)) == 1


async def test_own_hashes_are_those_that_are_expected(database_url: str) -> None:
    execute(database_url, USERS, PASSWORDS, WEEK)
    own = await ScryptPasswords().hash("correct horse battery")
    execute(database_url, f"update account set password = '{own}'")
    assert await notes(database_url) == []


@pytest.mark.parametrize(
    ("key_id", "jwk", "end", "is_noted"),
    [
        *((f"key-{name}", signer("k", name).jwk(kid=None), "null", False) for name in ALGORITHMS),
        ("other", {"kty": "OKP", "crv": "Ed448", "x": "AA"}, "null", True),
        ("other", {"kty": "OKP", "crv": "Ed448", "x": "AA"}, "now()", True),
        ("other", {"kty": "OKP", "crv": "Ed448", "x": "AA"}, "now() - interval '31 days'", False),
        ("key.1", signer("k").jwk(kid=None), "null", True),
    ],
)
async def test_keys_that_are_not_accepted_are_noted(
    database_url: str, serving_url: str, key_id: str, jwk: dict[str, str], end: str, is_noted: bool
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(KEY.format(end=end).encode(), (key_id, json.dumps(jwk)))
    found = await notes(serving_url)
    assert [f'"{key_id}"' in message for message in found] == [True] * is_noted
