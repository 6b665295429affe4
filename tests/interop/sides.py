"""Better Auth and Taskport side by side: whoever comes to one is known to the other."""

import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
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

# What each header of `Sides.forms` is called by `/api/auth/session/validate`.
CREDENTIALS: Final = {
    "cookie": "cookie",
    "raw bearer": "session_token",
    "signed bearer": "session_token",
    "encoded bearer": "session_token",
    "access token": "access_token",
    "jwt": "jwt",
    "shared secret": "shared_secret",
}
# Those that end with the session; the others name its user.
OF_A_SESSION: Final = ("cookie", "raw bearer", "signed bearer", "encoded bearer", "access token")
# Better Auth prolongs a session that has lived for a day of its seven.
TO_BE_PROLONGED: Final = """
    update session set "expiresAt" = now() + interval '5 days' where token = %s
"""
# Better Auth's tables are made by its own migration where ours would lack a column.
_OWN_TABLES: Final = ("1.6.30", "1.7.2")


@dataclass(frozen=True)
class Sides:
    """A Better Auth, and Taskport twice: `here` on the same database, `far` on another one, where
    all that it knows is what tokens say."""

    there: BetterAuthServer
    here: Taskport
    far: Taskport
    url: str
    far_url: str

    async def forms(self, signed_in: httpx.Response) -> dict[str, Headers]:
        """Every header that shows the session which an answer of either side's began."""
        cookie = cookie_of(signed_in)
        body = signed_in.json()
        signed = unquote(cookie["Cookie"].partition("=")[2].partition(";")[0])
        refreshed = await self.here.refresh(cookie)
        return {
            "cookie": cookie,
            "raw bearer": bearer(body.get("token") or body["session_token"]),
            "signed bearer": bearer(signed),
            "encoded bearer": bearer(quote(signed, safe="")),
            "access token": bearer(refreshed.json()["access_token"]),
            "jwt": self.jwt(cookie),
            "shared secret": bearer(shared_secret_token(body["user"], self.there.origin)),
        }

    async def assert_alive(self, forms: Mapping[str, Headers], *names: str) -> None:
        """They are good on both sides, in these forms or in all."""
        for name in names or forms:
            assert (await self.here.tasks(forms[name])).status_code == 200, name
            if name in ("cookie", "raw bearer", "signed bearer", "encoded bearer"):
                assert self.there.get_session(forms[name]).json() is not None, name

    async def assert_dead(self, forms: Mapping[str, Headers], *names: str) -> None:
        """They are good for nothing on either side, in these forms or in all."""
        for name in names or forms:
            for answer in (
                await self.here.tasks(forms[name]),
                await self.here.validate(forms[name]),
                await self.here.create(forms[name]),
            ):
                assert answer.status_code == 401, (name, answer.text)
            assert self.there.get_session(forms[name]).json() is None, name

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """What a statement finds in the database that they share."""
        return rows(self.url, query, *values)

    def jwt(self, cookie: Headers) -> Headers:
        """The header with a new JWT for the session of a cookie."""
        return bearer(self.there.token(cookie).raise_for_status().json()["token"])


@asynccontextmanager
async def both_sides(
    postgres: PostgresServer,
    version: str,
    *,
    base_url: str | None = None,
    **settings: Unpack[ServerSettings],
) -> AsyncIterator[Sides]:
    """A Better Auth of this version and with these settings, and a Taskport that is told so."""
    told: ServerSettings = {**settings, "migrate": "run"}
    template = {"template": "template0"} if version in _OWN_TABLES else {}
    with (
        postgres.database(**template) as url,
        postgres.database() as far_url,
        server(url, secret=SECRET, version=version, base_url=base_url, **told) as there,
    ):
        migrate(url)
        cookies = {
            "better_auth_cookie_prefix": settings.get("cookie_prefix", "better-auth"),
            "cookie_domain": settings.get("cookie_domain"),
        }
        keys = f"{there.url}/api/auth/jwks"
        async with (
            taskport(url, there.origin, better_auth_jwks_url=NO_KEYS, **cookies) as here,
            taskport(far_url, there.origin, better_auth_jwks_url=keys, **cookies) as far,
        ):
            yield Sides(there, here, far, url, far_url)


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def shared_secret_token(user: Mapping[str, Any], origin: str) -> str:
    """What the front end's own server signs for a user."""
    now = int(time.time())
    said = {"sub": user["id"], "email": user["email"], "iss": origin, "aud": origin}
    return jwt.encode({**said, "iat": now, "exp": now + 3600}, SECRET, algorithm="HS256")


def in_common(user: dict[str, Any]) -> dict[str, Any]:
    """What both sides tell of a user, under our names."""
    verified = user["emailVerified"] if "emailVerified" in user else user["email_verified"]
    return {
        "id": user["id"],
        "email": user["email"],
        "name": user["name"],
        "image": user["image"],
        "email_verified": verified,
    }


def attributes(answer: httpx.Response) -> set[str]:
    """The name of the session's cookie, and all that is said of it beside its value."""
    [cookie] = [c for c in answer.headers.get_list("set-cookie") if "session_token=" in c]
    pair, *others = cookie.split("; ")
    return {pair.partition("=")[0], *(_in_whole_minutes(other) for other in others)}


def _in_whole_minutes(attribute: str) -> str:
    """Ours is how long the session lives on, so that a second may have passed."""
    name, _, value = attribute.partition("=")
    return f"{name}={math.ceil(int(value) / 60) * 60}" if name == "Max-Age" else attribute


def moment(time: str | datetime) -> datetime:
    """A time to the millisecond, which is all that Better Auth tells."""
    exact = datetime.fromisoformat(time) if isinstance(time, str) else time
    return exact.replace(microsecond=exact.microsecond // 1000 * 1000)


def rows(url: str, query: str, *values: object) -> list[dict[str, Any]]:
    """What a statement finds, run by whoever owns the database."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        found = connection.execute(query.encode(), values)
        return found.fetchall() if found.description else []
