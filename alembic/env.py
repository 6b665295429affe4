"""Runs the migrations, on the connection that `adapters.postgres.schema` hands over.

`alembic revision --autogenerate` and its like, run by hand, take the database of the settings.
"""

from alembic import context
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from adapters.postgres.schema import connect
from adapters.postgres.tables import METADATA, SCHEMA
from entrypoints.database import with_database
from entrypoints.settings import Settings


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Of the database, look at our own schema alone."""
    return kind != "schema" or name == SCHEMA


def include_object(
    item: object, _name: str | None, kind: str, _reflected: bool, _to: object
) -> bool:
    """Of the models, leave out Better Auth's tables."""
    return kind != "table" or getattr(item, "schema", None) == SCHEMA


def number(context: MigrationContext, _revision: object, directives: list[MigrationScript]) -> None:
    """Number a new migration, so that they read in order: by itself Alembic draws lots."""
    for script in directives:
        script.rev_id = f"{int(context.get_current_revision() or 0) + 1:04}"


def run(conn: Connection) -> None:
    # Every name in a migration says its schema; and what is in the path loses it when reflected,
    # so that the foreign key to "user" would seem to have changed.
    conn.execute(text("set local search_path = ''"))
    context.configure(
        connection=conn,
        target_metadata=METADATA,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=include_name,
        include_object=include_object,
        compare_server_default=True,
        process_revision_directives=number,
    )
    with context.begin_transaction():
        context.run_migrations()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    with with_database(Settings()) as settings, connect(settings.direct_url or "") as conn:
        run(conn)
