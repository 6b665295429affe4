"""Tables that match a model of Better Auth's: what is missing, and what they are made into."""

from typing import Final

from adapters.postgres.better_auth_models import Match, Model
from adapters.postgres.catalog import CatalogTable
from adapters.postgres.layout import (
    BetterAuthTable,
    DeletionTarget,
    LayoutOptions,
    UnsupportedLayout,
)

_TIMES: Final = frozenset({"timestamp", "timestamptz"})
_IDS: Final = frozenset({"text", "uuid", "integer", "bigint"})


def require_complete(match: Match, options: LayoutOptions) -> Match:
    """The match. Raises `UnsupportedLayout` if a column is missing."""
    if match.missing:
        raise UnsupportedLayout(
            f"{match.table} could be Better Auth's {match.model.name}, but has no column for"
            f" {match.missing[0]}: {cure('name', match.model)}, or {options.cure}"
        )
    return match


def cure(verb: str, model: Model) -> str:
    names = "its table and columns" if verb == "say" else "the column"
    return f"{verb} {names} in BETTER_AUTH_MODELS, under {model.name}"


def times(table: CatalogTable) -> int:
    return sum(column.kind in _TIMES for column in table.columns)


def unique_texts(table: CatalogTable) -> list[str]:
    return [c.name for c in table.columns if c.kind == "text" and {c.name} in table.unique]


def to_table(match: Match) -> BetterAuthTable:
    return BetterAuthTable(match.model.name, match.table, dict(match.columns))


def target(user: Match) -> DeletionTarget:
    created = user.columns.get("createdAt")
    return DeletionTarget(
        user.table,
        user.columns["id"].name,
        None if created is None else created.name,
        created_has_zone=created is not None and created.kind == "timestamptz",
    )


def check_types(user: Match, session: Match | None) -> None:
    """Refuse types with which a user or a session cannot be read."""
    of_user = ((user, "id", _IDS), (user, "email", {"text"}))
    of_session = (
        ()
        if session is None
        else (
            (session, "id", _IDS),
            (session, "token", {"text"}),
            (session, "expiresAt", _TIMES),
            (session, "userId", {user.columns["id"].kind}),
        )
    )
    for match, name, kinds in (*of_user, *of_session):
        column = match.columns[name]
        if column.kind not in kinds:
            raise UnsupportedLayout(
                f'the column "{column.name}" of {match.table} is of type {column.type}, which'
                f" cannot be Better Auth's {match.model.name}.{name}: {cure('name', match.model)}"
            )
