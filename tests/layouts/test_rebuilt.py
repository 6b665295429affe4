"""Better Auth's tables dropped and made again, with a service that runs all the time."""

import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import httpx
import psycopg
import pytest
from anyio import to_thread

from tests.interop.taskport import NO_KEYS, taskport
from tests.layouts import commands, credentials
from tests.layouts.better_auth import BetterAuth, Person, now_in_milliseconds
from tests.layouts.conftest import ORIGIN, Served
from tests.layouts.dump import BY_NAME, Dump
from tests.servers import PostgresServer, postgres_programs
from tests.waiting import eventually_async

pytestmark = pytest.mark.postgres

PLURAL: Final = BY_NAME["drizzle_plural"]
SERIAL: Final = BY_NAME["kysely_serial"]
TITLES: Final = ["Buy milk"]


@pytest.fixture(params=[PLURAL, SERIAL], ids=str)
async def served(
    request: pytest.FixtureRequest, postgres_18_server: PostgresServer
) -> AsyncIterator[Served]:
    """A service of its own for each test."""
    dump: Dump = request.param
    with postgres_18_server.database(template="template0") as url:
        dump.load(url)
        schema = commands.their_schema(url)
        migrated = commands.taskport(url, "migrate")
        assert migrated.code == 0, migrated
        async with taskport(url, ORIGIN, better_auth_jwks_url=NO_KEYS) as app:
            yield Served(dump, url, schema, migrated, BetterAuth(url, dump), app)


async def command(served: Served, *arguments: str) -> commands.Outcome:
    """Run a command, which needs an event loop of its own."""
    return await to_thread.run_sync(lambda: commands.taskport(served.url, *arguments))


async def readiness(served: Served) -> int:
    transport = httpx.ASGITransport(served.taskport.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://taskport") as client:
        return (await client.get("/readyz")).status_code


async def is_ready(served: Served) -> bool:
    return await readiness(served) == 200


async def is_unready(served: Served) -> bool:
    return await readiness(served) == 503


async def person_with_task(served: Served) -> Person:
    person = served.rows.sign_up()
    created = await served.taskport.create(credentials.cookie(person))
    assert created.status_code == 201, created.text
    return person


async def titles(served: Served, person: Person) -> list[str] | int:
    """The titles of the user's tasks, or the status of an error."""
    response = await served.taskport.tasks(credentials.cookie(person))
    if response.status_code != 200:
        return response.status_code
    return [task["title"] for task in response.json()["data"]]


def dump_public(url: str) -> str:
    """The schema `public`, with its rows, in SQL that psycopg can run."""
    command = [str(postgres_programs() / "pg_dump"), "--schema=public", "--inserts", url]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = (line for line in text.splitlines() if not line.startswith(("\\", "--")))
    return "\n".join(line for line in lines if line != "CREATE SCHEMA public;")


def execute(url: str, *statements: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def drop_public(url: str) -> None:
    execute(
        url,
        "drop schema public cascade",
        "create schema public",
        "grant usage on schema public to public",
    )


def drop_triggers(served: Served) -> None:
    """Drop our triggers on Better Auth's table."""
    found = execute(
        served.url,
        "select tgname, tgrelid::regclass from pg_trigger where tgname like 'taskport%'",
    )
    assert found
    execute(served.url, *(f"drop trigger {name} on {table}" for name, table in found))


async def test_dropped(served: Served) -> None:
    """Nothing works, and each part of the service says so, without a crash."""
    person = await person_with_task(served)
    drop_public(served.url)
    await eventually_async(lambda: is_unready(served))
    assert await titles(served, person) == 503
    before = commands.catalog(served.url)
    for name in ("check", "migrate"):
        refusal = (await command(served, name)).refusal
        assert "Better Auth's own migration" in refusal
    # The front end's tool would find tables that it does not know.
    assert commands.catalog(served.url) == before


def test_tables_that_were_made_here_are_made_again(empty_database_url: str) -> None:
    """There is no other tool that would."""
    assert commands.taskport(empty_database_url, "migrate").code == 0
    before = commands.catalog(empty_database_url)
    drop_public(empty_database_url)
    assert commands.taskport(empty_database_url, "migrate").code == 0
    assert commands.catalog(empty_database_url) == before


async def test_restored_with_data(served: Served) -> None:
    """Everything is as before; a dump contains our triggers."""
    person = await person_with_task(served)
    dump = dump_public(served.url)
    drop_public(served.url)
    await eventually_async(lambda: is_unready(served))
    execute(served.url, dump)
    await eventually_async(lambda: is_ready(served))
    assert await titles(served, person) == TITLES
    assert (await command(served, "migrate")).code == 0
    assert (await command(served, "check")).code == 0
    served.rows.execute("delete from {table} where {id}::text = $1", "user", person.id)
    assert execute(served.url, "select id from taskport.tasks") == []


async def test_restored_without_triggers(served: Served) -> None:
    """Requests succeed, `check` fails, and `migrate` makes the triggers again."""
    person = await person_with_task(served)
    dump = dump_public(served.url)
    drop_public(served.url)
    execute(served.url, dump)
    drop_triggers(served)
    await eventually_async(lambda: is_ready(served))
    assert await titles(served, person) == TITLES
    assert "`taskport migrate`" in (await command(served, "check")).refusal
    assert (await command(served, "migrate")).code == 0
    assert (await command(served, "check")).code == 0
    assert commands.their_schema(served.url) == served.schema
    served.rows.execute("delete from {table} where {id}::text = $1", "user", person.id)
    assert execute(served.url, "select id from taskport.tasks") == []


async def test_rebuilt_empty(served: Served) -> None:
    """The owner of the tasks is gone: no credential brings the user back."""
    person = await person_with_task(served)
    drop_public(served.url)
    served.dump.load(served.url)
    assert (await command(served, "migrate")).code == 0
    await eventually_async(lambda: is_ready(served))
    introduction = credentials.shared_secret(person.id, email=person.email)
    for headers in (credentials.cookie(person), introduction):
        for response in (
            await served.taskport.tasks(headers),
            await served.taskport.create(headers),
        ):
            assert response.status_code == 401, response.text
    assert served.rows.rows("user", "id", person.id) == []
    check = await command(served, "check")
    assert person.id in check.refusal
    assert "taskport forget" in check.refusal


async def test_new_user_with_an_old_id(served: Served) -> None:
    """No credential of theirs reaches the tasks of the old user, until an operator decides."""
    old = await person_with_task(served)
    drop_public(served.url)
    served.dump.load(served.url)
    assert (await command(served, "migrate")).code == 0
    await eventually_async(lambda: is_ready(served))

    # A serial id starts again from 1 by itself.
    same_id = {} if served.dump.ids == "serial" else {"id": old.id}
    new = served.rows.sign_up(createdAt=now_in_milliseconds(), **same_id)
    assert new.id == old.id
    other = await person_with_task(served)
    keys = credentials.Keys(served.rows, ORIGIN)
    each = [
        credentials.cookie(new),
        credentials.bearer(new.token),
        credentials.shared_secret(new.id),
        keys.jwt(new.id),
    ]
    for headers in each:
        for response in (
            await served.taskport.tasks(headers),
            await served.taskport.create(headers),
            await served.taskport.me(headers),
            await served.taskport.delete_account(headers),
        ):
            assert response.status_code == 401, response.text
    assert await titles(served, other) == TITLES
    check = await command(served, "check")
    assert new.id in check.refusal
    assert "taskport forget" in check.refusal

    forgotten = await command(served, "forget", new.id)
    assert forgotten.code == 0, forgotten
    assert await titles(served, new) == []
    for headers in each:
        created = await served.taskport.create(headers)
        assert created.status_code == 201, created.text
    assert await titles(served, new) == TITLES * len(each)
    assert await titles(served, other) == TITLES
    check = await command(served, "check")
    assert (check.code, "forget" in check.out) == (0, False)


async def test_row_created_at_another_time(served: Served) -> None:
    """It is of another user, also if only a second lies between."""
    person = await person_with_task(served)
    served.rows.execute(
        "update {table} set {createdAt} = {createdAt} + $1 where {id}::text = $2",
        "user",
        timedelta(seconds=1),
        person.id,
    )
    assert await titles(served, person) == 401
    created = await served.taskport.create(credentials.cookie(person))
    assert created.status_code == 401, created.text


async def test_forgetting_users(served: Served) -> None:
    """A user who is fine is not forgotten by a mistake, and neither is nobody."""
    person = await person_with_task(served)
    for user_id in (person.id, "nobody"):
        assert (await command(served, "forget", user_id)).refusal
    assert await titles(served, person) == TITLES
