"""Taskport as it is served, in this process, on a real database; and who asks it."""

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from fastapi import FastAPI

from entrypoints.app import from_settings
from entrypoints.settings import Settings
from tests.interop.better_auth import NO_CREDENTIAL, PASSWORD

SECRET: Final = "a-secret-of-the-tests-0123456789abcdef"
NO_KEYS: Final = "http://127.0.0.1:9/api/auth/jwks"
"""Where nobody listens: with this for their address, only the keys of the table are known."""

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Taskport:
    """The application, and a browser's requests to it from a page of the front end."""

    app: FastAPI
    origin: str

    async def ask(
        self, method: str, path: str, headers: Headers = NO_CREDENTIAL, **content: Any
    ) -> httpx.Response:
        """One request below `/api`, with nothing remembered from the one before."""
        origin = {} if method == "GET" else {"Origin": self.origin}
        # A crash must come out as the answer that a client would get.
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
        return await self.ask("POST", "/auth/signup", json=body)

    async def log_in(self, email: str, password: str = PASSWORD) -> httpx.Response:
        return await self.ask("POST", "/auth/login", json={"email": email, "password": password})

    async def log_out(self, credential: Headers) -> httpx.Response:
        return await self.ask("POST", "/auth/logout", credential)

    async def refresh(self, credential: Headers) -> httpx.Response:
        return await self.ask("POST", "/auth/refresh", credential)

    async def me(self, credential: Headers) -> httpx.Response:
        return await self.ask("GET", "/auth/me", credential)

    async def validate(self, credential: Headers) -> httpx.Response:
        """Who is asking, and what proves it."""
        return await self.ask("GET", "/auth/session/validate", credential)

    async def sessions(self, credential: Headers) -> httpx.Response:
        return await self.ask("GET", "/users/me/sessions", credential)

    async def end_session(self, credential: Headers, session_id: str) -> httpx.Response:
        return await self.ask("DELETE", f"/users/me/sessions/{session_id}", credential)

    async def delete_account(self, credential: Headers) -> httpx.Response:
        return await self.ask("DELETE", "/users/me", credential)

    async def tasks(self, credential: Headers) -> httpx.Response:
        return await self.ask("GET", "/tasks", credential)

    async def create(self, credential: Headers) -> httpx.Response:
        return await self.ask("POST", "/tasks", credential, json={"title": "Buy milk"})


@asynccontextmanager
async def taskport(url: str, origin: str, **settings: Any) -> AsyncIterator[Taskport]:
    """Taskport on the database at a URL, beside the Better Auth of an origin, from its start to
    its stop."""
    app = from_settings(
        Settings(database_url=url, better_auth_secret=SECRET, better_auth_url=origin, **settings)
    )
    thresholds = gc.get_threshold()
    async with app.router.lifespan_context(app):
        # It takes the process for its own.
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        yield Taskport(app, origin)
