"""The triggers on Better Auth's table of users that record deletions, whichever side deletes.

They are the only thing that we add to a table of Better Auth's. They call one function in our
schema, which takes the names of the columns as arguments: nothing of ours depends on their table.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from adapters.postgres.blocking import fetch_all
from adapters.postgres.database import Database, Row, Statement, Values
from adapters.postgres.layout import DeletionTarget
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

_INSTALLED: Final = Statement(
    "deletion_trigger.installed",
    f"""
    select tgname::text
    from pg_catalog.pg_trigger
    where tgrelid = to_regclass($1) and tgargs = $2 and tgqual is null and tgenabled in ('O', 'A')
      and tgfoid = to_regprocedure('{SCHEMA}.delete_owner()')
      and (tgname, tgtype) in ({", ".join(f"('{n}', {t})" for n, (_, t) in TRIGGERS.items())})
    """,  # noqa: S608
    ("table", "arguments"),
)


class TriggerNotInstalled(Exception):
    """The role may not create the triggers. The message is one sentence for the operator."""


def install(connection: Connection, target: DeletionTarget) -> None:
    """Create the triggers on a table of users, unless they are there.

    Raises `TriggerNotInstalled`. The function must exist: a migration creates it.
    """
    missing = _missing(fetch_all(connection, _INSTALLED, _values(target)))
    if not missing:
        return
    name, arguments = str(target.table), arguments_of(target)
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


def arguments_of(target: DeletionTarget) -> tuple[str, ...]:
    """The arguments of the triggers: how the function reads a deleted row."""
    if target.created_column is None:
        return (target.id_column,)
    zone = "with zone" if target.created_has_zone else "without zone"
    return target.id_column, target.created_column, zone


async def find_missing(database: Database, target: DeletionTarget) -> list[str]:
    """The names of the triggers that are not on the table, enabled, with the right arguments."""
    return _missing(await database.fetch_all(_INSTALLED, _values(target)))


def _missing(installed: Sequence[Row]) -> list[str]:
    names = {name for (name,) in installed}
    return [trigger for trigger in TRIGGERS if trigger not in names]


def _values(target: DeletionTarget) -> Values:
    return {
        "table": str(target.table),
        # As PostgreSQL stores them.
        "arguments": b"".join(argument.encode() + b"\0" for argument in arguments_of(target)),
    }


def _literal(value: str) -> str:
    # With `E`, a backslash means the same whatever `standard_conforming_strings` says.
    return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
