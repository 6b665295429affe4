"""Finds rows which show that an option of Better Auth differs from what is expected here.

Each is a note: rows may have another cause, and requests succeed. Rows that an ordinary
database may have as well are not reported.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, extract, func, literal_column, null, or_, select

from adapters.postgres.database import Database, Statement
from adapters.postgres.database_problems import Problem, Severity
from adapters.postgres.layout import Layout, parameter
from adapters.postgres.tables import OWNERS
from application.ports.keys import StoredKey
from domain.errors import Unavailable

#: How many rows of one kind are no coincidence.
_ENOUGH: Final = 5
_NEWEST_SESSIONS: Final[ColumnElement[int]] = literal_column("20")
_MOST_KEYS: Final[ColumnElement[int]] = literal_column("100")
_TOLERANCE: Final = timedelta(minutes=1)
#: Better Auth's sessions of administrators who impersonate a user, and of users who are not
#: remembered.
_OTHER_LIFETIMES: Final = (timedelta(hours=1), timedelta(days=1))
_PASSWORDS: Final[ColumnElement[str]] = literal_column("'credential'")
_NOW: Final = func.now()
_GRACE_PERIOD: Final[ColumnElement[Any]] = literal_column("interval '30 days'")
_RECENTLY: Final[ColumnElement[Any]] = literal_column("interval '7 days'")


@dataclass(frozen=True, slots=True)
class ExpectedOptions:
    """The options of Better Auth that this service expects."""

    #: Whether sessions are in this database.
    sessions: bool
    #: The lifetime of sessions.
    session_lifetime: timedelta
    #: Whether users log in here with a password.
    passwords: bool
    #: Whether users sign up here with a password.
    sign_up: bool
    #: Whether only users with a verified address have sessions.
    verified_only: bool
    #: The regular expression of a password hash that can be verified here.
    password_hash: str
    #: Whether a key of JWTs is accepted.
    accepts: Callable[[StoredKey], bool]


async def find_option_problems(
    database: Database, layout: Layout, expected: ExpectedOptions
) -> list[Problem]:
    """The notes about options, as far as a statement's deadline allows."""
    messages: list[str] = []
    for find in (
        _rejected_keys,
        _other_lifetime,
        _no_sessions,
        _no_passwords,
        _other_hashes,
    ):
        try:
            messages += await find(database, layout, expected)
        except Unavailable:
            # Other statements report that the database is too slow.
            continue
    return [Problem(Severity.NOTE, message) for message in messages]


async def _rejected_keys(
    database: Database, layout: Layout, expected: ExpectedOptions
) -> Sequence[str]:
    """The algorithm of `jwt({ jwks: { keyPairConfig } })`."""
    keys = layout.jwks
    if keys is None:
        return []
    algorithm = keys.c.alg if "alg" in keys.columns else null()
    statement = select(keys.text("id"), keys.c.publicKey, algorithm)
    if "expiresAt" in keys.columns:
        end = keys.time("expiresAt")
        statement = statement.where(or_(end.is_(None), end > _NOW - _GRACE_PERIOD))
    rows = await database.fetch_all(
        Statement.compile("option_checks.keys", statement.limit(_MOST_KEYS)), {}
    )
    rejected = [id for id, jwk, alg in rows if not expected.accepts(StoredKey(id, jwk, alg, None))]
    if not rejected:
        return []
    return [
        f'{keys} has a key that is not accepted here, "{rejected[0]}", so that its JWTs are 401:'
        " set jwks.keyPairConfig of Better Auth's jwt() to EdDSA, ES256, ES512, or RS256 or PS256"
        " with 2048 bits or more, and delete the key"
    ]


async def _other_lifetime(
    database: Database, layout: Layout, expected: ExpectedOptions
) -> Sequence[str]:
    """`session.expiresIn`: both times are written at a sign-in, and when a session is prolonged."""
    session = layout.session
    if session is None or not expected.sessions:
        return []
    seconds = extract("epoch", session.time("expiresAt") - session.time("updatedAt"))
    newest = select(seconds).order_by(session.time("updatedAt").desc()).limit(_NEWEST_SESSIONS)
    rows = await database.fetch_all(Statement.compile("option_checks.lifetimes", newest), {})
    known = (expected.session_lifetime, *_OTHER_LIFETIMES)
    found = Counter(
        round(lifetime / _TOLERANCE)
        for lifetime in (timedelta(seconds=float(row[0])) for row in rows if row[0] is not None)
        if all(abs(lifetime - other) > _TOLERANCE for other in known)
    )
    [(minutes, times)] = found.most_common(1) or [(0, 0)]
    if times < _ENOUGH:
        return []
    return [
        f"the newest sessions live {minutes * 60} seconds, and those of this service"
        f" {expected.session_lifetime.total_seconds():.0f}: set SESSION_EXPIRES_IN={minutes * 60},"
        " or session.expiresIn of Better Auth"
    ]


async def _no_sessions(
    database: Database, layout: Layout, expected: ExpectedOptions
) -> Sequence[str]:
    """`secondaryStorage` without `session.storeSessionInDatabase`."""
    user, session, account = layout.user, layout.session, layout.account
    if session is None or not expected.sessions:
        return []
    has_account = select(account.c.userId).where(account.text("userId") == user.text("id"))
    signed_up_here = select(OWNERS.c.id).where(
        OWNERS.c.id == user.text("id"), OWNERS.c.signed_up_here
    )
    recent = select(func.count()).where(
        user.time("createdAt") > _NOW - _RECENTLY,
        has_account.exists(),
        ~signed_up_here.exists(),
        ~select(session.c.id).exists(),
    )
    if expected.verified_only and user.columns["emailVerified"].kind == "boolean":
        recent = recent.where(user.c.emailVerified)
    row = await database.fetch_one(Statement.compile("option_checks.sessions", recent), {})
    if row is None or row[0] < _ENOUGH:
        return []
    return [
        f"{session} is empty, though {row[0]} users with an account are new in {user}: if Better"
        " Auth has a secondaryStorage, set BETTER_AUTH_SESSIONS to its Redis or to remote, or"
        " session.storeSessionInDatabase of Better Auth to true"
    ]


async def _no_passwords(
    database: Database, layout: Layout, expected: ExpectedOptions
) -> Sequence[str]:
    """`emailAndPassword.enabled`."""
    if not expected.sign_up:
        return []
    account = layout.account
    is_password = account.c.providerId == _PASSWORDS
    counts = select(func.count(), func.count().filter(is_password)).select_from(account.table)
    row = await database.fetch_one(Statement.compile("option_checks.passwords", counts), {})
    total, passwords = row or (0, 0)
    if passwords or total < _ENOUGH:
        return []
    return [
        f"no user in {account} has a password, while anybody can sign up here with one: set"
        " EMAIL_AND_PASSWORD=false, unless emailAndPassword of Better Auth is enabled"
    ]


async def _other_hashes(
    database: Database, layout: Layout, expected: ExpectedOptions
) -> Sequence[str]:
    """`emailAndPassword.password`."""
    if not expected.passwords:
        return []
    account = layout.account
    others = select(func.count()).where(
        account.c.providerId == _PASSWORDS,
        account.c.password.op("!~")(parameter("pattern")),
    )
    statement = Statement.compile("option_checks.hashes", others)
    row = await database.fetch_one(statement, {"pattern": f"^{expected.password_hash}$"})
    if row is None or not row[0]:
        return []
    return [
        f"{row[0]} passwords in {account} have a hash that is not Better Auth's own, so that log-in"
        " here is 401: let these users sign in at Better Auth, or set EMAIL_AND_PASSWORD=false if"
        " it has emailAndPassword.password"
    ]
