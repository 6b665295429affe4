"""The creation of Better Auth's tables, in a database that has none."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text

from adapters.postgres.catalog import quoted

# The statements of Better Auth's own migration (1.7), by table. After them, that migration has
# nothing to do. The table `jwks` is the jwt plugin's, and not created.
_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "user": (
        'create table {schema}."user" ("id" text not null primary key, "name" text not null,'
        ' "email" text not null unique, "emailVerified" boolean not null, "image" text,'
        ' "createdAt" timestamptz default CURRENT_TIMESTAMP not null,'
        ' "updatedAt" timestamptz default CURRENT_TIMESTAMP not null)',
    ),
    "session": (
        'create table {schema}."session" ("id" text not null primary key,'
        ' "expiresAt" timestamptz not null, "token" text not null unique,'
        ' "createdAt" timestamptz default CURRENT_TIMESTAMP not null,'
        ' "updatedAt" timestamptz not null, "ipAddress" text, "userAgent" text,'
        ' "userId" text not null references {schema}."user" ("id") on delete cascade)',
        'create index "session_userId_idx" on {schema}."session" ("userId")',
    ),
    "account": (
        'create table {schema}."account" ("id" text not null primary key,'
        ' "accountId" text not null, "providerId" text not null,'
        ' "userId" text not null references {schema}."user" ("id") on delete cascade,'
        ' "accessToken" text, "refreshToken" text, "idToken" text,'
        ' "accessTokenExpiresAt" timestamptz, "refreshTokenExpiresAt" timestamptz,'
        ' "scope" text, "password" text,'
        ' "createdAt" timestamptz default CURRENT_TIMESTAMP not null,'
        ' "updatedAt" timestamptz not null)',
        'create index "account_userId_idx" on {schema}."account" ("userId")',
    ),
    "verification": (
        'create table {schema}."verification" ("id" text not null primary key,'
        ' "identifier" text not null, "value" text not null,'
        ' "expiresAt" timestamptz not null,'
        ' "createdAt" timestamptz default CURRENT_TIMESTAMP not null,'
        ' "updatedAt" timestamptz default CURRENT_TIMESTAMP not null)',
        'create index "verification_identifier_idx" on {schema}."verification" ("identifier")',
    ),
}
TABLE_NAMES: Final = tuple(_TABLES)


def statements(schema: str) -> list[str]:
    """The SQL that creates all tables in a schema."""
    return [
        statement.format(schema=quoted(schema)) for table in _TABLES.values() for statement in table
    ]


def create(connection: Connection, schema: str) -> None:
    """Create all tables in a schema that exists."""
    for statement in statements(schema):
        connection.execute(text(statement.replace(":", r"\:")))
