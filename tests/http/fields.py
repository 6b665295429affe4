"""Every field of every route, and requests that are valid except for one field."""

import json
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from adapters.memory.store import MemoryStore
from tests.http.api import COMPLETE, LOG_IN, ONE_SESSION, ONE_TASK, PASSWORD, SIGN_UP, TASKS, USER
from tests.http.client import JSON, problem_of, send_json, send_request, shared_secret_token
from tests.http.credentials import Headers, bearer
from tests.http.rows import add_user

CANARY: Final = "canary7f3a"
Route = tuple[str, str]
"""Method and path."""


@dataclass(frozen=True)
class Field:
    """A field of the requests to a route."""

    method: str
    path: str
    #: "path", "query" or "body".
    location: str
    name: str

    @property
    def route(self) -> Route:
        return self.method, self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.location} {self.name}"


@dataclass(frozen=True, eq=False)
class FieldKind:
    #: A valid value, as JSON text; empty outside bodies.
    valid: str = ""
    max_length: int = 0
    nullable: bool = False


TASK_ID, SESSION_ID, ASSET_NAME, NUMBER, SORT, SEARCH = (FieldKind() for _ in range(6))
TITLE: Final = FieldKind('"a"', 200)
DESCRIPTION: Final = FieldKind('"a"', 1_000, nullable=True)
NAME: Final = FieldKind('"a"', 255)
STATUS, COMPLETED, EMAIL = FieldKind('"Pending"'), FieldKind("true"), FieldKind('"ann@example.com"')
LOGIN_PASSWORD, NEW_PASSWORD = FieldKind(json.dumps(PASSWORD)), FieldKind('"correct horse"')

CHANGES: Final = (("PUT", ONE_TASK), ("PATCH", ONE_TASK))
FIELDS: Final[dict[Field, FieldKind]] = {
    **{
        Field(method, path, "path", "task_id"): TASK_ID
        for method, path in (*CHANGES, ("GET", ONE_TASK), ("DELETE", ONE_TASK), ("PATCH", COMPLETE))
    },
    Field("DELETE", ONE_SESSION, "path", "session_id"): SESSION_ID,
    Field("GET", "/docs/{name}", "path", "name"): ASSET_NAME,
    Field("GET", TASKS, "query", "page"): NUMBER,
    Field("GET", TASKS, "query", "limit"): NUMBER,
    Field("GET", TASKS, "query", "status"): STATUS,
    Field("GET", TASKS, "query", "sort"): SORT,
    Field("GET", TASKS, "query", "q"): SEARCH,
    **{
        Field(method, path, "body", name): kind
        for method, path in (("POST", TASKS), *CHANGES)
        for name, kind in (
            ("title", TITLE),
            ("description", DESCRIPTION),
            ("status", STATUS),
        )
    },
    Field("PATCH", COMPLETE, "body", "completed"): COMPLETED,
    Field("PATCH", USER, "body", "name"): NAME,
    Field("POST", SIGN_UP, "body", "email"): EMAIL,
    Field("POST", SIGN_UP, "body", "password"): NEW_PASSWORD,
    Field("POST", SIGN_UP, "body", "name"): NAME,
    Field("POST", LOG_IN, "body", "email"): EMAIL,
    Field("POST", LOG_IN, "body", "password"): LOGIN_PASSWORD,
}
BODIES: Final = list(
    dict.fromkeys(field.route for field in FIELDS if field.location == "body"),
)
REQUIRED: Final = {
    ("POST", TASKS): ("title",),
    ("PATCH", COMPLETE): ("completed",),
    ("PATCH", USER): ("name",),
    ("POST", SIGN_UP): ("email", "password"),
    ("POST", LOG_IN): ("email", "password"),
}


class FieldClient:
    """A client of Ann, who has a task. Its requests are valid except for one field."""

    def __init__(self, app: FastAPI, store: MemoryStore | None) -> None:
        self.app, self.store = app, store
        self.headers: Headers = bearer(shared_secret_token())
        self.task_id = 0

    async def reset(self) -> None:
        """Start anew with one task."""
        if self.store is not None:
            self.store.clear()
            add_user(self.store)
        response = await send_json(self.app, "POST", TASKS, self.headers, {"title": "a"})
        assert response.status_code == 201, response.text
        self.task_id = response.json()["id"]

    async def send(
        self, route: Route, content: str | bytes = b"", query: str | bytes = b"", **path: str
    ) -> httpx.Response:
        method, template = route
        url = template.format(**{"task_id": self.task_id, "session_id": "s", "name": "x", **path})
        headers = [JSON] if template in (SIGN_UP, LOG_IN) else [*self.headers, JSON]
        return await send_request(self.app, method, url, headers, content=content, query=query)

    async def send_value(self, field: Field, literal: str | bytes) -> httpx.Response:
        """Send a valid body, except that this field has this JSON text as its value."""
        return await self.send(field.route, body_with(field, literal))

    def row_counts(self) -> object:
        """How many rows there are; None over Postgres."""
        store = self.store
        return None if store is None else (len(store.tasks), len(store.users), len(store.sessions))


def body_with(field: Field, literal: str | bytes) -> bytes:
    """A valid body, except that this field has this JSON text as its value."""
    value = literal if isinstance(literal, bytes) else literal.encode()
    name = field.name.encode()
    return b"{%s}" % b",".join(
        [*_required_members(field.route, field.name), b'"%s":%s' % (name, value)]
    )


def valid_body(route: Route) -> bytes:
    """A valid body; empty for a route that takes none."""
    return b"{%s}" % b",".join(_required_members(route)) if route in BODIES else b""


def _required_members(route: Route, without: str = "") -> list[bytes]:
    return [
        f'"{name}":{FIELDS[Field(*route, "body", name)].valid}'.encode()
        for name in REQUIRED.get(route, ())
        if name != without
    ]


def fields_in(location: str, *kinds: FieldKind) -> list[Any]:
    """The parameters of a test for all fields in a part of the request, or of some kinds."""
    return [
        pytest.param(field, id=str(field))
        for field, kind in FIELDS.items()
        if field.location == location and (not kinds or kind in kinds)
    ]


def assert_rejected(
    response: httpx.Response, status: int, *, at: tuple[str | None, str | None] | None = None
) -> None:
    """Check an error that does not repeat the input. `at`: field and pointer of a 422."""
    assert response.status_code == status, response.text
    body = problem_of(response)
    codes = {400: "MALFORMED_REQUEST", 413: "BODY_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"}
    codes |= {404: "NOT_FOUND", 422: "VALIDATION_ERROR"}
    assert body["error_code"] == codes[status]
    if at is not None:
        assert [(e["field"], e["pointer"]) for e in body["details"]["errors"]] == [at]
    assert CANARY not in response.text.lower()
    assert not any(CANARY in value.lower() for value in response.headers.values())


async def stored_text(client: FieldClient, field: Field, text: str) -> str | None:
    """Send a text that must be accepted; return it as the API does."""
    if field.path == SIGN_UP:
        await client.reset()
        literal = json.dumps({"email": "new@example.com", "password": PASSWORD, "name": text})
        response = await client.send(field.route, literal)
    else:
        response = await client.send_value(field, json.dumps(text))
    assert response.is_success, (text, response.text)
    body = response.json()
    stored: str | None = (body["user"] if field.path == SIGN_UP else body)[field.name]
    if field.path in (TASKS, ONE_TASK):
        path = f"{TASKS}/{body['id']}"
        task = (await send_request(client.app, "GET", path, client.headers)).json()
        assert task[field.name] == stored
    return stored
