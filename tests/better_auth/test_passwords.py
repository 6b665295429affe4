"""Password hashes: Better Auth's own, and room for as many as can be made in time."""

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
    """One thread, and room for two that wait as long as a test may; whatever the machine has."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return ScryptPasswords(wait_seconds=60, max_waiting=2)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> ScryptPasswords:
    """The same, but nobody waits for their turn."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return ScryptPasswords(wait_seconds=0, max_waiting=2)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was hashed, with which salt; hashing itself takes no time."""
    seen: list[tuple[str, str]] = []

    def quick(password: str, salt: str) -> str:
        seen.append((password, salt))
        return KEY

    monkeypatch.setattr(module, "derive", quick)
    return seen


class Gate:
    """Stands where the hashing stands, and lasts until it is opened."""

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
async def test_what_better_auth_hashed_is_verified(
    passwords: ScryptPasswords, vector: dict[str, str]
) -> None:
    assert await passwords.verify(vector["plain"], vector["stored"])


async def test_what_is_hashed_is_verified(passwords: ScryptPasswords) -> None:
    stored = await passwords.hash("correct horse")
    assert re.fullmatch("[0-9a-f]{32}:[0-9a-f]{128}", stored)
    assert await passwords.verify("correct horse", stored)
    assert not await passwords.verify("correct horse ", stored)
    assert not await passwords.verify("Correct horse", stored)


async def test_no_two_hashes_are_alike(
    passwords: ScryptPasswords, hashed: list[tuple[str, str]]
) -> None:
    first, second = await passwords.hash("same"), await passwords.hash("same")
    assert first != second
    assert [f"{salt}:{KEY}" for _, salt in hashed] == [first, second]


def test_two_ways_to_type_a_password_are_one() -> None:
    assert derive("caf\u00e9", SALT) == derive("cafe\u0301", SALT)


def test_the_salt_is_the_text_and_not_the_bytes_that_it_stands_for() -> None:
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
async def test_a_hash_in_another_form_is_nobodys(
    passwords: ScryptPasswords, hashed: list[tuple[str, str]], stored: str
) -> None:
    """And not an exception."""
    assert not await passwords.verify("x", stored)


async def test_an_upper_case_hash_is_refused(passwords: ScryptPasswords) -> None:
    """As Better Auth refuses it: whoever cannot sign in there shall not sign in here."""
    salt, _, key = FIRST["stored"].partition(":")
    for stored in (f"{salt}:{key.upper()}", f"{salt.upper()}:{key}"):
        assert not await passwords.verify(FIRST["plain"], stored)


@pytest.mark.parametrize("stored", [None, "", SALT, "$2b$10$abc", f":{KEY}", f"{SALT}:{KEY}"])
async def test_whatever_is_stored_costs_the_same(
    passwords: ScryptPasswords, hashed: list[tuple[str, str]], stored: str | None
) -> None:
    """Time must not tell whether somebody has a password."""
    await passwords.verify("x", stored)
    [(password, salt)] = hashed
    assert password == "x"
    assert salt


async def test_nobody_has_no_password(passwords: ScryptPasswords) -> None:
    assert not await passwords.verify("", None)


async def test_the_event_loop_goes_on_while_a_hash_runs(
    passwords: ScryptPasswords, gate: Gate
) -> None:
    """The hash ends only after the loop has taken a hundred turns."""
    work = asyncio.create_task(passwords.hash("x"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not work.done()
    gate.opened.set()
    assert (await work).endswith(KEY)


async def test_a_real_hash_leaves_the_interpreter_to_others(passwords: ScryptPasswords) -> None:
    work = asyncio.create_task(passwords.hash("x"))
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100


async def test_whom_there_is_no_room_for_is_turned_away(
    passwords: ScryptPasswords, gate: Gate
) -> None:
    """At once, without a wait; and only until there is room again."""
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


async def test_who_has_waited_for_too_long_is_turned_away(
    impatient: ScryptPasswords, gate: Gate
) -> None:
    """With their room given back. Whose turn has come is served, however long it takes."""
    first = asyncio.create_task(impatient.hash("x"))
    assert await asyncio.to_thread(gate.entered.wait, 60)
    for _ in range(5):
        with pytest.raises(Unavailable) as caught:
            await impatient.verify("x", f"{SALT}:{KEY}")
        assert caught.value.retry_after > 0
    assert not first.done()
    gate.opened.set()
    assert (await first).endswith(KEY)


async def test_who_waits_no_longer_gives_their_room_back(
    passwords: ScryptPasswords, gate: Gate
) -> None:
    """But a hash that runs cannot be stopped, and keeps its own until it ends."""
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


async def test_a_hash_that_fails_gives_its_room_back(
    passwords: ScryptPasswords, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(password: str, salt: str) -> str:
        raise MemoryError

    monkeypatch.setattr(module, "derive", broken)
    for _ in range(5):
        with pytest.raises(MemoryError):
            await passwords.hash("x")
