"""Applications with rate limits, and clients with addresses of their own."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import httpx
from fastapi import FastAPI

from application.limits import RequestLimit
from application.ports.passwords import Passwords
from application.sign_in_limits import SignInLimits
from entrypoints.settings import Settings
from tests.http.api import LOG_IN, TASKS
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, SECRET, client_of
from tests.http.fakes import FakePasswords, ResettableCounters

HOME, CAFE, ATTACKER = "192.0.2.1", "192.0.2.2", "203.0.113.66"
TOO_MANY: Final = (429, "TOO_MANY_REQUESTS")


@dataclass(frozen=True, slots=True)
class LimitedBackend(Backend):
    """A backend whose counters can be reset, so that tests can share it."""

    counters: tuple[ResettableCounters, ...]
    passwords: FakePasswords

    def reset(self) -> None:
        self.store.clear()
        self.passwords.hashed.clear()
        for counters in self.counters:
            counters.reset()


def limited_backend(**settings: Any) -> LimitedBackend:
    """An application with these settings, without users, whose limits are unused."""
    backend = _build(**settings)
    backend.reset()
    return backend


@cache
def _build(**settings: Any) -> LimitedBackend:
    parsed = Settings(better_auth_secret=SECRET, **settings)
    requests, sign_ins, passwords = ResettableCounters(), ResettableCounters(), FakePasswords()
    replace: dict[Any, object] = {
        RequestLimit: RequestLimit(requests, parsed.rate_limit),
        SignInLimits: SignInLimits(sign_ins, parsed.auth_rate_limit),
        Passwords: passwords,
    }
    backend = build_backend(replace, cors_origins=ORIGIN, **settings)
    return LimitedBackend(
        backend.app,
        backend.service,
        backend.store,
        backend.settings,
        (requests, sign_ins),
        passwords,
    )


def client_at(
    app: FastAPI, address: str | None = HOME, user_id: str | None = None, **headers: str
) -> httpx.AsyncClient:
    """A client with this address that authenticates as a user, or an anonymous one."""
    client = client_of(app, user_id, peer=None if address is None else (address, 4711))
    client.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return client


async def get_statuses(client: httpx.AsyncClient, times: int, path: str = TASKS) -> list[int]:
    return [(await client.get(path)).status_code for _ in range(times)]


async def log_in(app: FastAPI, body: object, address: str = HOME, **headers: str) -> int:
    return (await client_at(app, address, **headers).post(LOG_IN, json=body)).status_code


async def remaining(client: httpx.AsyncClient, path: str = "/nowhere") -> int:
    """The remaining requests by the headers of another response; 0 if it is a rejection."""
    response = await client.get(path)
    match = re.fullmatch(r'"60s";r=(\d+);t=\d+', response.headers["ratelimit"])
    assert match
    return int(match[1])
