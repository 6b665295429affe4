"""The triggers on Better Auth's table of users that record deletions, whichever side deletes.

They are the only thing that we add to a table of Better Auth's. They call one function in our
schema, which takes the names of the columns as arguments: nothing of ours depends on their table.
"""

from typing import Final

from sqlalchemy import Connection, text

from adapters.postgres.tables import SCHEMA

# Bits of `pg_trigger.tgtype`.
_ROW, _BEFORE, _DELETE, _TRUNCATE = 1, 2, 8, 32
#: The kind of each trigger, and the value of `tgtype` that stands for it.
TRIGGERS: Final = {
    "taskport_delete_owner": ("after delete on {} for each row", _ROW | _DELETE),
    "taskport_delete_all_owners": (
        "before truncate on {} for each statement",
        _BEFORE | _TRUNCATE,
    ),
}

_IS_THERE: Final = text(
    f"""
    select exists (
        select from pg_catalog.pg_trigger
        where tgrelid = to_regclass(:table) and tgname = :name
          and tgfoid = to_regprocedure('{SCHEMA}.delete_owner()')
          and tgtype = :type and tgargs = :arguments and tgqual is null and tgenabled in ('O', 'A')
    )
    """  # noqa: S608
)


class TriggerNotInstalled(Exception):
    """The role may not create the triggers. The message is one sentence for the operator."""


def install(
    connection: Connection,
    *,
    schema: str,
    table: str,
    id_column: str,
    created_column: str | None,
    created_has_zone: bool,
) -> None:
    """Create the triggers on a table, unless they are there.

    Raises `TriggerNotInstalled`. The function must exist: a migration creates it.
    """
    arguments = _arguments(id_column, created_column, has_zone=created_has_zone)
    missing = [
        name for name in TRIGGERS if not _is_there(connection, name, (schema, table), arguments)
    ]
    if not missing:
        return
    name = _quoted(schema, table)
    role, may_create = connection.execute(
        text("select current_user, has_table_privilege(:table, 'TRIGGER')"), {"table": name}
    ).one()
    if not may_create:
        raise TriggerNotInstalled(
            f'the role "{role}" may not create the triggers that record deleted users: run'
            f' `grant trigger on {name} to "{role}"` as the owner of that table'
        )
    literals = ", ".join(_literal(argument) for argument in arguments)
    for trigger in missing:
        connection.exec_driver_sql(
            f"create or replace trigger {trigger} {TRIGGERS[trigger][0].format(name)}"
            f" execute function {SCHEMA}.delete_owner({literals})".replace("%", "%%")
        )


def is_installed(
    connection: Connection,
    *,
    schema: str,
    table: str,
    id_column: str,
    created_column: str | None,
    created_has_zone: bool,
) -> bool:
    """Whether the triggers are on a table, enabled, and read these columns."""
    arguments = _arguments(id_column, created_column, has_zone=created_has_zone)
    return all(_is_there(connection, name, (schema, table), arguments) for name in TRIGGERS)


def _is_there(
    connection: Connection, trigger: str, table: tuple[str, str], arguments: tuple[str, ...]
) -> bool:
    return bool(
        connection.scalar(
            _IS_THERE,
            {
                "table": _quoted(*table),
                "name": trigger,
                "type": TRIGGERS[trigger][1],
                # As PostgreSQL stores them.
                "arguments": b"".join(argument.encode() + b"\0" for argument in arguments),
            },
        )
    )


def _arguments(id_column: str, created_column: str | None, *, has_zone: bool) -> tuple[str, ...]:
    if created_column is None:
        return (id_column,)
    return (id_column, created_column, "with zone" if has_zone else "without zone")


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _literal(value: str) -> str:
    # With `E`, a backslash means the same whatever `standard_conforming_strings` says.
    return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
