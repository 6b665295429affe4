"""Taskport in this process, on a real database, and requests to it."""

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from fastapi import FastAPI

from entrypoints.app import from_settings
from entrypoints.settings import Settings
from tests import deadlines
from tests.interop.better_auth import NO_CREDENTIAL, PASSWORD

SECRET: Final = "a-secret-of-the-tests-0123456789abcdef"
#: A JWKS URL that refuses connections: only keys in the table are known.
NO_KEYS: Final = "http://127.0.0.1:9/api/auth/jwks"

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Taskport:
    """The application, and requests to it as a browser sends them for a page of the front end."""

    app: FastAPI
    origin: str

    async def request(
        self, method: str, path: str, headers: Headers = NO_CREDENTIAL, **content: Any
    ) -> httpx.Response:
        """One request below `/api`, without cookies of earlier ones."""
        origin = {} if method == "GET" else {"Origin": self.origin}
        # After a crash, return the response that a client would get.
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://taskport", trust_env=False
        ) as client:
            return await client.request(
                method, f"/api{path}", headers={**origin, **headers}, **content
            )

    async def sign_up(
        self, email: str, password: str = PASSWORD, name: str = "Ada"
    ) -> httpx.Response:
        body = {"email": email, "password": password, "name": name}
        return await self.request("POST", "/auth/signup", json=body)

    async def log_in(self, email: str, password: str = PASSWORD) -> httpx.Response:
        return await self.request(
            "POST", "/auth/login", json={"email": email, "password": password}
        )

    async def log_out(self, credential: Headers) -> httpx.Response:
        return await self.request("POST", "/auth/logout", credential)

    async def refresh(self, credential: Headers) -> httpx.Response:
        return await self.request("POST", "/auth/refresh", credential)

    async def me(self, credential: Headers) -> httpx.Response:
        return await self.request("GET", "/auth/me", credential)

    async def validate(self, credential: Headers) -> httpx.Response:
        """The user and the credential of the request."""
        return await self.request("GET", "/auth/session/validate", credential)

    async def sessions(self, credential: Headers) -> httpx.Response:
        return await self.request("GET", "/users/me/sessions", credential)

    async def end_session(self, credential: Headers, session_id: str) -> httpx.Response:
        return await self.request("DELETE", f"/users/me/sessions/{session_id}", credential)

    async def delete_account(self, credential: Headers) -> httpx.Response:
        return await self.request("DELETE", "/users/me", credential)

    async def tasks(self, credential: Headers) -> httpx.Response:
        return await self.request("GET", "/tasks", credential)

    async def create(self, credential: Headers) -> httpx.Response:
        return await self.request("POST", "/tasks", credential, json={"title": "Buy milk"})


@asynccontextmanager
async def taskport(url: str, origin: str, **settings: Any) -> AsyncIterator[Taskport]:
    """Taskport on a database, for a Better Auth server with this origin."""
    app = from_settings(
        Settings(
            **{
                "database_url": url,
                "better_auth_secret": SECRET,
                "better_auth_url": origin,
                **settings,
            }
        )
    )
    thresholds = gc.get_threshold()
    async with AsyncExitStack() as stack:
        with deadlines.lifted():
            await stack.enter_async_context(app.router.lifespan_context(app))
        # Undo settings of the garbage collector that suit a process of its own.
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        yield Taskport(app, origin)
