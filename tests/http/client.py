"""A client of the application in this process, and the tokens that it shows."""

import json
import time
from collections.abc import Iterable
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx
import jwt
from fastapi import FastAPI
from starlette.types import Message, Scope

SECRET = "a secret that only tests know, long enough for each of the HMACs"
ORIGIN = "http://localhost:3000"
TASK = {"title": "Water the plants"}


def token(user_id: str = "ann", **claims: Any) -> str:
    """A token as the front end's server would sign it."""
    now = int(time.time())
    said = {"sub": user_id, "email": f"{user_id}@example.com", "iat": now, "exp": now + 900}
    return jwt.encode({k: v for k, v in {**said, **claims}.items() if v is not None}, SECRET)


def client_of(
    app: FastAPI, user_id: str | None = None, *, peer: Any = ("127.0.0.1", 123)
) -> httpx.AsyncClient:
    """Somebody's client; nobody's where no user is named."""
    headers = {} if user_id is None else {"Authorization": f"Bearer {token(user_id)}"}
    # A crash must come out as the answer that a client would get.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=peer)
    client = httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)
    # A test shows the cookies that it names, and no others.
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
    return client


def scope_of(
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    query: bytes = b"",
    encoding: str = "utf-8",
) -> Scope:
    """What a server would make of a request. Headers go as they are, whatever is in them."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "root_path": "",
        "query_string": query,
        "headers": [(name.lower().encode(), value.encode(encoding)) for name, value in headers],
        "server": ("test", 80),
        "client": ("127.0.0.1", 123),
    }


async def ask(
    app: FastAPI,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]] = (),
    body: object = None,
) -> httpx.Response:
    """One request without a client around it: where there are a thousand, that is half the time."""
    content = b"" if body is None else json.dumps(body).encode()
    sent = list(headers)
    if all(name.lower() != "host" for name, _ in sent):
        sent.append(("Host", "test"))
    if body is not None:
        sent.append(("Content-Type", "application/json"))
    scope = scope_of(method, path, sent)
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    start, *parts = said
    text = b"".join(part["body"] for part in parts)
    return httpx.Response(start["status"], headers=start["headers"], content=text)


async def new_task(client: httpx.AsyncClient, **values: object) -> dict[str, Any]:
    answer = await client.post("/api/tasks", json={**TASK, **values})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status and the `error_code` of an answer that must be an error."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["error_code"]
