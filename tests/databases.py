"""Databases for tests of the PostgreSQL adapters."""

from adapters.postgres.current_layout import BetterAuthDatabase, CurrentLayout
from adapters.postgres.database import Database
from adapters.postgres.layout import ANY_LAYOUT


def better_auth(database: Database) -> BetterAuthDatabase:
    """Better Auth's tables of a database, wherever they are."""
    return BetterAuthDatabase(database, CurrentLayout(database, ANY_LAYOUT))
