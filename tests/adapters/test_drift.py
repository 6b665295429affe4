"""Each problem of a shared database is found, with its severity and its cure."""

import pytest

from adapters.postgres.current_layout import CurrentLayout
from adapters.postgres.database_problems import Problem, Severity
from adapters.postgres.drift import (
    find_problems,
    find_problems_in_rows,
)
from adapters.postgres.layout import ANY_LAYOUT
from adapters.postgres.pool_database import PoolDatabase
from tests.adapters.serving import ROLE, execute

pytestmark = pytest.mark.postgres

USER = (
    """insert into "user" (id, name, email, "emailVerified") values ('ann', '', 'a@b.co', false)"""
)
CHANGES = {
    "lost trigger": (
        'drop trigger taskport_delete_owner on "user"',
        Severity.DEFECT,
        "run `taskport migrate`",
    ),
    "disabled trigger": (
        'alter table "user" disable trigger taskport_delete_all_owners',
        Severity.DEFECT,
        "run `taskport migrate`",
    ),
    "row level security": (
        "alter table session enable row level security",
        Severity.DEFECT,
        "create policy",
    ),
    "row level security of ours": (
        "alter table taskport.tasks enable row level security",
        Severity.DEFECT,
        "create policy",
    ),
    "policy that hides rows": (
        'alter table "user" enable row level security;'
        " create policy own on \"user\" using (id = current_setting('app.user', true))",
        Severity.DEFECT,
        "create policy",
    ),
    "no privilege to read": (
        f"revoke select on session from {ROLE}",
        Severity.FAILURE,
        "taskport grants",
    ),
    "no privilege to write": (
        f"revoke insert on taskport.tasks from {ROLE}",
        Severity.DEFECT,
        "taskport grants",
    ),
    "no privilege on the schema": (
        f"revoke usage on schema taskport from {ROLE}",
        Severity.FAILURE,
        "taskport grants",
    ),
    "time in place of a boolean": (
        'alter table "user" alter "emailVerified" type timestamptz using null,'
        ' alter "emailVerified" drop not null',
        Severity.DEFECT,
        "make it boolean",
    ),
    "account ids without a default": (
        "alter table account alter id type integer using 1",
        Severity.DEFECT,
        "without a default",
    ),
    "account of another type of user": (
        'alter table account drop constraint "account_userId_fkey",'
        ' alter "userId" type integer using 1;'
        # Without the foreign key, deleting a user does not delete the account.
        f" grant delete on account to {ROLE}",
        Severity.DEFECT,
        "make it text",
    ),
    "required column of users": (
        'alter table "user" add tier text not null',
        Severity.NOTE,
        "SIGN_UP_CLOSED",
    ),
    "required column of sessions": (
        "alter table session add tier text not null",
        Severity.DEFECT,
        "give it a default",
    ),
    "no unique address": (
        'alter table "user" drop constraint user_email_key',
        Severity.NOTE,
        "create unique index",
    ),
}
ROWS = {
    "session from the future": (
        f'{USER}; insert into session (id, token, "userId", "expiresAt", "createdAt",'
        " \"updatedAt\") values ('s', 't', 'ann', now() + interval '1 day',"
        " now() + interval '9 hours', now())",
        Severity.NOTE,
        "TZ=UTC",
    ),
    "owner without a user": (
        "insert into taskport.owners (id, created_at) values ('ann', now())",
        Severity.DEFECT,
        "taskport forget",
    ),
    "owner of an earlier account": (
        f"{USER}; insert into taskport.owners (id, created_at) values ('ann', 'epoch')",
        Severity.DEFECT,
        "taskport forget",
    ),
    "users of another database": (
        f"{USER}; drop table jwks",
        Severity.NOTE,
        "SIGN_UP=false",
    ),
}


async def problems(url: str) -> list[Problem]:
    database = PoolDatabase(url)
    await database.open()
    try:
        layout = await CurrentLayout(database, ANY_LAYOUT)()
        found = await find_problems(database, layout)
        if not any(problem.severity is Severity.FAILURE for problem in found):
            found += await find_problems_in_rows(database, layout, sign_up=True)
        return found
    finally:
        await database.close()


async def test_granted_privileges_are_sufficient(serving_url: str) -> None:
    assert await problems(serving_url) == []


@pytest.mark.parametrize("name", [*CHANGES, *ROWS])
async def test_problem_is_found(name: str, database_url: str, serving_url: str) -> None:
    change, severity, cure = {**CHANGES, **ROWS}[name]
    execute(database_url, change)
    [problem] = await problems(serving_url)
    assert problem.severity is severity
    assert cure in problem.message
    assert "\n" not in problem.message


async def test_policy_for_all_rows_is_no_problem(database_url: str, serving_url: str) -> None:
    execute(
        database_url,
        "alter table session enable row level security;"
        f" create policy taskport on session to {ROLE} using (true) with check (true)",
    )
    assert await problems(serving_url) == []
