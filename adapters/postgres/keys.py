"""Public keys of Better Auth's `jwt` plugin, in its table `"jwks"`."""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import Text, bindparam, null, select

from adapters.postgres.database import Database, Statement
from adapters.postgres.optional_columns import Columns, OptionalColumns
from adapters.postgres.tables import KEYS
from adapters.postgres.users import utc
from application.ports.keys import StoredKey


@cache
def _find(present: Columns) -> Statement:
    algorithm = KEYS.c.alg if KEYS.c.alg in present else null()
    return Statement.compile(
        "keys.find",
        select(KEYS.c.id, KEYS.c.publicKey, algorithm, KEYS.c.expiresAt).where(
            KEYS.c.id == bindparam("id", type_=Text)
        ),
    )


@dataclass(frozen=True, slots=True)
class PostgresKeys:
    """A `KeyStore`."""

    database: Database
    optional: OptionalColumns

    async def find(self, key_id: str) -> StoredKey | None:
        row = await self.database.fetch_one(_find(await self.optional()), {"id": key_id})
        if row is None:
            return None
        id, public_key, algorithm, expires_at = row
        return StoredKey(
            id=id,
            public_key=public_key,
            algorithm=algorithm,
            expires_at=None if expires_at is None else utc(expires_at),
        )
