"""One's own account over HTTP: its name, and its end."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from adapters.memory.store import MemoryStore
from application.ports.credentials import CredentialKind
from domain.sessions import Session
from tests.http.client import code, token
from tests.http.people import (
    ANN,
    LOG_IN,
    ME,
    OF_NO_SESSION,
    PROOFS,
    SESSIONS,
    SIGN_UP,
    TAKEN,
    USER,
    USER_FIELDS,
    add_session,
    add_task,
    add_user,
    bearer,
    contents,
    cookie_of,
    cookies_of,
    plugin_token,
)


async def test_renaming(nobody: httpx.AsyncClient, store: MemoryStore, session: Session) -> None:
    """The name, cleaned, and nothing else; it is news from now."""
    before = contents(store)
    answer = await nobody.patch(USER, json={"name": " Zoe\u0308 "}, headers=cookie_of(session))
    assert (answer.status_code, list(answer.json())) == (200, USER_FIELDS)
    assert answer.json()["name"] == "Zoë"
    assert (await nobody.get(ME, headers=cookie_of(session))).json() == answer.json()
    old, new = before["users"]["ann"], store.users["ann"]
    assert new == replace(old, name="Zoë", updated_at=new.updated_at)
    assert new.updated_at > old.updated_at
    assert (await nobody.patch(USER, json={"name": ""}, headers=cookie_of(session))).is_success


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"name": None},
        {"name": 5},
        {"name": "x" * 256},
        {"name": "a\u202eb"},
        {"name": "x", "email": "new@example.com"},
        {"name": "x", "email_verified": True},
        {"name": "x", "id": "bob"},
        ["name"],
    ],
)
async def test_what_is_no_name(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session, sent: Any
) -> None:
    before = contents(store)
    answer = await nobody.patch(USER, json=sent, headers=cookie_of(session))
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert contents(store) == before


@pytest.mark.parametrize(("kind", "show"), PROOFS.values(), ids=PROOFS.keys())
async def test_deleting_ones_account(
    app: FastAPI,
    nobody: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    kind: CredentialKind,
    show: Any,
) -> None:
    """With everything in it, for good: nothing that proved it before does so again."""
    add_session(store, name="Other")
    add_session(store, add_user(store, "bob").id)
    others = contents(store)
    shown = {name: every(session) for name, (_, every) in PROOFS.items()}
    add_task(store)
    answer = await nobody.delete(USER, headers=show(session))
    assert (answer.status_code, answer.content, cookies_of(answer)) == (204, b"", TAKEN)
    kept = contents(store)
    assert set(kept.pop("deleted_users")) == {"ann"}
    assert not kept["tasks"]
    for name in ("users", "sessions", "password_hashes"):
        assert kept[name] == {k: v for k, v in others[name].items() if "ann" not in k.lower()}
    for name, headers in shown.items():
        expected = "UNKNOWN_USER" if name in OF_NO_SESSION else "UNAUTHENTICATED"
        assert code(await nobody.get(ME, headers=headers)) == (401, expected)
    assert code(await nobody.post(LOG_IN, json=ANN)) == (401, "INVALID_CREDENTIALS")
    assert contents(store)["users"] == kept["users"]


async def test_an_address_is_free_again(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """For somebody else, who finds nothing of who had it before."""
    add_task(store)
    # Of before, which a second later they would not be.
    tokens = (token(), plugin_token())
    await nobody.delete(USER, headers=cookie_of(session))
    body = (await nobody.post(SIGN_UP, json=ANN)).json()
    assert body["user"]["id"] != "ann"
    for headers in map(bearer, tokens):
        assert code(await nobody.get(ME, headers=headers)) == (401, "UNKNOWN_USER")
    tasks = await nobody.get("/api/tasks", headers=bearer(body["access_token"]))
    assert tasks.json()["total"] == 0
    mine = await nobody.get(SESSIONS, headers=bearer(body["access_token"]))
    assert mine.json()["count"] == 1
