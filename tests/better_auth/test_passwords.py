"""Password hashes in Better Auth's format, and the bounded queue for hashing threads."""

import asyncio
import json
import os
import re
import threading
from pathlib import Path

import pytest

from adapters.better_auth import passwords as module
from adapters.better_auth.passwords import ScryptPasswords, derive
from domain.errors import Unavailable

pytestmark = pytest.mark.slow

VECTORS = json.loads((Path(__file__).parent / "vectors_identity.json").read_text())
FIRST = VECTORS["passwords"][0]
SALT, KEY = "0123456789abcdef" * 2, "ab" * 64


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> ScryptPasswords:
    """One thread, on any machine, and a queue of two that may wait as long as a test may run."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(module, "WAIT_SECONDS", 60)
    return ScryptPasswords(max_waiting=2)


@pytest.fixture
def without_wait(monkeypatch: pytest.MonkeyPatch) -> ScryptPasswords:
    """The same, but callers do not wait in the queue."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(module, "WAIT_SECONDS", 0)
    return ScryptPasswords(max_waiting=2)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Passwords and salts that were hashed, by a fake that takes no time."""
    calls: list[tuple[str, str]] = []

    def fake(password: str, salt: str) -> str:
        calls.append((password, salt))
        return KEY

    monkeypatch.setattr(module, "derive", fake)
    return calls


class Gate:
    """A fake for hashing that returns once the gate is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, password: str, salt: str) -> str:
        self.entered.set()
        assert self.opened.wait(60)
        return KEY


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(module, "derive", gate)
    return gate


@pytest.mark.parametrize("vector", VECTORS["passwords"], ids=lambda vector: vector["what"])
async def test_hash_of_better_auth_is_verified(
    passwords: ScryptPasswords, vector: dict[str, str]
) -> None:
    assert await passwords.verify(vector["plain"], vector["stored"])


async def test_own_hash_is_verified(passwords: ScryptPasswords) -> None:
    stored = await passwords.hash("correct horse")
    assert re.fullmatch("[0-9a-f]{32}:[0-9a-f]{128}", stored)
    assert await passwords.verify("correct horse", stored)
    assert not await passwords.verify("correct horse ", stored)
    assert not await passwords.verify("Correct horse", stored)


async def test_each_hash_has_its_own_salt(
    passwords: ScryptPasswords, hashed: list[tuple[str, str]]
) -> None:
    first, second = await passwords.hash("same"), await passwords.hash("same")
    assert first != second
    assert [f"{salt}:{KEY}" for _, salt in hashed] == [first, second]


def test_password_is_normalized() -> None:
    assert derive("caf\u00e9", SALT) == derive("cafe\u0301", SALT)


def test_salt_is_the_hex_text_not_its_bytes() -> None:
    assert derive("x", SALT) != derive("x", SALT.upper())


@pytest.mark.parametrize(
    "stored",
    [
        "",
        ":",
        SALT,
        f"{SALT}:",
        f"{SALT}:{KEY.upper()}",
        f"{SALT}:{KEY[:-2]}",
        f"{SALT}:{KEY}ab",
        f"{SALT}:{KEY}:",
        f"{SALT}: {KEY}",
        f"{SALT}:{KEY}\n",
        f"{SALT}:{'ü' * 128}",
        f"{KEY}:{SALT}",
        "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$a2V5",
    ],
)
async def test_hash_in_another_format_matches_no_password(
    passwords: ScryptPasswords, hashed: list[tuple[str, str]], stored: str
) -> None:
    """Without an exception."""
    assert not await passwords.verify("x", stored)


async def test_upper_case_hash_is_rejected(passwords: ScryptPasswords) -> None:
    """As Better Auth rejects it."""
    salt, _, key = FIRST["stored"].partition(":")
    for stored in (f"{salt}:{key.upper()}", f"{salt.upper()}:{key}"):
        assert not await passwords.verify(FIRST["plain"], stored)


@pytest.mark.parametrize("stored", [None, "", SALT, "$2b$10$abc", f":{KEY}", f"{SALT}:{KEY}"])
async def test_one_hash_is_computed_for_any_stored_value(
    passwords: ScryptPasswords, hashed: list[tuple[str, str]], stored: str | None
) -> None:
    """The response time must not reveal whether a user has a password."""
    await passwords.verify("x", stored)
    [(password, salt)] = hashed
    assert password == "x"
    assert salt


async def test_empty_password_does_not_match_a_missing_hash(passwords: ScryptPasswords) -> None:
    assert not await passwords.verify("", None)


async def test_event_loop_is_not_blocked_by_a_hash(passwords: ScryptPasswords, gate: Gate) -> None:
    """The loop runs a hundred iterations before the hash ends."""
    work = asyncio.create_task(passwords.hash("x"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not work.done()
    gate.opened.set()
    assert (await work).endswith(KEY)


async def test_real_hash_releases_the_interpreter_lock(passwords: ScryptPasswords) -> None:
    work = asyncio.create_task(passwords.hash("x"))
    iterations = 0
    while not work.done():
        await asyncio.sleep(0)
        iterations += 1
    assert iterations > 100


async def test_callers_are_rejected_while_the_queue_is_full(
    passwords: ScryptPasswords, gate: Gate
) -> None:
    """At once, without a wait."""
    for _ in range(2):
        gate.opened.clear()
        waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(3)]
        await asyncio.sleep(0)
        for attempt in (passwords.hash("x"), passwords.verify("x", None)):
            with pytest.raises(Unavailable) as caught:
                await attempt
            assert caught.value.retry_after > 0
        gate.opened.set()
        assert len(await asyncio.gather(*waiting)) == 3


async def test_caller_is_rejected_after_the_wait(without_wait: ScryptPasswords, gate: Gate) -> None:
    """And its place in the queue is free again. A hash that has begun is completed."""
    first = asyncio.create_task(without_wait.hash("x"))
    assert await asyncio.to_thread(gate.entered.wait, 60)
    for _ in range(5):
        with pytest.raises(Unavailable) as caught:
            await without_wait.verify("x", f"{SALT}:{KEY}")
        assert caught.value.retry_after > 0
    assert not first.done()
    gate.opened.set()
    assert (await first).endswith(KEY)


async def test_cancelled_caller_leaves_the_queue(passwords: ScryptPasswords, gate: Gate) -> None:
    """A hash that has begun cannot be cancelled, and keeps its thread until it ends."""
    waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(3)]
    assert await asyncio.to_thread(gate.entered.wait, 60)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert all(task.cancelled() for task in waiting)
    others = [asyncio.create_task(passwords.verify("x", f"{SALT}:{KEY}")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await passwords.hash("x")
    gate.opened.set()
    assert await asyncio.gather(*others) == [True, True]
    assert len(await asyncio.gather(*(passwords.hash("x") for _ in range(3)))) == 3


async def test_failed_hash_leaves_the_queue(
    passwords: ScryptPasswords, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(password: str, salt: str) -> str:
        raise MemoryError

    monkeypatch.setattr(module, "derive", broken)
    for _ in range(5):
        with pytest.raises(MemoryError):
            await passwords.hash("x")
