"""Better Auth's tables: missing ones are created, existing ones are checked and left unchanged."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text

from adapters.postgres.tables import BETTER_AUTH_SCHEMA

# The statements of Better Auth's own migration (1.7), by table. After them, that migration has
# nothing to do.
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "user": (
        'create table public."user" ("id" text not null primary key, "name" text not null,'
        ' "email" text not null unique, "emailVerified" boolean not null, "image" text,'
        ' "createdAt" timestamptz default CURRENT_TIMESTAMP not null,'
        ' "updatedAt" timestamptz default CURRENT_TIMESTAMP not null)',
    ),
    "session": (
        'create table public."session" ("id" text not null primary key,'
        ' "expiresAt" timestamptz not null, "token" text not null unique,'
        ' "createdAt" timestamptz default CURRENT_TIMESTAMP not null,'
        ' "updatedAt" timestamptz not null, "ipAddress" text, "userAgent" text,'
        ' "userId" text not null references public."user" ("id") on delete cascade)',
        'create index "session_userId_idx" on public."session" ("userId")',
    ),
    "account": (
        'create table public."account" ("id" text not null primary key,'
        ' "accountId" text not null, "providerId" text not null,'
        ' "userId" text not null references public."user" ("id") on delete cascade,'
        ' "accessToken" text, "refreshToken" text, "idToken" text,'
        ' "accessTokenExpiresAt" timestamptz, "refreshTokenExpiresAt" timestamptz,'
        ' "scope" text, "password" text,'
        ' "createdAt" timestamptz default CURRENT_TIMESTAMP not null,'
        ' "updatedAt" timestamptz not null)',
        'create index "account_userId_idx" on public."account" ("userId")',
    ),
    "verification": (
        'create table public."verification" ("id" text not null primary key,'
        ' "identifier" text not null, "value" text not null,'
        ' "expiresAt" timestamptz not null,'
        ' "createdAt" timestamptz default CURRENT_TIMESTAMP not null,'
        ' "updatedAt" timestamptz default CURRENT_TIMESTAMP not null)',
        'create index "verification_identifier_idx" on public."verification" ("identifier")',
    ),
    "jwks": (
        'create table public."jwks" ("id" text not null primary key,'
        ' "publicKey" text not null, "privateKey" text not null,'
        ' "createdAt" timestamptz not null, "expiresAt" timestamptz, "alg" text, "crv" text)',
    ),
}

# The columns that this service needs. Versions before 1.7 lack `jwks.alg` and `jwks.crv`.
_COLUMNS: Final[Mapping[str, frozenset[str]]] = {
    "user": frozenset({"id", "name", "email", "emailVerified", "image", "createdAt", "updatedAt"}),
    "session": frozenset(
        {"id", "expiresAt", "token", "createdAt", "updatedAt", "ipAddress", "userAgent", "userId"}
    ),
    "account": frozenset(
        {"id", "accountId", "providerId", "userId", "password", "createdAt", "updatedAt"}
    ),
    "jwks": frozenset({"id", "publicKey", "createdAt", "expiresAt"}),
}
_TEXT_TYPES: Final = frozenset({"text", "character varying"})


class UnsupportedTables(Exception):
    """Better Auth's tables do not have the names and types of its default configuration."""


def create_missing(connection: Connection) -> None:
    """Create the tables that do not exist. Raises `UnsupportedTables`, and then creates none."""
    existing = _existing_columns(connection)
    _check_columns(existing)
    for table, statements in TABLES.items():
        if table not in existing:
            for statement in statements:
                connection.execute(text(statement))


def check_tables(connection: Connection) -> None:
    """Check the tables that exist. Raises `UnsupportedTables` with the first difference."""
    _check_columns(_existing_columns(connection))


def _existing_columns(connection: Connection) -> dict[str, dict[str, str]]:
    """The columns of each table that exists, with their types."""
    rows = connection.execute(
        text(
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = :schema and table_name = any(:tables)"
        ),
        {"schema": BETTER_AUTH_SCHEMA, "tables": list(TABLES)},
    )
    tables: dict[str, dict[str, str]] = {}
    for table, column, data_type in rows:
        tables.setdefault(table, {})[column] = data_type
    return tables


def _check_columns(existing: Mapping[str, Mapping[str, str]]) -> None:
    for table, columns in existing.items():
        missing = sorted(_COLUMNS.get(table, frozenset()) - columns.keys())
        if missing:
            raise UnsupportedTables(
                f'the table "{table}" in this database has no column "{missing[0]}": Taskport'
                " works with Better Auth's default table and column names only"
            )
    id_type = existing.get("user", {}).get("id", "text")
    if id_type not in _TEXT_TYPES:
        raise UnsupportedTables(
            f'the column "id" of the table "user" is of type {id_type}, not text: Taskport works'
            " with Better Auth's default ids only (no advanced.database.generateId)"
        )
