"""Finds Better Auth's tables in the catalog by their shape.

A table is Better Auth's `session` because it has a token, a user and an expiry under any spelling.
The `user` is the table that the session's user column references, and so on. If the shape does not
decide, the operator does, with `BETTER_AUTH_SCHEMA` and `BETTER_AUTH_MODELS`.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from adapters.postgres.better_auth_models import (
    ACCOUNT,
    JWKS,
    MODELS,
    SESSION,
    USER,
    VERIFICATION,
    Match,
    Model,
    spelled,
)
from adapters.postgres.catalog import CatalogColumn, CatalogTable
from adapters.postgres.layout import (
    DeletionTarget,
    Layout,
    LayoutOptions,
    UnsupportedLayout,
)
from adapters.postgres.matches import (
    check_types,
    cure,
    require_complete,
    target,
    times,
    to_table,
    unique_texts,
)
from adapters.postgres.option_names import check_columns, check_names
from adapters.postgres.tables import SCHEMA

# The last word of the name of a table that could be one of Better Auth's core tables.
_NAMES: Final = frozenset(
    name + plural for name in ("user", "session", "account", "verification") for plural in ("", "s")
)
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")


def discover(tables: Sequence[CatalogTable], options: LayoutOptions) -> Layout | None:
    """The layout of Better Auth's tables; None if no table could be one of them.

    Raises `UnsupportedLayout`.
    """
    return _Discovery(tables, options).layout()


class _Discovery:
    def __init__(self, tables: Sequence[CatalogTable], options: LayoutOptions) -> None:
        self._by_oid = {table.oid: table for table in tables}
        self._options = options
        self._tables = [
            table
            for table in tables
            # In ours are the users of a Better Auth that is not on this database.
            if (table.schema == options.schema)
            or (not options.schema and not (options.has_sessions and table.schema == SCHEMA))
        ]

    def layout(self) -> Layout | None:
        check_names(self._options, self._tables)
        session = self._session()
        user = self._user_of(session) if session is not None else self._user_without_sessions()
        if user is None:
            self._refuse_suspects()
            self._refuse_elsewhere()
            return None
        self._refuse_two_users(user)
        account = self._one_of(ACCOUNT, near=user)
        if account is None:
            raise UnsupportedLayout(
                f"{user.table} is Better Auth's, but no table could be its account: run Better"
                f" Auth's own migration, or {cure('say', ACCOUNT)}"
            )
        verification = self._one_of(VERIFICATION, near=user, is_needed=False)
        jwks = self._one_of(JWKS, near=user)
        check_types(user, session)
        for match in (user, session, account, verification, jwks):
            if match is not None:
                check_columns(self._options, match.model.name, [match.table])
        return Layout(
            user=to_table(user),
            session=None if session is None else to_table(session),
            account=to_table(account),
            verification=None if verification is None else to_table(verification),
            jwks=None if jwks is None else to_table(jwks),
            deletion_target=self._deletion_target(user),
        )

    def _deletion_target(self, user: Match) -> DeletionTarget | None:
        if not user.table.is_view:
            return target(user)
        sources = [self._by_oid[oid] for oid in user.table.sources if oid in self._by_oid]
        if len(sources) != 1 or sources[0].is_view:
            return None
        source = self._match(USER, sources[0])
        return target(source) if "id" in source.columns else None

    def _session(self) -> Match | None:
        if self._options.schema and len(self._suspects()) < 2:
            # The operator has decided where the tables are to be: a single one that resembles
            # Better Auth's is the application's.
            return None
        # If sessions are elsewhere, a table of incomplete ones is the application's.
        return self._one_of(SESSION, is_needed=self._options.has_sessions)

    def _user_without_sessions(self) -> Match | None:
        """The user that an account references, if sessions may be elsewhere."""
        if self._options.has_sessions or (self._options.schema and len(self._suspects()) < 2):
            return None
        account = self._one_of(ACCOUNT)
        return None if account is None else self._user_of(account)

    def _suspects(self) -> list[Match]:
        """The likeliest table of each model that some table could be."""
        likeliest = []
        for model in MODELS:
            matches = (self._match(model, table) for table in self._tables)
            suspects = [match for match in matches if match.is_suspect]
            if suspects:
                likeliest.append(min(suspects, key=lambda match: len(match.missing)))
        return likeliest

    def _user_of(self, other: Match) -> Match:
        """The table that the user column of a session or an account references."""
        column = other.columns["userId"].name
        targets = {key.table for key in other.table.foreign_keys if key.column == column}
        if self._options.of("user").table is None and len(targets) == 1:
            match = self._match(USER, self._by_oid[targets.pop()])
            return require_complete(match, self._options)
        user = self._one_of(USER, near=other)
        if user is None:
            raise UnsupportedLayout(
                f"{other.table} could be Better Auth's {other.model.name}, but no table could be"
                f" its user: {cure('say', USER)}"
            )
        return user

    def _one_of(
        self, model: Model, *, near: Match | None = None, is_needed: bool = True
    ) -> Match | None:
        """The table of a model; None if no table could be it.

        Of several, the one that references the table `near`, or is in the same schema.
        """
        name = self._options.of(model.name).table
        matches = [self._match(model, t) for t in self._tables if name in (None, t.name)]
        if name is None:
            matches = [match for match in matches if match.is_distinct]
        tables = [match for match in matches if not match.table.is_view]
        complete = [match for match in tables or matches if not match.missing]
        for is_preferred in (_references(near), _is_beside(near)):
            preferred = [match for match in complete if is_preferred(match)]
            complete = preferred or complete
        if len(complete) == 1:
            return complete[0]
        if not is_needed:
            return None
        if complete:
            one, other, *_ = (match.table for match in complete)
            raise UnsupportedLayout(
                f"{one} and {other} could both be Better Auth's {model.name}: set"
                " BETTER_AUTH_SCHEMA, or name the table in BETTER_AUTH_MODELS"
            )
        if matches:
            # The message names the column that the likeliest one lacks.
            return require_complete(
                min(matches, key=lambda match: len(match.missing)), self._options
            )
        return None

    def _match(self, model: Model, table: CatalogTable) -> Match:
        options = self._options.of(model.name)
        columns: dict[str, CatalogColumn] = {}
        for name in model.fields:
            if name in options.columns:
                found = [c for c in table.columns if c.name == options.columns[name]]
            else:
                free = [c for c in table.columns if c.name not in options.columns.values()]
                found = spelled(free, name, model)
            if found:
                columns[name] = found[0]
        if "userId" in model.distinctive and "userId" not in columns:
            columns |= self._user_by_reference(table)
        return Match(model, table, columns)

    def _user_by_reference(self, table: CatalogTable) -> dict[str, CatalogColumn]:
        """The only column that references a table of users, whatever its name."""
        keys = [
            key
            for key in table.foreign_keys
            if key.table in self._by_oid
            and key.table != table.oid
            and self._match(USER, self._by_oid[key.table]).is_distinct
        ]
        names = {key.column for key in keys}
        if len(names) != 1:
            return {}
        return {"userId": next(c for c in table.columns if c.name in names)}

    def _refuse_suspects(self) -> None:
        """Refuse a database without a session table in which some table could be Better Auth's."""
        suspects = self._suspects()
        if self._options.schema and len(suspects) < 2:
            return
        shaped = [table for table in self._tables if self._has_shape_of_session(table)]
        complete = {match.model: match.table for match in suspects if not match.missing}
        if USER in complete and ACCOUNT in complete and not shaped:
            raise UnsupportedLayout(
                f"{complete[USER]} and {complete[ACCOUNT]} are Better Auth's, but there is no"
                " session table: with secondaryStorage, set BETTER_AUTH_SESSIONS to its Redis or"
                " to remote, or session.storeSessionInDatabase of Better Auth to true"
            )
        named = [table for table in self._tables if _is_named_like_theirs(table)]
        for table in (*shaped, *(() if suspects or self._options.schema else named)):
            raise UnsupportedLayout(
                f"{table} could be Better Auth's, under names that do not tell:"
                f" BETTER_AUTH_MODELS says which table is which, or {self._options.cure}"
            )
        for match in suspects:
            require_complete(match, self._options)
            raise UnsupportedLayout(
                f"{match.table} could be Better Auth's {match.model.name}, but its other tables"
                f" are missing: run Better Auth's own migration first, or {self._options.cure}"
            )

    def _refuse_two_users(self, user: Match) -> None:
        """Refuse tables of our own schema if Better Auth has made its own since."""
        if user.table.schema != SCHEMA or self._options.schema:
            return
        others = [table for table in self._tables if table.schema != SCHEMA]
        users, accounts = (
            [table for table in others if not self._match(model, table).missing]
            for model in (USER, ACCOUNT)
        )
        if users and accounts:
            raise UnsupportedLayout(
                f"{user.table} and {users[0]} could both be Better Auth's user: set"
                f" BETTER_AUTH_SCHEMA to {users[0].schema}, if Better Auth uses that one, or to"
                f" {SCHEMA}"
            )

    def _refuse_elsewhere(self) -> None:
        """Refuse a schema without Better Auth's tables if another schema has them."""
        everywhere = _Discovery([*self._by_oid.values()], LayoutOptions())
        for table in self._by_oid.values():
            session = everywhere._match(SESSION, table)
            users = [self._by_oid[k.table] for k in table.foreign_keys if k.table in self._by_oid]
            if table.schema == SCHEMA and not session.missing and not self._options.schema:
                raise UnsupportedLayout(
                    f"the users in {SCHEMA} are those of a Better Auth whose sessions are not in"
                    " this database: set BETTER_AUTH_SESSIONS as before, or let Better Auth's own"
                    " migration make its tables here first"
                )
            if not session.missing and any(everywhere._match(USER, u).is_distinct for u in users):
                raise UnsupportedLayout(
                    f'BETTER_AUTH_SCHEMA is "{self._options.schema}", but {table} is a session of'
                    " Better Auth's: correct it, or run Better Auth's own migration there first"
                )

    def _has_shape_of_session(self, table: CatalogTable) -> bool:
        """Whether the types alone are those of a session that references a user."""
        return (
            times(table) >= 3
            and not any(self._match(model, table).is_suspect for model in (USER, ACCOUNT))
            and bool(unique_texts(table))
            and any(
                unique_texts(user)
                and times(user) >= 2
                and any(column.kind == "boolean" for column in user.columns)
                for key in table.foreign_keys
                if (user := self._by_oid.get(key.table)) is not None and user.oid != table.oid
            )
        )


def _references(near: Match | None) -> Callable[[Match], bool]:
    return lambda match: (
        near is not None and any(key.table == near.table.oid for key in match.table.foreign_keys)
    )


def _is_beside(near: Match | None) -> Callable[[Match], bool]:
    return lambda match: near is not None and match.table.schema == near.table.schema


def _is_named_like_theirs(table: CatalogTable) -> bool:
    words = _WORDS.findall(table.name)
    return bool(words) and words[-1].lower() in _NAMES
