"""Types that a caller of our functions has put in front of those of PostgreSQL."""

from collections.abc import Iterator
from typing import Final

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.grants import front_end_grants

pytestmark = pytest.mark.postgres

ROLE: Final = "caller_with_types"
TYPES: Final = """
    select typname from pg_catalog.pg_type
    where typnamespace = 'pg_catalog'::regnamespace and typtype = 'b' and typcategory <> 'A'
"""
CALLS: Final = {
    "move": "select taskport.move_tasks('guest', 'ann')",
    "deletion": """delete from public."user" where id = 'guest'""",
    "truncation": 'truncate public."user" cascade',
}


@pytest.fixture
def front_end_url(database_url: str) -> Iterator[str]:
    """The database, with two users, for a role that has the privileges of a front end."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(f"create role {ROLE}".encode())
        owner.execute(front_end_grants(ROLE).encode())
        owner.execute(f"grant all on all tables in schema public to {ROLE}".encode())
        for user_id in ("guest", "ann"):
            owner.execute(
                'insert into "user" (id, name, email, "emailVerified")'
                " values (%(id)s, '', %(id)s || '@example.com', false)",
                {"id": user_id},
            )
    yield database_url
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(f"drop owned by {ROLE}".encode())
        owner.execute(f"drop role {ROLE}".encode())


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_functions_do_not_use_temporary_types_of_their_caller(
    front_end_url: str, call: str
) -> None:
    """A domain has constraints, which are checked with the privileges of the current user."""
    with psycopg.connect(front_end_url, autocommit=True) as front_end:
        names = [name for (name,) in front_end.execute(TYPES.encode())]
        assert {"text", "timestamptz", "bytea", "int4", "bool"} <= set(names)
        front_end.execute(f"set role {ROLE}".encode())
        front_end.execute("create temporary table roles (name pg_catalog.text)")
        front_end.execute(
            "create function pg_temp.record() returns pg_catalog.bool language sql as"
            " 'insert into pg_temp.roles values (current_user) returning true'"
        )
        # Else the caller's function would be prevented by a missing privilege, and not run.
        front_end.execute("grant insert on pg_temp.roles to public")
        for name in names:
            front_end.execute(
                sql.SQL(
                    "create domain pg_temp.{0} as pg_catalog.{0} check (pg_temp.record())"
                ).format(sql.Identifier(name))
            )
        front_end.execute(call.encode())
        assert front_end.execute("select name::pg_catalog.text from roles").fetchall() == []
