"""Public keys of Better Auth's `jwt` plugin, in its table `jwks`."""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import null, select

from adapters.postgres.better_auth_times import utc
from adapters.postgres.current_layout import BetterAuthDatabase
from adapters.postgres.database import Statement
from adapters.postgres.layout import Layout, parameter
from application.ports.keys import StoredKey


@cache
def _find(layout: Layout) -> Statement:
    keys = layout.jwks
    assert keys is not None
    algorithm, expires_at = (
        keys.c[name] if name in keys.columns else null() for name in ("alg", "expiresAt")
    )
    return Statement.compile(
        "keys.find",
        select(keys.text("id"), keys.c.publicKey, algorithm, expires_at).where(
            keys.c.id == parameter("id")
        ),
    )


@dataclass(frozen=True, slots=True)
class PostgresKeys:
    """A `KeyStore`."""

    database: BetterAuthDatabase

    async def find(self, key_id: str) -> StoredKey | None:
        keys = (await self.database.layout()).jwks
        if keys is None or not keys.accepts_id(key_id):
            return None
        row = await self.database.fetch_one(_find, {"id": key_id})
        if row is None:
            return None
        id, public_key, algorithm, expires_at = row
        return StoredKey(
            id=id,
            public_key=public_key,
            algorithm=algorithm,
            expires_at=None if expires_at is None else utc(expires_at),
        )
