"""The privileges that the serving role needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from adapters.postgres.layout import BetterAuthTable, Layout
from adapters.postgres.tables import SCHEMA
from adapters.postgres.user_statements import FIELDS, UPDATED


@dataclass(frozen=True, slots=True)
class Privilege:
    """A privilege that the serving role needs."""

    schema: str
    table: str
    privilege: str
    #: None: on the whole table.
    column: str | None = None
    #: Whether each request needs it.
    is_essential: bool = False


_OUR_PRIVILEGES: Final = (
    *(
        Privilege(SCHEMA, "tasks", privilege, is_essential=privilege == "SELECT")
        for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE")
    ),
    *(
        Privilege(SCHEMA, "owners", privilege, is_essential=privilege == "SELECT")
        for privilege in ("SELECT", "INSERT", "UPDATE")
    ),
    Privilege(SCHEMA, "alembic_version", "SELECT", is_essential=True),
)
# Secrets that no statement reads: tokens of other providers, and private keys.
_UNREAD: Final = frozenset({"accessToken", "refreshToken", "idToken", "privateKey"})


def needed_privileges(layout: Layout) -> list[Privilege]:
    """Everything that the serving role needs, and nothing else."""
    user, session, account = layout.user, layout.session, layout.account
    needed = list(_OUR_PRIVILEGES)

    def need(table: BetterAuthTable, privilege: str, names: Iterable[str] | None = None) -> None:
        is_essential = privilege == "SELECT" and table in (user, session)
        columns = (None,) if names is None else (table.columns[n].name for n in names)
        needed.extend(
            Privilege(table.catalog.schema, table.catalog.name, privilege, column, is_essential)
            for column in columns
        )

    for table in layout.tables:
        if table.model != "verification":
            need(table, "SELECT", (name for name in table.columns if name not in _UNREAD))
    need(user, "INSERT", user.writable(("id", *FIELDS)))
    need(user, "UPDATE", user.writable(UPDATED))
    need(user, "DELETE")
    if session is not None:
        need(session, "INSERT", session.writable(tuple(session.columns)))
        need(session, "UPDATE", session.writable(("expiresAt", "updatedAt")))
        need(session, "DELETE")
    need(
        account,
        "INSERT",
        account.writable(tuple(name for name in account.columns if name not in _UNREAD)),
    )
    if not account.is_deleted_with(user):
        need(account, "DELETE")
    return needed


def readable_columns(table: BetterAuthTable) -> tuple[str, ...]:
    """The columns of a table without the secrets that this service never reads."""
    secrets = {table.columns[name].name for name in _UNREAD if name in table.columns}
    return tuple(column.name for column in table.catalog.columns if column.name not in secrets)
