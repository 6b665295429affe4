"""The migration of a database of the release before `owners`, with data, and back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.postgres.schema import SchemaError, check_ready, downgrade, migrate
from tests.migrations.test_schema import dump, rows

pytestmark = pytest.mark.postgres

#: A database as the migrations of commit 5117e90 made it, by `pg_dump --inserts`. Its users are
#: ann, Zoë and bob (with tasks), carol and erin (without). Of bob, dave and erin, who were deleted,
#: bob and erin are there again.
DUMP = (Path(__file__).parent / "dumps" / "at_0002.sql").read_text()
ZOE = "Zoë O'Neil %s $1"
OWNERS = "select id, created_at, deleted_at, last_deleted_at from taskport.owners"
TASKS = "select * from taskport.tasks order by id"


def at(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


CREATED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MIGRATED = {
    "ann": (CREATED, None, None),
    ZOE: (at(3, 4, 5) + timedelta(minutes=6, seconds=7), None, None),
    "bob": (at(6, 1), None, at(5, 1, 10)),
    "dave": (None, at(5, 1, 11), at(5, 1, 11)),
    "erin": (at(6, 3), None, at(5, 1, 12)),
}


@pytest.fixture
def url(empty_database_url: str) -> str:
    execute(empty_database_url, DUMP)
    return empty_database_url


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def owners(url: str) -> dict[str, tuple[Any, ...]]:
    return {id: tuple(values) for id, *values in rows(url, OWNERS)}


def test_upgrade_keeps_tasks_and_deletions(url: str) -> None:
    tasks, theirs = rows(url, TASKS), dump(url, "public")
    migrate(url)
    check_ready(url)
    assert owners(url) == MIGRATED
    assert rows(url, TASKS) == tasks
    added = [line for line in dump(url, "public").splitlines() if line not in theirs.splitlines()]
    assert [line.split()[:3] for line in added] == [
        ["CREATE", "TRIGGER", "taskport_delete_all_owners"],
        ["CREATE", "TRIGGER", "taskport_delete_owner"],
    ]
    execute(url, """delete from "user" where id in ('ann', 'carol')""")
    assert {id for id, (_, deleted_at, _) in owners(url).items() if deleted_at} == {
        "ann",
        "carol",
        "dave",
    }
    assert {task[1] for task in rows(url, TASKS)} == {ZOE, "bob"}


def test_upgraded_schema_is_that_of_a_new_database(url: str, database_url: str) -> None:
    migrate(url)
    assert dump(url, "taskport") == dump(database_url, "taskport")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_times_without_a_zone_are_in_utc(url: str, zone: str) -> None:
    execute(
        url,
        'alter table "user" alter "createdAt" type timestamp(3)'
        " using \"createdAt\" at time zone 'UTC'",
        f"alter database {url.rpartition('/')[2]} set timezone = '{zone}'",
    )
    migrate(url)
    assert owners(url)["ann"][0] == CREATED.replace(microsecond=679000)
    execute(url, """delete from "user" where id = 'carol'""")
    assert owners(url)["carol"][0] == at(3, 1)
    execute(url, 'truncate "user" cascade')
    assert owners(url)[ZOE][0] == at(3, 4, 5) + timedelta(minutes=6, seconds=7)


def test_downgrade_restores_the_older_schema(url: str) -> None:
    """With the deletions since; and an upgrade from there is the same."""
    before = dump(url, "taskport"), dump(url, "public"), rows(url, TASKS)
    migrate(url)
    upgraded = owners(url)
    downgrade(url, "0002")
    assert (dump(url, "taskport"), dump(url, "public"), rows(url, TASKS)) == before
    deleted = rows(url, "select id, deleted_at from taskport.deleted_users")
    assert dict(deleted) == {
        id: last_deleted_at for id, (*_, last_deleted_at) in MIGRATED.items() if last_deleted_at
    }
    execute(url, """delete from "user" where id = 'ann'""")
    assert len(rows(url, "select id from taskport.deleted_users")) == len(deleted) + 1
    assert {task[1] for task in rows(url, TASKS)} == {ZOE, "bob"}
    migrate(url)
    check_ready(url)
    assert owners(url).keys() == upgraded.keys()
    assert owners(url)["ann"][1] is not None
    assert {**owners(url), "ann": upgraded["ann"]} == upgraded


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            [
                'alter table "user" disable trigger user',
                """delete from "user" where id = 'ann'""",
            ],
            'such as "ann"',
        ),
        (['alter table "user" rename to users'], 'no table public."user"'),
        (
            [
                'alter table "session" drop constraint "session_userId_fkey"',
                'alter table "account" drop constraint "account_userId_fkey"',
                'truncate "user"',
                'alter table "user" alter id type integer using 1',
            ],
            "with a text id",
        ),
    ],
    ids=["orphans", "no table", "integers"],
)
def test_impossible_downgrade_is_rejected(url: str, statements: list[str], message: str) -> None:
    migrate(url)
    execute(url, *statements)
    before = dump(url, "taskport"), dump(url, "public"), rows(url, TASKS)
    with pytest.raises(SchemaError, match=message):
        downgrade(url, "0002")
    assert (dump(url, "taskport"), dump(url, "public"), rows(url, TASKS)) == before
