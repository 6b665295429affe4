"""Our migration beside the front end's own tool, in each layout of Better Auth's tables."""

from typing import get_args

import psycopg
import pytest

from adapters.postgres.schema import check_ready, downgrade, migrate
from tests.interop.layouts import SUPPORTED, Layout, create_tables, proposed_changes
from tests.interop.test_migration import public_schema
from tests.layouts.dump import BY_NAME
from tests.servers import PostgresServer

pytestmark = [
    pytest.mark.node,
    pytest.mark.postgres,
    pytest.mark.usefixtures("node_modules"),
]


@pytest.mark.parametrize("layout", get_args(Layout))
def test_tool_creates_the_schema_of_the_dump(
    postgres_18_server: PostgresServer, layout: Layout
) -> None:
    """The dumps on which `tests/layouts` runs the service are those of the versions in use."""
    with (
        postgres_18_server.database(template="template0") as url,
        postgres_18_server.database(template="template0") as loaded_url,
    ):
        create_tables(url, layout)
        BY_NAME[layout].load(loaded_url)
        schema, loaded = public_schema(url), public_schema(loaded_url)
        assert proposed_changes(loaded_url, layout) == ""

    assert schema == loaded


@pytest.mark.parametrize("layout", SUPPORTED)
def test_our_migration_changes_nothing_of_better_auth(
    empty_database_url: str, layout: Layout
) -> None:
    """The front end's tool has nothing to propose, neither before nor after it."""
    url = empty_database_url
    create_tables(url, layout)
    schema = public_schema(url)

    migrate(url)

    check_ready(url)
    assert public_schema(url) == schema
    assert proposed_changes(url, layout) == ""
    assert public_schema(url) == schema
    downgrade(url)
    assert public_schema(url) == schema


@pytest.mark.parametrize("layout", ["drizzle_default", "kysely_default"])
def test_changes_that_the_tool_would_make_are_seen(empty_database_url: str, layout: Layout) -> None:
    """Of the tests: a tool that did not look would propose nothing either."""
    create_tables(empty_database_url, layout)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute('alter table "user" drop column image')

    assert "image" in proposed_changes(empty_database_url, layout)
