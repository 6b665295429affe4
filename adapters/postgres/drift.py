"""Finds the problems of a database that Taskport shares with Better Auth.

The front end's own migrations may drop our triggers, rename columns or leave out a grant. All
statements run as the role that serves requests.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import and_, func, literal_column, or_, select

from adapters.postgres.catalog import quoted
from adapters.postgres.database import Database, Statement
from adapters.postgres.database_problems import Problem, Severity
from adapters.postgres.deletion_trigger import find_missing
from adapters.postgres.layout import Layout
from adapters.postgres.privileges import needed_privileges
from adapters.postgres.tables import OWNERS, SCHEMA
from adapters.postgres.user_statements import WAS_MOVED, is_other_account
from domain.errors import Unavailable

_MISSING_PRIVILEGES: Final = Statement(
    "drift.missing_privileges",
    """
    select needed.n::int
    from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
      as needed (schema, name, col, privilege, n)
    left join pg_catalog.pg_namespace s on s.nspname = needed.schema
    left join pg_catalog.pg_class c on c.relnamespace = s.oid and c.relname = needed.name
    where not coalesce(
      has_schema_privilege(s.oid, 'USAGE')
      and case when col is null then has_table_privilege(c.oid, privilege)
               else has_column_privilege(c.oid, col, privilege) end, false)
    """,
    ("schemas", "tables", "columns", "privileges"),
)
_HIDDEN_ROWS: Final = Statement(
    "drift.hidden_rows",
    """
    select current_user::text, n.nspname::text, c.relname::text
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where (c.oid = any($1::text::oid[]) or n.nspname = 'taskport' and c.relkind = 'r')
      and row_security_active(c.oid)
      and (not exists (
             select from pg_catalog.pg_policy p
             where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('*', 'r')
               and pg_get_expr(p.polqual, p.polrelid) = 'true'
               and (p.polroles = '{0}' or exists (
                 select from unnest(p.polroles) r where pg_has_role(r, 'USAGE'))))
           or exists (select from pg_catalog.pg_policy p
                      where p.polrelid = c.oid and not p.polpermissive))
    """,
    ("oids",),
)
_ORIGIN: Final = Statement(
    "drift.origin", f"select obj_description('{SCHEMA}'::regnamespace, 'pg_namespace')"
)
CREATED_HERE: Final = "The tables of Better Auth were created by Taskport."
"""The comment on our schema if it did."""


async def find_problems(database: Database, layout: Layout) -> list[Problem]:
    """The problems that are quick to find, the worst first. Raises `Unavailable`."""
    privileges = await _privilege_problems(database, layout)
    if any(problem.severity is Severity.FAILURE for problem in privileges):
        # The rest cannot be examined.
        return privileges
    problems = [*_type_problems(layout), *_column_problems(layout), *_constraint_problems(layout)]
    problems += privileges
    problems += await _row_security_problems(database, layout)
    problems += await _trigger_problems(database, layout)
    return sorted(problems, key=lambda problem: -problem.severity)


async def find_problems_in_rows(
    database: Database, layout: Layout, *, sign_up: bool
) -> list[Problem]:
    """The problems that only all rows show, as far as a statement's deadline allows."""
    problems: list[Problem] = []
    finders = [(_time_problems, "times of sessions"), (_owner_problems, "owners of tasks")]
    if sign_up:
        finders.append((_sign_up_problems, "accounts of users"))
    for find, subject in finders:
        try:
            problems += await find(database, layout)
        except Unavailable:
            message = f"the {subject} could not be examined: the database is too slow for that now"
            problems.append(Problem(Severity.NOTE, message))
    return problems


async def find_notes(database: Database, layout: Layout, jwks_url: str | None) -> list[Problem]:
    """The notes for an operator whose database is shared with a front end."""
    messages = []
    row = await database.fetch_one(_ORIGIN, {})
    is_shared = layout.user.catalog.schema != SCHEMA
    if is_shared and row is not None and row[0] == CREATED_HERE:
        messages.append(
            "Taskport created Better Auth's tables: with Drizzle or Prisma, let its own migration"
            " go first, on a database without them"
        )
    if layout.jwks is None:
        source = "no key of a JWT is known" if jwks_url is None else f"keys come from {jwks_url}"
        messages.append(f"there is no table of the jwt plugin: {source}")
    return [Problem(Severity.NOTE, message) for message in messages]


def _type_problems(layout: Layout) -> Iterator[Problem]:
    texts, times = {"text"}, {"timestamp", "timestamptz"}
    for table, kinds in (
        (
            layout.user,
            {"name": texts, "emailVerified": {"boolean"}, "image": texts}
            | dict.fromkeys(("createdAt", "updatedAt"), times),
        ),
        (
            layout.session,
            dict.fromkeys(("ipAddress", "userAgent"), texts)
            | dict.fromkeys(("createdAt", "updatedAt"), times),
        ),
        (
            layout.account,
            dict.fromkeys(("accountId", "providerId", "password"), texts)
            | {"id": {"text", "uuid", "integer", "bigint"}, "userId": {layout.user.id.kind}}
            | dict.fromkeys(("createdAt", "updatedAt"), times),
        ),
    ):
        if table is None:
            continue
        for name, allowed in kinds.items():
            column = table.columns[name]
            if column.kind not in allowed:
                yield Problem(
                    Severity.DEFECT,
                    f'the column "{column.name}" of {table} is of type {column.type}, which sign-up'
                    f" and log-in cannot fill: make it {' or '.join(sorted(allowed))}, as Better"
                    " Auth's own migration does",
                )
    for table in layout.core_tables:
        if table.new_id("") is None and not table.id.has_default:
            yield Problem(
                Severity.DEFECT,
                f'the column "{table.id.name}" of {table} is a number without a default, so that no'
                " row can be added: run Better Auth's own migration, which numbers it",
            )


def _column_problems(layout: Layout) -> Iterator[Problem]:
    for table, severity, effect in (
        (layout.user, Severity.NOTE, "sign-up here is 403 SIGN_UP_CLOSED"),
        (layout.account, Severity.NOTE, "sign-up here is 403 SIGN_UP_CLOSED"),
        (layout.session, Severity.DEFECT, "sign-up and log-in here fail"),
    ):
        if table is not None and table.unfilled:
            yield Problem(
                severity,
                f'the column "{table.unfilled[0]}" of {table} is required and unknown here, so that'
                f" {effect}: give it a default",
            )


def _constraint_problems(layout: Layout) -> Iterator[Problem]:
    for table, name, effect in (
        (layout.user, "email", "two users may get one address"),
        (layout.session, "token", "each request reads the whole table"),
    ):
        if table is None:
            continue
        column = table.columns[name].name
        if not table.catalog.is_view and frozenset({column}) not in table.catalog.unique:
            yield Problem(
                Severity.NOTE,
                f'the column "{column}" of {table} has no unique constraint, so that {effect}:'
                f" `create unique index on {table} ({quoted(column)})`",
            )


async def _privilege_problems(database: Database, layout: Layout) -> list[Problem]:
    needed = needed_privileges(layout)
    rows = await database.fetch_all(
        _MISSING_PRIVILEGES,
        {
            "schemas": [p.schema for p in needed],
            "tables": [p.table for p in needed],
            "columns": [p.column for p in needed],
            "privileges": [p.privilege for p in needed],
        },
    )
    missing = [needed[number - 1] for (number,) in rows]
    if not missing:
        return []
    first = max(missing, key=lambda privilege: privilege.is_essential)
    on = quoted(first.schema, first.table)
    return [
        Problem(
            Severity.FAILURE if first.is_essential else Severity.DEFECT,
            f"the role that serves has no privilege to {first.privilege.lower()} on {on}"
            + (f" and {len(missing) - 1} more are missing" if len(missing) > 1 else "")
            + ": run `taskport grants ROLE | psql` as the owner of the tables",
        )
    ]


async def _row_security_problems(database: Database, layout: Layout) -> list[Problem]:
    rows = await database.fetch_all(_HIDDEN_ROWS, {"oids": layout.oids})
    return [
        Problem(
            Severity.DEFECT,
            f"row level security hides rows of {name} from the role {role}: `create policy taskport"
            f" on {name} to {role} using (true) with check (true)`",
        )
        for role, name in ((quoted(role), quoted(schema, name)) for role, schema, name in rows)
    ]


async def _trigger_problems(database: Database, layout: Layout) -> list[Problem]:
    target = layout.deletion_target
    if target is None:
        return [
            Problem(
                Severity.NOTE,
                f"{layout.user} is a view of more than one table, so that deletions by the front"
                " end cannot be seen: its deleted users keep their tasks until `taskport forget`",
            )
        ]
    if not await find_missing(database, target):
        return []
    return [
        Problem(
            Severity.DEFECT,
            f"{target.table} has lost the triggers that record deleted users, so that users whom"
            " the front end deletes keep their tasks: run `taskport migrate`",
        )
    ]


async def _time_problems(database: Database, layout: Layout) -> list[Problem]:
    session = layout.session
    if session is None:
        return []
    later = func.now() + literal_column("interval '5 minutes'")
    is_later = or_(*(session.time(name) > later for name in ("createdAt", "updatedAt")))
    future = select(session.c.id).where(is_later).exists()
    statement = Statement.compile("drift.sessions_of_the_future", select(future))
    row = await database.fetch_one(statement, {})
    if row is None or not row[0]:
        return []
    return [
        Problem(
            Severity.NOTE,
            f"{session} has sessions from the future: start the Node.js process of Better Auth with"
            " TZ=UTC, or give the columns a time zone, or sessions end hours too late or too early",
        )
    ]


async def _owner_problems(database: Database, layout: Layout) -> list[Problem]:
    user = layout.user
    conflicts = (
        select(func.min(OWNERS.c.id), func.count())
        .select_from(OWNERS.outerjoin(user.table, user.text("id") == OWNERS.c.id))
        .where(
            or_(
                and_(user.c.id.is_(None), OWNERS.c.deleted_at.is_(None)),
                and_(user.c.id.is_not(None), is_other_account(user), ~WAS_MOVED),
            )
        )
    )
    row = await database.fetch_one(Statement.compile("drift.owner_conflicts", conflicts), {})
    first, total = row or (None, 0)
    if not total:
        return []
    others = f" and {total - 1} others" if total > 1 else ""
    return [
        Problem(
            Severity.DEFECT,
            f'the user "{first}"{others} was deleted, or made again, without a trace here, so that'
            " the account is rejected: `taskport forget USER` deletes what it owned before",
        )
    ]


async def _sign_up_problems(database: Database, layout: Layout) -> list[Problem]:
    if layout.jwks is not None:
        return []
    user, account = layout.user, layout.account
    # Named columns: `*` would need the privilege to read the tokens of other providers.
    of_user = account.text("userId") == user.text("id")
    has_account = select(account.c.userId).where(of_user).exists()
    signed_up_here = select(OWNERS.c.id).where(
        OWNERS.c.id == user.text("id"), OWNERS.c.signed_up_here
    )
    introduced = select(user.c.id).where(~has_account, ~signed_up_here.exists()).exists()
    row = await database.fetch_one(
        Statement.compile("drift.introduced_users", select(introduced)), {}
    )
    if row is None or not row[0]:
        return []
    return [
        Problem(
            Severity.NOTE,
            "users come from another database, while anybody can sign up here with their addresses:"
            " set SIGN_UP=false",
        )
    ]
