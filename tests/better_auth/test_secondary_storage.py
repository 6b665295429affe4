"""Sessions of a secondary storage: the list of a user, races, and the row of the database."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from adapters.better_auth.secondary_storage import SecondaryStorageSessions
from adapters.better_auth.session_json import InvalidJson, session_and_user, sessions
from adapters.memory.secondary_storage import MemorySecondaryStorage
from adapters.memory.sessions import MemorySessions
from adapters.memory.store import MemoryStore
from domain.errors import Unavailable
from domain.sessions import Session, SessionNotFound
from domain.users import User
from tests.better_auth.session_texts import milliseconds, session_value, text_of, user_value
from tests.conftest import FixedClock

NOW: Final = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
DAY: Final = timedelta(days=1)
ANN: Final = User.create(id="ann", email="ann@example.com", name="Ann", now=NOW)
LIST: Final = "active-sessions-ann"
SESSION: Final = Session.create(
    id="s", user_id="ann", token="t", ip_address=None, user_agent=None, now=NOW
)
OTHER: Final = replace(SESSION, id="o", token="u", expires_at=NOW + 9 * DAY)


@dataclass
class Storage:
    """A storage in memory, that records changes, and in which others change values meanwhile."""

    memory: MemorySecondaryStorage = field(default_factory=MemorySecondaryStorage)
    #: Key and seconds of each change; None for a deletion.
    changes: list[tuple[str, int | None]] = field(default_factory=list)
    #: Called before each change.
    meanwhile: Callable[[str], None] = lambda key: None

    async def get(self, *keys: str) -> Any:
        return await self.memory.get(*keys)

    async def replace(self, key: str, expected: str, value: str | None, *, seconds: int) -> bool:
        self.meanwhile(key)
        is_changed = await self.memory.replace(key, expected, value, seconds=seconds)
        if is_changed:
            self.changes.append((key, None if value is None else seconds))
        return is_changed

    @property
    def values(self) -> dict[str, str]:
        return self.memory.values

    def put(self, *sessions: Session) -> None:
        entries = [{"token": s.token, "expiresAt": milliseconds(s.expires_at)} for s in sessions]
        self.values.update({session.token: text_of(session, ANN) for session in sessions})
        self.values[LIST] = json.dumps(entries)

    def listed(self) -> list[str]:
        return [entry["token"] for entry in json.loads(self.values.get(LIST, "[]"))]


@pytest.fixture
def storage() -> Storage:
    storage = Storage()
    storage.put(SESSION, OTHER)
    return storage


def store_of(storage: Storage, store: MemoryStore | None = None) -> SecondaryStorageSessions:
    clock = FixedClock()
    clock.time = NOW
    rows = None if store is None else MemorySessions(store)
    return SecondaryStorageSessions(storage, rows, clock)


async def test_prolonged_session_is_sorted_into_the_list(storage: Storage) -> None:
    """All that Better Auth stores beside is kept, also half a character, which UTF-8 has not."""
    value = json.loads(storage.values["t"])
    value["session"]["activeOrganizationId"] = "é \ud800"
    storage.values["t"] = json.dumps(value)
    longer = replace(SESSION, expires_at=NOW + 10 * DAY, updated_at=NOW + DAY)
    await store_of(storage).save(longer)
    storage.values["t"].encode()
    found = json.loads(storage.values["t"])
    assert found["session"].pop("activeOrganizationId") == "é \ud800"
    assert found == json.loads(text_of(longer, ANN))
    assert storage.listed() == ["u", "t"]
    assert storage.changes == [("t", 864_000), (LIST, 864_000)]


async def test_removed_session_leaves_the_list(storage: Storage) -> None:
    store = store_of(storage)
    await store.remove("s", "ann")
    assert "t" not in storage.values
    assert storage.listed() == ["u"]
    await store.remove("o", "ann", caller=OTHER)
    assert not storage.values
    assert storage.changes == [("t", None), (LIST, 777_600), ("u", None), (LIST, None)]


async def test_list_without_the_session_still_lets_it_end(storage: Storage) -> None:
    del storage.values[LIST]
    await store_of(storage).remove("s", "ann", caller=SESSION)
    assert storage.values.keys() == {"u"}


async def test_ended_entries_leave_the_list(storage: Storage) -> None:
    dead = replace(SESSION, id="d", token="d", expires_at=NOW)
    storage.put(SESSION, OTHER, dead)
    await store_of(storage).remove("s", "ann")
    assert storage.listed() == ["u"]


async def test_session_that_ends_meanwhile_is_not_restored(storage: Storage) -> None:
    longer = replace(SESSION, expires_at=NOW + 10 * DAY)

    def end(key: str) -> None:
        storage.values.pop("t", None)

    storage.meanwhile = end
    with pytest.raises(SessionNotFound):
        await store_of(storage).save(longer)
    assert "t" not in storage.values


async def test_entry_that_ends_meanwhile_is_not_restored(storage: Storage) -> None:
    """Better Auth removes it between the change of the text and that of the list."""

    def end(key: str) -> None:
        if key == LIST and "t" in storage.values:
            del storage.values["t"]
            storage.put(OTHER)

    storage.meanwhile = end
    await store_of(storage).save(replace(SESSION, expires_at=NOW + 10 * DAY))
    assert storage.listed() == ["u"]
    assert "t" not in storage.values


async def test_concurrent_changes_of_better_auth_are_kept(storage: Storage) -> None:
    """It adds a session to the list, and changes the user."""
    renamed = text_of(SESSION, replace(ANN, name="Eve"))
    new = replace(SESSION, id="n", token="n")

    def change(key: str) -> None:
        if key == "t" and storage.values["t"] == text_of(SESSION, ANN):
            storage.values["t"] = renamed
        elif key == LIST and "n" not in storage.listed():
            text = storage.values["t"]
            storage.put(SESSION, OTHER, new)
            storage.values["t"] = text

    storage.meanwhile = change
    await store_of(storage).save(replace(SESSION, expires_at=NOW + 10 * DAY))
    found = session_and_user(storage.values["t"])
    assert found is not None
    assert found.user.name == "Eve"
    assert found.session.expires_at == NOW + 10 * DAY
    assert storage.listed() == ["n", "u", "t"]


async def test_endless_changes_are_unavailable(storage: Storage) -> None:
    def change(key: str) -> None:
        storage.values["t"] = storage.values["t"] + " "

    storage.meanwhile = change
    with pytest.raises(Unavailable):
        await store_of(storage).save(replace(SESSION, expires_at=NOW + 10 * DAY))
    with pytest.raises(Unavailable):
        await store_of(storage).remove("s", "ann", caller=SESSION)


async def test_row_is_removed_first(storage: Storage) -> None:
    """With `storeSessionInDatabase`, Better Auth reads the row if the text is gone."""
    store = MemoryStore()
    store.users["ann"] = ANN
    store.sessions["s"] = replace(SESSION)
    store.sessions["o"] = replace(OTHER)
    seen: list[bool] = []
    storage.meanwhile = lambda key: seen.append("s" in store.sessions)
    both = store_of(storage, store)
    await both.save(replace(OTHER, expires_at=NOW + 20 * DAY))
    assert store.sessions["o"].expires_at == NOW + 20 * DAY
    seen.clear()
    await both.remove("s", "ann")
    assert seen == [False, False]
    assert store.sessions.keys() == {"o"}
    # Not every session has a row.
    store.sessions.clear()
    await both.remove("o", "ann")
    assert not storage.values


@pytest.mark.parametrize("offset", [-1, 0, 1])
async def test_only_sessions_before_the_revocation_have_ended(
    storage: Storage, offset: int
) -> None:
    storage.values["revoked-sessions-before-ann"] = str(milliseconds(NOW) + offset)
    store = store_of(storage)
    is_revoked = offset > 0
    assert (await store.find_by_token("t") is None) is is_revoked
    assert (await store.list("ann", now=NOW) == []) is is_revoked


def test_ids_may_be_numbers_and_times_milliseconds() -> None:
    session, user = session_value(SESSION), user_value(ANN)
    numbers = {name: milliseconds(NOW) for name in ("createdAt", "updatedAt")}
    session |= {"id": 7, "userId": 8, "expiresAt": milliseconds(SESSION.expires_at), **numbers}
    user |= {"id": 8, "twoFactorEnabled": True, "banned": True, "banExpires": milliseconds(NOW)}
    found = session_and_user(json.dumps({"session": session, "user": user}))
    assert found is not None
    assert found.session == replace(SESSION, id="7", user_id="8")
    assert found.user == replace(
        ANN, id="8", has_second_factor=True, banned=True, ban_expires_at=NOW
    )
    for time in ("2026-11-20T18:00:00.000Z", "2026-11-20T19:00:00+01:00", milliseconds(NOW)):
        [listed] = sessions(json.dumps([session | {"createdAt": time}]))
        assert listed.created_at == NOW
    no_times: list[Any] = [True, "", "2026-11-20T18:00:00", None, [], 1e300]
    for no_time in no_times:
        with pytest.raises(InvalidJson):
            sessions(json.dumps([session | {"createdAt": no_time}]))
