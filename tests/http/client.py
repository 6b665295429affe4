"""Clients of the application in this process, and requests without a client around them."""

import json
import re
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx
import jwt
from fastapi import FastAPI
from starlette.types import Message, Scope

from tests.http.api import PROBLEM_FIELDS, TASK, TASKS

SECRET = "a secret that only tests know, long enough for each of the HMACs"
ORIGIN = "http://localhost:3000"
JSON = ("Content-Type", "application/json")


def shared_secret_token(user_id: str = "ann", **claims: Any) -> str:
    """A token as the server of the front end signs it; a claim that is None is left out."""
    now = int(time.time())
    all_claims = {"sub": user_id, "email": f"{user_id}@example.com", "iat": now, "exp": now + 900}
    all_claims |= claims
    return jwt.encode({k: v for k, v in all_claims.items() if v is not None}, SECRET)


def client_of(
    app: FastAPI, user_id: str | None = None, *, peer: Any = ("127.0.0.1", 123)
) -> httpx.AsyncClient:
    """A client that authenticates as a user, or an anonymous one. `peer` is its address."""
    headers = {}
    if user_id is not None:
        headers["Authorization"] = f"Bearer {shared_secret_token(user_id)}"
    # A crash must become the response that a real client would get.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=peer)
    client = httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)
    # Only cookies that a test sets itself are sent.
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
    """The ASGI scope that a server makes of a request. Header values are passed on unchecked."""
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


async def send_request(
    app: FastAPI,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    content: str | bytes = b"",
    query: str | bytes = b"",
    host: str | None = "test",
    chunks: Iterable[bytes] | None = None,
    encoding: str = "latin-1",
) -> httpx.Response:
    """Send one request without a client, with unchecked bytes in every part of it.

    `chunks` is a body that arrives in several parts; a `host` of None leaves the header out;
    `encoding` is that of the header values.
    """
    all_headers = headers if host is None else [("Host", host), *headers]
    query_string = query if isinstance(query, bytes) else query.encode()
    scope = scope_of(method, path, all_headers, query=query_string, encoding=encoding)
    body = content if isinstance(content, bytes) else content.encode()
    unsent = [body] if chunks is None else list(chunks)
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": unsent.pop(0), "more_body": bool(unsent)}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return response_of(messages)


async def send_json(
    app: FastAPI,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]] = (),
    body: object = None,
) -> httpx.Response:
    """Send one request without a client: for thousands of them, that takes half the time."""
    all_headers = list(headers)
    content = b""
    if body is not None:
        all_headers.append(JSON)
        content = json.dumps(body).encode()
    hosts = [value for name, value in all_headers if name.lower() == "host"]
    host = None if hosts else "test"
    return await send_request(
        app, method, path, all_headers, content=content, host=host, encoding="utf-8"
    )


def response_of(messages: Iterable[Message]) -> httpx.Response:
    """The response that these ASGI messages make up."""
    start, *parts = messages
    content = b"".join(part["body"] for part in parts)
    return httpx.Response(start["status"], headers=start["headers"], content=content)


async def new_task(client: httpx.AsyncClient, **values: object) -> dict[str, Any]:
    response = await client.post(TASKS, json={**TASK, **values})
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


def error_of(response: httpx.Response) -> tuple[int, str]:
    """The status and the `error_code` of a response that must be an error."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body["error_code"]


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The body of an error, which has exactly the members of the contract."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body: dict[str, Any] = response.json()
    assert body.keys() == PROBLEM_FIELDS
    assert body["status"] == response.status_code
    assert body["type"] == "about:blank"
    assert body["detail"] == body["message"] != ""
    assert body["title"]
    assert re.fullmatch(r"[A-Z_]+", body["error_code"])
    assert uuid.UUID(body["instance"].removeprefix("urn:uuid:")).version == 4
    assert body["request_id"] == response.headers["x-request-id"]
    assert abs(datetime.fromisoformat(body["timestamp"]) - datetime.now(UTC)).total_seconds() < 60
    if body["error_code"] == "VALIDATION_ERROR":
        details = body["details"]
        assert details.keys() == {"field", "error", "errors"}
        assert 0 < len(details["errors"]) <= 32
        for error in details["errors"]:
            assert error.keys() == {"field", "pointer", "error"}
            assert error["error"]
        assert details["field"] == details["errors"][0]["field"]
        assert details["error"] == details["errors"][0]["error"]
    else:
        assert body["details"] == {}
    return body
