"""Our migration beside the front end's own tool, in each layout of Better Auth's tables."""

import psycopg
import pytest

from adapters.postgres.schema import check_ready, migrate
from tests.interop.layouts import LAYOUTS, Layout, create_tables, proposed_changes
from tests.interop.test_migration import public_schema
from tests.layouts.dump import BY_NAME
from tests.servers import PostgresServer

pytestmark = [
    pytest.mark.node,
    pytest.mark.postgres,
    pytest.mark.usefixtures("node_modules"),
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_our_migration_changes_nothing_of_better_auth(
    empty_database_url: str, postgres_18_server: PostgresServer, layout: Layout
) -> None:
    """The front end's tool has nothing to propose after it.

    The tables are those of the dump on which `tests/layouts` runs the service.
    """
    create_tables(empty_database_url, layout)
    with postgres_18_server.database(template="template0") as loaded_url:
        BY_NAME[layout].load(loaded_url)
        dump = public_schema(loaded_url)
    assert public_schema(empty_database_url) == dump

    migrate(empty_database_url)

    check_ready(empty_database_url)
    assert public_schema(empty_database_url) == dump
    assert proposed_changes(empty_database_url, layout) == ""


@pytest.mark.parametrize("layout", ["drizzle_default", "kysely_default"])
def test_changes_that_the_tool_would_make_are_seen(empty_database_url: str, layout: Layout) -> None:
    """Of the tests: a tool that did not look would propose nothing either."""
    create_tables(empty_database_url, layout)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute('alter table "user" drop column image')

    assert "image" in proposed_changes(empty_database_url, layout)
