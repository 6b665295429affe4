"""Better Auth and Taskport side by side, with the same users and sessions."""

import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Unpack
from urllib.parse import quote, unquote

import httpx
import jwt
import psycopg
from psycopg.rows import dict_row

from adapters.postgres.schema import migrate
from tests.interop.better_auth import BetterAuthServer, cookie_of, server
from tests.interop.better_auth import Settings as ServerSettings
from tests.interop.taskport import NO_KEYS, SECRET, Headers, Taskport, taskport
from tests.servers import PostgresServer

#: For each of `Sides.credentials`: its name in the response of `/api/auth/session/validate`.
CREDENTIALS: Final = {
    "cookie": "cookie",
    "raw bearer": "session_token",
    "signed bearer": "session_token",
    "encoded bearer": "session_token",
    "access token": "access_token",
    "jwt": "jwt",
    "shared secret": "shared_secret",
}
#: Credentials that end with the session. The others name a user.
OF_A_SESSION: Final = ("cookie", "raw bearer", "signed bearer", "encoded bearer", "access token")
# Better Auth prolongs a session whose age is at least one of its seven days.
TO_BE_PROLONGED: Final = """
    update session set "expiresAt" = now() + interval '5 days' where token = %s
"""
#: Versions that need a column which our migration does not create: they migrate first.
_OWN_TABLES: Final = ("1.6.30", "1.7.2")


@dataclass(frozen=True)
class SharedSides:
    """A Better Auth server, and Taskport on the same database."""

    better_auth: BetterAuthServer
    taskport: Taskport
    url: str

    async def credentials(self, signed_in: httpx.Response) -> dict[str, Headers]:
        """All credentials of a session, from the sign-in response of either side."""
        cookie = cookie_of(signed_in)
        body = signed_in.json()
        signed = unquote(cookie["Cookie"].partition("=")[2].partition(";")[0])
        refreshed = await self.taskport.refresh(cookie)
        return {
            "cookie": cookie,
            "raw bearer": bearer(body.get("token") or body["session_token"]),
            "signed bearer": bearer(signed),
            "encoded bearer": bearer(quote(signed, safe="")),
            "access token": bearer(refreshed.json()["access_token"]),
            "jwt": self.jwt(cookie),
            "shared secret": bearer(shared_secret_token(body["user"], self.better_auth.origin)),
        }

    async def assert_accepted(self, credentials: Mapping[str, Headers], *names: str) -> None:
        """Both sides accept all credentials, or those with these names."""
        for name in names or credentials:
            headers = credentials[name]
            assert (await self.taskport.tasks(headers)).status_code == 200, name
            if name in ("cookie", "raw bearer", "signed bearer", "encoded bearer"):
                assert self.better_auth.get_session(headers).json() is not None, name

    async def assert_rejected(self, credentials: Mapping[str, Headers], *names: str) -> None:
        """Both sides reject all credentials, or those with these names."""
        for name in names or credentials:
            headers = credentials[name]
            for response in (
                await self.taskport.tasks(headers),
                await self.taskport.validate(headers),
                await self.taskport.create(headers),
            ):
                assert response.status_code == 401, (name, response.text)
            assert self.better_auth.get_session(headers).json() is None, name

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """The rows that a statement returns in the shared database."""
        return rows(self.url, query, *values)

    def jwt(self, cookie: Headers) -> Headers:
        """The `Authorization` header with a new JWT for the session of a cookie."""
        return bearer(self.better_auth.token(cookie).raise_for_status().json()["token"])


@dataclass(frozen=True)
class Sides(SharedSides):
    """Also another instance of Taskport."""

    #: On a database of its own: it knows users only by their tokens.
    separate: Taskport
    separate_url: str


@asynccontextmanager
async def both_sides(
    postgres: PostgresServer,
    version: str,
    *,
    base_url: str | None = None,
    ours: Mapping[str, Any] = MappingProxyType({}),
    **settings: Unpack[ServerSettings],
) -> AsyncIterator[Sides]:
    """A Better Auth server of this version and with these settings, and Taskport beside it.

    `ours` are settings of Taskport.
    """
    server_settings: ServerSettings = {**settings, "migrate": "run"}
    template = {"template": "template0"} if version in _OWN_TABLES else {}
    with (
        postgres.database(**template) as url,
        postgres.database() as separate_url,
        server(
            url, secret=SECRET, version=version, base_url=base_url, **server_settings
        ) as better_auth,
    ):
        migrate(url)
        options = {
            **ours,
            "better_auth_cookie_prefix": settings.get("cookie_prefix", "better-auth"),
            "cookie_domain": settings.get("cookie_domain"),
        }
        origin, keys = better_auth.origin, f"{better_auth.url}/api/auth/jwks"
        async with (
            taskport(url, origin, better_auth_jwks_url=NO_KEYS, **options) as shared,
            taskport(separate_url, origin, better_auth_jwks_url=keys, **options) as separate,
        ):
            yield Sides(better_auth, shared, url, separate, separate_url)


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def shared_secret_token(user: Mapping[str, Any], origin: str) -> str:
    """A token that the front end's own server signs for a user."""
    now = int(time.time())
    claims = {"sub": user["id"], "email": user["email"], "iss": origin, "aud": origin}
    return jwt.encode({**claims, "iat": now, "exp": now + 3600}, SECRET, algorithm="HS256")


def in_common(user: dict[str, Any]) -> dict[str, Any]:
    """The fields of a user that both sides return, under our names."""
    verified = user["emailVerified"] if "emailVerified" in user else user["email_verified"]
    return {
        "id": user["id"],
        "email": user["email"],
        "name": user["name"],
        "image": user["image"],
        "email_verified": verified,
    }


def attributes(response: httpx.Response) -> set[str]:
    """The name and the attributes of the session cookie that a response sets."""
    [cookie] = [c for c in response.headers.get_list("set-cookie") if "session_token=" in c]
    pair, *others = cookie.split("; ")
    return {pair.partition("=")[0], *(_in_whole_minutes(other) for other in others)}


def _in_whole_minutes(attribute: str) -> str:
    """`Max-Age` in whole minutes: ours is the rest of the session, after a second or so."""
    name, _, value = attribute.partition("=")
    return f"{name}={math.ceil(int(value) / 60) * 60}" if name == "Max-Age" else attribute


def moment(time: str | datetime) -> datetime:
    """A time in milliseconds, the precision of Better Auth's responses."""
    exact = datetime.fromisoformat(time) if isinstance(time, str) else time
    return exact.replace(microsecond=exact.microsecond // 1000 * 1000)


def rows(url: str, query: str, *values: object) -> list[dict[str, Any]]:
    """The rows that a statement returns, run as the owner of the database."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        found = connection.execute(query.encode(), values)
        return found.fetchall() if found.description else []
