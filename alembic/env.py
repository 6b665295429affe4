"""Runs the migrations, on the connection that `adapters.postgres.schema` passes.

Alembic's own commands, such as `alembic revision --autogenerate`, use the database of the settings.
"""

from alembic import context
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from adapters.postgres.better_auth_tables import TABLE_NAMES
from adapters.postgres.schema import connect
from adapters.postgres.tables import METADATA, SCHEMA
from entrypoints.database import with_database
from entrypoints.settings import Settings


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Compare only our own schema of the database."""
    return kind != "schema" or name == SCHEMA


def include_object(
    item: object, name: str | None, kind: str, _reflected: bool, _to: object
) -> bool:
    """Exclude Better Auth's tables, which are in our schema if its own are elsewhere."""
    is_ours = getattr(item, "schema", None) == SCHEMA and name not in TABLE_NAMES
    return kind != "table" or is_ours


def number(context: MigrationContext, _revision: object, directives: list[MigrationScript]) -> None:
    """Number a new migration, so that the files sort in order; Alembic's default is a random id."""
    for script in directives:
        script.rev_id = f"{int(context.get_current_revision() or 0) + 1:04}"


def run(conn: Connection) -> None:
    # Names in migrations are schema-qualified. With `public` in the search path, the foreign key to
    # "user" would be reflected without its schema, and seem to have changed.
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


if (connection := context.config.attributes.get("connection")) is not None:
    run(connection)
else:
    with with_database(Settings()) as settings, connect(settings.direct_url or "") as conn:
        run(conn)
