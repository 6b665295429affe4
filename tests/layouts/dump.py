"""Better Auth's schema in each dump, written out by hand: names, kinds of ids and of times.

The files in `dumps/` are `pg_dump --schema-only` of what Better Auth's own tools made.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, LiteralString

import psycopg
from psycopg import sql

_FOLDER: Final = Path(__file__).parent / "dumps"

IdKind = Literal["text", "uuid", "serial"]
Names = Mapping[str, str]

#: The fields of each of Better Auth's models, under the names that its own options use.
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("id", "name", "email", "emailVerified", "image", "createdAt", "updatedAt"),
    "session": (
        *("id", "expiresAt", "token", "createdAt", "updatedAt"),
        *("ipAddress", "userAgent", "userId"),
    ),
    "account": (
        *("id", "accountId", "providerId", "userId", "accessToken", "refreshToken", "idToken"),
        *("accessTokenExpiresAt", "refreshTokenExpiresAt", "scope", "password"),
        *("createdAt", "updatedAt"),
    ),
    "verification": ("id", "identifier", "value", "expiresAt", "createdAt", "updatedAt"),
    "jwks": ("id", "publicKey", "privateKey", "createdAt", "expiresAt", "alg", "crv"),
    "twoFactor": (
        *("id", "secret", "backupCodes", "userId", "verified"),
        *("failedVerificationCount", "lockedUntil"),
    ),
}
#: The fields that the plugins `admin` and `twoFactor` add.
PLUGIN_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("role", "banned", "banReason", "banExpires", "twoFactorEnabled"),
    "session": ("impersonatedBy",),
}
_MODELS: Final = tuple(FIELDS)


@dataclass(frozen=True)
class Dump:
    """One dump, or what a test has renamed in it."""

    #: The file in `dumps/`, without `.sql`.
    name: str
    #: Better Auth's name of a model, and the name of its table.
    tables: Names
    #: For each model: Better Auth's name of a field, and the name of its column.
    columns: Mapping[str, Names]
    schema: str = "public"
    ids: IdKind = "text"
    #: Whether times have a time zone. Those without one are in UTC.
    zoned: bool = True

    def __str__(self) -> str:
        return self.name

    def load(self, url: str, edit: Callable[[str], str] = str) -> None:
        """Create the tables of the dump, after an edit of its text."""
        text = edit((_FOLDER / f"{self.name}.sql").read_text())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(text.encode())

    def has(self, model: str, field: str | None = None) -> bool:
        return model in self.tables and (field is None or field in self.columns[model])

    def table(self, model: str) -> sql.Identifier:
        """The qualified name of the table of a model."""
        return sql.Identifier(self.schema, self.tables[model])

    def column(self, model: str, field: str) -> sql.Identifier:
        return sql.Identifier(self.columns[model][field])

    def query(self, template: LiteralString, model: str) -> sql.Composed:
        """A statement on the table `{table}` of a model, with its fields as `{emailVerified}`."""
        columns = {field: self.column(model, field) for field in self.columns[model]}
        return sql.SQL(template).format(table=self.table(model), **columns)

    def fields(self) -> Iterator[tuple[str, str]]:
        """Each field of each model."""
        for model, columns in self.columns.items():
            for field in columns:
                yield model, field

    def renamed(self, model: str, field: str, column: str) -> "Dump":
        """The dump with another name of one column."""
        columns = {**self.columns[model], field: column}
        return replace(self, columns={**self.columns, model: columns})

    def with_table(self, model: str, table: str) -> "Dump":
        """The dump with another name of one table."""
        return replace(self, tables={**self.tables, model: table})

    def in_schema(self, schema: str) -> "Dump":
        return replace(self, schema=schema)

    def models_setting(self) -> str:
        """`BETTER_AUTH_MODELS`: the names that differ, in the form of Better Auth's own options."""
        return json.dumps(
            {
                model: {
                    "modelName": self.tables[model],
                    "fields": {
                        field: column
                        for field, column in self.columns[model].items()
                        # The options have no name for the id.
                        if field not in (column, "id")
                    },
                }
                for model in ("user", "session", "account", "verification", "jwks")
                if model in self.tables
            }
        )


def rename(connection: psycopg.Connection, before: Dump, after: Dump) -> None:
    """Rename columns, tables and the schema. Two may swap their names."""
    for model, old in before.columns.items():
        new = after.columns[model]
        changed = [field for field in old if old[field] != new[field]]
        statement = sql.SQL("alter table {} rename column {} to {}")
        for names in ((old, _temporary(changed)), (_temporary(changed), new)):
            for field in changed:
                source, target = (sql.Identifier(name[field]) for name in names)
                connection.execute(statement.format(before.table(model), source, target))
    changed = [model for model in before.tables if before.tables[model] != after.tables[model]]
    for names in ((before.tables, _temporary(changed)), (_temporary(changed), after.tables)):
        for model in changed:
            source = sql.Identifier(before.schema, names[0][model])
            target = sql.Identifier(names[1][model])
            connection.execute(sql.SQL("alter table {} rename to {}").format(source, target))
    if before.schema != after.schema:
        schema = sql.Identifier(after.schema)
        connection.execute(sql.SQL("create schema if not exists {}").format(schema))
        for table in after.tables.values():
            source = sql.Identifier(before.schema, table)
            connection.execute(sql.SQL("alter table {} set schema {}").format(source, schema))


def _temporary(names: Iterable[str]) -> Names:
    return {name: f"temporary {name}" for name in names}


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", name)


def _columns(*models: str, snake: tuple[str, ...] = (), plugins: bool = True) -> dict[str, Names]:
    """The columns of these models; those named by `snake` are in snake_case."""
    return {
        model: {
            field: _snake(field) if model in snake else field
            for field in (*FIELDS[model], *(PLUGIN_FIELDS.get(model, ()) if plugins else ()))
        }
        for model in models
    }


_SINGULAR: Final = {model: model for model in _MODELS}
_CAMEL: Final = _columns(*_MODELS)
_DRIZZLE: Final = {**_SINGULAR, "twoFactor": "two_factor"}
_SNAKE: Final = _columns(*_MODELS, snake=_MODELS)
_SNAKE_CORE: Final = _columns(*_MODELS, snake=("user", "session", "account", "verification"))
_WITHOUT_SESSION: Final = ("user", "account", "jwks")
_WITH_SESSION: Final = (*_WITHOUT_SESSION, "session")

KYSELY: Final = Dump("kysely_default", _SINGULAR, _CAMEL)
DRIZZLE: Final = Dump("drizzle_default", _DRIZZLE, _SNAKE, zoned=False)
PRISMA: Final = Dump("prisma_default", _SINGULAR, _CAMEL, zoned=False)

#: All dumps with a table of sessions.
DUMPS: Final = (
    KYSELY,
    # `usePlural` of the Drizzle adapter is `modelName` and `fields` of the others.
    Dump(
        "kysely_custom",
        {
            **_SINGULAR,
            **{model: f"{model}s" for model in ("user", "session", "account", "verification")},
        },
        # `fields` names no column of a plugin.
        {
            **_SNAKE_CORE,
            **{
                model: {
                    **_SNAKE_CORE[model],
                    **{field: field for field in PLUGIN_FIELDS[model]},
                }
                for model in PLUGIN_FIELDS
            },
        },
    ),
    Dump("kysely_schema", _SINGULAR, _CAMEL, schema="auth"),
    Dump("kysely_uuid", _SINGULAR, _CAMEL, ids="uuid"),
    Dump("kysely_serial", _SINGULAR, _CAMEL, ids="serial"),
    # With `secondaryStorage`: without plugins and without verifications.
    Dump(
        "kysely_sec_keep",
        {model: model for model in _WITH_SESSION},
        _columns(*_WITH_SESSION, plugins=False),
    ),
    Dump(
        "kysely_sec_store",
        {model: model for model in _WITH_SESSION},
        _columns(*_WITH_SESSION, plugins=False),
    ),
    DRIZZLE,
    Dump(
        "drizzle_plural",
        {model: f"{table}s" for model, table in _DRIZZLE.items()},
        _SNAKE,
        zoned=False,
    ),
    Dump("drizzle_uuid", _DRIZZLE, _SNAKE, ids="uuid", zoned=False),
    PRISMA,
    Dump("prisma_uuid", _SINGULAR, _CAMEL, ids="uuid", zoned=False),
)
BY_NAME: Final = {dump.name: dump for dump in DUMPS}
_MADE: Final = ("user", "session", "account", "verification")
#: The tables that this service makes in an empty database. There is no such file.
MADE: Final = Dump("made", {model: model for model in _MADE}, _columns(*_MADE, plugins=False))
#: Sessions are in Redis only.
WITHOUT_SESSIONS: Final = Dump(
    "kysely_sec_only",
    {model: model for model in _WITHOUT_SESSION},
    _columns(*_WITHOUT_SESSION, plugins=False),
)
