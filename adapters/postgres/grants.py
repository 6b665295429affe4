"""The SQL that grants roles what they need."""

from collections.abc import Iterable

from adapters.postgres.catalog import quoted
from adapters.postgres.layout import Layout
from adapters.postgres.privileges import Privilege, needed_privileges, readable_columns
from adapters.postgres.tables import SCHEMA


def grants(layout: Layout, role: str) -> str:
    """A script for psql, run as the owner of the tables after each migration."""
    needed = needed_privileges(layout)
    schemas = dict.fromkeys(quoted(privilege.schema) for privilege in needed)
    # All columns of these tables but the secrets; a plugin may add columns that are read then.
    restricted = {
        (table.catalog.schema, table.catalog.name): readable_columns(table)
        for table in (layout.account, layout.jwks)
        if table is not None
    }
    lines = [
        "-- The privileges that a worker needs, and no others.",
        "begin;",
        f"grant usage on schema {', '.join(schemas)} to {quoted(role)};",
    ]
    for (schema, table), privileges in _by_table(needed).items():
        columns = restricted.get((schema, table), ())
        names = ", ".join(map(quoted, columns))
        granted = ", ".join(
            f"select ({names})" if name == "select" and columns else name for name in privileges
        )
        lines.append(f"grant {granted} on {quoted(schema, table)} to {quoted(role)};")
    return "\n".join((*lines, "commit;")) + "\n"


def front_end_grants(role: str) -> str:
    """A script for psql, run as the owner of the tables: the front end's server may move tasks."""
    return "\n".join(
        (
            "-- The privilege to move the tasks of a guest, for the front end's server.",
            "begin;",
            f"grant usage on schema {SCHEMA} to {quoted(role)};",
            f"grant execute on function {SCHEMA}.move_tasks(text, text) to {quoted(role)};",
            "commit;\n",
        )
    )


def _by_table(needed: Iterable[Privilege]) -> dict[tuple[str, str], dict[str, None]]:
    """The names of the privileges on each table, in order."""
    tables: dict[tuple[str, str], dict[str, None]] = {}
    for privilege in needed:
        names = tables.setdefault((privilege.schema, privilege.table), {})
        names[privilege.privilege.lower()] = None
    return tables
