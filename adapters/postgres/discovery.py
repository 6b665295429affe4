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
    BetterAuthTable,
    DeletionTarget,
    Layout,
    LayoutOptions,
    UnsupportedLayout,
)
from adapters.postgres.option_names import check_columns, check_names

# The last word of the name of a table that could be one of Better Auth's core tables.
_NAMES: Final = frozenset(
    name + plural for name in ("user", "session", "account", "verification") for plural in ("", "s")
)
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_TIMES: Final = frozenset({"timestamp", "timestamptz"})
_IDS: Final = frozenset({"text", "uuid", "integer", "bigint"})


def discover(tables: Sequence[CatalogTable], options: LayoutOptions) -> Layout | None:
    """The layout of Better Auth's tables; None if no table could be one of them.

    Raises `UnsupportedLayout`.
    """
    return _Discovery(tables, options).layout()


class _Discovery:
    def __init__(self, tables: Sequence[CatalogTable], options: LayoutOptions) -> None:
        self._by_oid = {table.oid: table for table in tables}
        self._options = options
        self._tables = [t for t in tables if options.schema in ("", t.schema)]

    def layout(self) -> Layout | None:
        check_names(self._options, self._tables)
        session = self._session()
        if session is None:
            self._refuse_suspects()
            self._refuse_elsewhere()
            return None
        user = self._user_of(session)
        account = self._one_of(ACCOUNT, near=user)
        if account is None:
            raise UnsupportedLayout(
                f"{user.table} and {session.table} are Better Auth's, but no table could be its"
                f" account: run Better Auth's own migration, or {_cure('say', ACCOUNT)}"
            )
        verification = self._one_of(VERIFICATION, near=user, is_needed=False)
        jwks = self._one_of(JWKS, near=user)
        _check_types(user, session)
        for match in (user, session, account, verification, jwks):
            if match is not None:
                check_columns(self._options, match.model.name, [match.table])
        return Layout(
            user=_to_table(user),
            session=_to_table(session),
            account=_to_table(account),
            verification=None if verification is None else _to_table(verification),
            jwks=None if jwks is None else _to_table(jwks),
            deletion_target=self._deletion_target(user),
        )

    def _deletion_target(self, user: Match) -> DeletionTarget | None:
        if not user.table.is_view:
            return _target(user)
        sources = [self._by_oid[oid] for oid in user.table.sources if oid in self._by_oid]
        if len(sources) != 1 or sources[0].is_view:
            return None
        source = self._match(USER, sources[0])
        return _target(source) if "id" in source.columns else None

    def _session(self) -> Match | None:
        if self._options.schema and len(self._suspects()) < 2:
            # The operator has decided where the tables are to be: a single one that resembles
            # Better Auth's is the application's.
            return None
        return self._one_of(SESSION)

    def _suspects(self) -> list[Match]:
        """The likeliest table of each model that some table could be."""
        likeliest = []
        for model in MODELS:
            matches = (self._match(model, table) for table in self._tables)
            suspects = [match for match in matches if match.is_suspect]
            if suspects:
                likeliest.append(min(suspects, key=lambda match: len(match.missing)))
        return likeliest

    def _user_of(self, session: Match) -> Match:
        """The table that the session's user column references."""
        column = session.columns["userId"].name
        targets = {key.table for key in session.table.foreign_keys if key.column == column}
        if self._options.of("user").table is None and len(targets) == 1:
            match = self._match(USER, self._by_oid[targets.pop()])
            return _complete(match)
        user = self._one_of(USER, near=session)
        if user is None:
            raise UnsupportedLayout(
                f"{session.table} could be Better Auth's session, but no table could be its user:"
                f" {_cure('say', USER)}"
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
            return _complete(min(matches, key=lambda match: len(match.missing)))
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
                " session table: with secondaryStorage, set its option"
                " session.storeSessionInDatabase to true, and run Better Auth's own migration"
            )
        named = [table for table in self._tables if _is_named_like_theirs(table)]
        for table in (*shaped, *(() if suspects or self._options.schema else named)):
            raise UnsupportedLayout(
                f"{table} could be Better Auth's, under names that do not tell:"
                f" BETTER_AUTH_MODELS says which table is which, or {_ELSEWHERE}"
            )
        for match in suspects:
            _complete(match)
            raise UnsupportedLayout(
                f"{match.table} could be Better Auth's {match.model.name}, but its other tables"
                f" are missing: run Better Auth's own migration first, or {_ELSEWHERE}"
            )

    def _refuse_elsewhere(self) -> None:
        """Refuse a schema without Better Auth's tables if another schema has them."""
        everywhere = _Discovery([*self._by_oid.values()], LayoutOptions())
        for table in self._by_oid.values():
            session = everywhere._match(SESSION, table)
            users = [self._by_oid[k.table] for k in table.foreign_keys if k.table in self._by_oid]
            if not session.missing and any(everywhere._match(USER, u).is_distinct for u in users):
                raise UnsupportedLayout(
                    f'BETTER_AUTH_SCHEMA is "{self._options.schema}", but {table} is a session of'
                    " Better Auth's: correct it, or run Better Auth's own migration there first"
                )

    def _has_shape_of_session(self, table: CatalogTable) -> bool:
        """Whether the types alone are those of a session that references a user."""
        return (
            _times(table) >= 3
            and not any(self._match(model, table).is_suspect for model in (USER, ACCOUNT))
            and bool(_unique_texts(table))
            and any(
                _unique_texts(user)
                and _times(user) >= 2
                and any(column.kind == "boolean" for column in user.columns)
                for key in table.foreign_keys
                if (user := self._by_oid.get(key.table)) is not None and user.oid != table.oid
            )
        )


_ELSEWHERE: Final = (
    "set BETTER_AUTH_SCHEMA to the schema in which Better Auth's tables are, or are to be made"
)


def _references(near: Match | None) -> Callable[[Match], bool]:
    return lambda match: (
        near is not None and any(key.table == near.table.oid for key in match.table.foreign_keys)
    )


def _is_beside(near: Match | None) -> Callable[[Match], bool]:
    return lambda match: near is not None and match.table.schema == near.table.schema


def _complete(match: Match) -> Match:
    """The match. Raises `UnsupportedLayout` if a column is missing."""
    if match.missing:
        raise UnsupportedLayout(
            f"{match.table} could be Better Auth's {match.model.name}, but has no column for"
            f" {match.missing[0]}: {_cure('name', match.model)}, or {_ELSEWHERE}"
        )
    return match


def _cure(verb: str, model: Model) -> str:
    names = "its table and columns" if verb == "say" else "the column"
    return f"{verb} {names} in BETTER_AUTH_MODELS, under {model.name}"


def _is_named_like_theirs(table: CatalogTable) -> bool:
    words = _WORDS.findall(table.name)
    return bool(words) and words[-1].lower() in _NAMES


def _times(table: CatalogTable) -> int:
    return sum(column.kind in _TIMES for column in table.columns)


def _unique_texts(table: CatalogTable) -> list[str]:
    return [c.name for c in table.columns if c.kind == "text" and {c.name} in table.unique]


def _to_table(match: Match) -> BetterAuthTable:
    return BetterAuthTable(match.model.name, match.table, dict(match.columns))


def _target(user: Match) -> DeletionTarget:
    created = user.columns.get("createdAt")
    return DeletionTarget(
        user.table,
        user.columns["id"].name,
        None if created is None else created.name,
        created_has_zone=created is not None and created.kind == "timestamptz",
    )


def _check_types(user: Match, session: Match) -> None:
    """Refuse types with which a session cannot be read."""
    for match, name, kinds in (
        (user, "id", _IDS),
        (user, "email", {"text"}),
        (session, "id", _IDS),
        (session, "token", {"text"}),
        (session, "expiresAt", _TIMES),
        (session, "userId", {user.columns["id"].kind}),
    ):
        column = match.columns[name]
        if column.kind not in kinds:
            raise UnsupportedLayout(
                f'the column "{column.name}" of {match.table} is of type {column.type}, which'
                f" cannot be Better Auth's {match.model.name}.{name}: {_cure('name', match.model)}"
            )
