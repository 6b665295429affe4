"""The account of the authenticated user over HTTP: rename and delete it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from adapters.memory.store import MemoryStore
from domain.sessions import Session
from tests.http.api import LOG_IN, LOGIN, ME, SESSIONS, SIGN_UP, USER, USER_FIELDS
from tests.http.client import error_of, shared_secret_token
from tests.http.credentials import (
    CREDENTIALS,
    EXPIRED_COOKIES,
    HEADERS_OF,
    SESSIONLESS,
    Headers,
    bearer,
    cookie_of,
    plugin_token,
    set_cookies_of,
)
from tests.http.rows import add_session, add_task, add_user, snapshot


async def test_rename(anonymous: httpx.AsyncClient, store: MemoryStore, session: Session) -> None:
    """The name is cleaned, and nothing else changes but `updated_at`."""
    before = snapshot(store)
    response = await anonymous.patch(USER, json={"name": " Zoe\u0308 "}, headers=cookie_of(session))
    assert (response.status_code, list(response.json())) == (200, USER_FIELDS)
    assert response.json()["name"] == "Zoë"
    assert (await anonymous.get(ME, headers=cookie_of(session))).json() == response.json()
    old, new = before["users"]["ann"], store.users["ann"]
    assert new == replace(old, name="Zoë", updated_at=new.updated_at)
    assert new.updated_at > old.updated_at
    assert (await anonymous.patch(USER, json={"name": ""}, headers=cookie_of(session))).is_success


@pytest.mark.parametrize(
    "body",
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
async def test_invalid_names_are_rejected(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session, body: Any
) -> None:
    before = snapshot(store)
    response = await anonymous.patch(USER, json=body, headers=cookie_of(session))
    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert snapshot(store) == before


@pytest.mark.parametrize("headers_of", HEADERS_OF.values(), ids=HEADERS_OF.keys())
async def test_delete_account(
    app: FastAPI,
    anonymous: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    headers_of: Callable[[Session], Headers],
) -> None:
    """Everything of the user is deleted, and no earlier credential authenticates any more."""
    add_session(store, name="Other")
    add_session(store, add_user(store, "bob").id)
    before = snapshot(store)
    headers = {name: make(session) for name, make in HEADERS_OF.items()}
    add_task(store)
    response = await anonymous.delete(USER, headers=headers_of(session))
    assert (response.status_code, response.content, set_cookies_of(response)) == (
        204,
        b"",
        EXPIRED_COOKIES,
    )
    after = snapshot(store)
    assert set(after.pop("deleted_users")) == {"ann"}
    assert not after["tasks"]
    for name in ("users", "sessions", "password_hashes"):
        assert after[name] == {k: v for k, v in before[name].items() if "ann" not in k.lower()}
    for name in CREDENTIALS:
        expected = "UNKNOWN_USER" if name in SESSIONLESS else "UNAUTHENTICATED"
        assert error_of(await anonymous.get(ME, headers=headers[name])) == (401, expected)
    assert error_of(await anonymous.post(LOG_IN, json=LOGIN)) == (401, "INVALID_CREDENTIALS")
    assert snapshot(store)["users"] == after["users"]


async def test_email_of_a_deleted_account_can_sign_up_again(
    anonymous: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """The new user sees nothing of the deleted one."""
    add_task(store)
    # Issued before the deletion: a second later they would not be.
    tokens = (shared_secret_token(), plugin_token())
    await anonymous.delete(USER, headers=cookie_of(session))
    body = (await anonymous.post(SIGN_UP, json=LOGIN)).json()
    assert body["user"]["id"] != "ann"
    for headers in map(bearer, tokens):
        assert error_of(await anonymous.get(ME, headers=headers)) == (401, "UNKNOWN_USER")
    tasks = await anonymous.get("/api/tasks", headers=bearer(body["access_token"]))
    assert tasks.json()["total"] == 0
    sessions = await anonymous.get(SESSIONS, headers=bearer(body["access_token"]))
    assert sessions.json()["count"] == 1
