"""The contract of `KeyStore`."""

import json
from datetime import timedelta

import pytest

from adapters.memory.keys import MemoryKeys
from adapters.postgres.database import Statement
from adapters.postgres.keys import PostgresKeys
from application.ports.keys import StoredKey
from tests.contracts.conftest import NOW, Stores

PUBLIC = json.dumps({"crv": "Ed25519", "x": "t5uuogwmifyySe9Ked6kI0SoYiQNhLN1XeOlG-oS2-E"})
KEYS = [
    StoredKey("Brk6dq9pGZ5kvM89cCoBkE38jbkpa0uM", PUBLIC, "EdDSA", NOW + timedelta(days=30)),
    StoredKey("old", PUBLIC, None, None),
    StoredKey("dead", PUBLIC, "RS256", NOW - timedelta(days=300)),
]

INSERT = Statement(
    "test",
    'insert into jwks (id, "publicKey", "privateKey", alg, "createdAt", "expiresAt")'
    " values ($1, $2, 'secret', $3, $4, $5)",
    ("id", "public_key", "algorithm", "created_at", "expires_at"),
    is_write=True,
)


async def put(stores: Stores, key: StoredKey) -> None:
    """Store a key, as Better Auth does; the port only reads."""
    if isinstance(stores.keys, MemoryKeys):
        stores.keys.store.keys[key.id] = key
        return
    assert isinstance(stores.keys, PostgresKeys)
    values = {
        "id": key.id,
        "public_key": key.public_key,
        "algorithm": key.algorithm,
        "created_at": NOW,
        "expires_at": key.expires_at,
    }
    await stores.keys.database.database.execute(INSERT, values)


@pytest.fixture
async def keys(stores: Stores) -> list[StoredKey]:
    for key in KEYS:
        await put(stores, key)
    return KEYS


async def test_key_is_found_by_id(stores: Stores, keys: list[StoredKey]) -> None:
    """Also if it has expired: callers check that."""
    for key in keys:
        found = await stores.keys.find(key.id)
        assert found == key
        assert found.expires_at is None or found.expires_at.utcoffset() == timedelta(0)


async def test_key_id_is_compared_exactly(stores: Stores, keys: list[StoredKey]) -> None:
    for id in ("", "OLD", "old ", "_ld", "%", "' or true;--", PUBLIC):
        assert await stores.keys.find(id) is None


async def test_key_added_later_is_found(stores: Stores) -> None:
    """Better Auth creates one when it first signs, and more when it rotates keys."""
    [key, *_] = KEYS
    assert await stores.keys.find(key.id) is None
    await put(stores, key)
    assert await stores.keys.find(key.id) == key
