"""Keys that Better Auth publishes over HTTP, for a Taskport on a database of its own.

While keys are rotated, with many keys, during outages, and with hostile responses.
"""

import asyncio
import gzip
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Final, Unpack

import httpx
import jwt
import pytest

from tests.better_auth.provider import Provider, response
from tests.better_auth.signer import signer
from tests.interop.better_auth import BetterAuthServer, Settings, cookie_of, server
from tests.interop.sides import bearer, rows
from tests.interop.taskport import SECRET, Headers, Taskport, taskport
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres, pytest.mark.usefixtures("node_modules")]

#: Concurrent clients.
CLIENTS: Final = 6
REQUESTS: Final = 250
KEYS_PER_CLIENT: Final = 4
CONCURRENT_REQUESTS: Final = 40
#: Better Auth publishes no more keys.
MAX_KEYS: Final = 100
FILL_UP_KEYS: Final = """
    insert into jwks (id, "publicKey", "privateKey", "createdAt")
    select 'older-' || n, "publicKey", "privateKey", "createdAt" - interval '1 day'
    from (select * from jwks limit 1) as one,
        generate_series(1, %s - (select count(*) from jwks)) as n
"""
ORIGIN: Final = "https://app.example.com"


@pytest.fixture(scope="module")
def separate_url(postgres_18_server: PostgresServer) -> Iterator[str]:
    """A database that Better Auth does not use."""
    with postgres_18_server.database() as url:
        yield url


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    await provider.start()
    yield provider
    await provider.stop()


async def test_keys_are_rotated_under_load(
    empty_database_url: str, separate_url: str, email: str
) -> None:
    """A new token is accepted at once, and earlier ones remain valid."""
    tokens: dict[str, str] = {}
    statuses: Counter[int] = Counter()
    with better_auth(empty_database_url, rotation_interval=1) as server:
        cookie = cookie_of(server.sign_up(email))

        async def use_tokens(browser: httpx.AsyncClient, separate: Taskport) -> None:
            kids: set[str] = set()
            # On a slow machine the number of keys ends the loop: not all of more are published.
            while len(tokens) < MAX_KEYS // 2 and (
                len(kids) < KEYS_PER_CLIENT or statuses.total() < REQUESTS
            ):
                response = await browser.get("/api/auth/token", headers=cookie)
                token = response.raise_for_status().json()["token"]
                kid = jwt.get_unverified_header(token)["kid"]
                kids.add(kid)
                tokens[kid] = token
                statuses[(await separate.tasks(bearer(token))).status_code] += 1

        async with beside(server, separate_url) as separate, browser_of(server) as browser:
            async with asyncio.TaskGroup() as clients:
                for _ in range(CLIENTS):
                    clients.create_task(use_tokens(browser, separate))
            assert statuses == {200: statuses.total()}
            for token in tokens.values():
                assert (await separate.tasks(bearer(token))).status_code == 200


async def test_all_of_many_keys_are_used(
    empty_database_url: str, separate_url: str, email: str
) -> None:
    """Concurrent first requests each make Better Auth generate a key, which it publishes for a
    month; daily rotation adds thirty. It publishes a hundred at most."""
    with better_auth(empty_database_url) as server:
        cookie = cookie_of(server.sign_up(email))
        async with browser_of(server) as browser:
            requests = (
                browser.get("/api/auth/token", headers=cookie) for _ in range(CONCURRENT_REQUESTS)
            )
            tokens = [response.json()["token"] for response in await asyncio.gather(*requests)]
        rows(empty_database_url, FILL_UP_KEYS, MAX_KEYS)
        async with beside(server, separate_url) as separate:
            for token in tokens:
                assert (await separate.tasks(bearer(token))).status_code == 200
        assert len(server.jwks().json()["keys"]) == MAX_KEYS


async def test_outage_of_better_auth(
    empty_database_url: str, separate_url: str, email: str
) -> None:
    """Known keys remain valid, unknown ones are 503; new keys are found after the outage."""
    with better_auth(empty_database_url) as server:
        cookies = [cookie_of(server.sign_up(f"{name}-{email}")) for name in ("ann", "bob")]
        ann, bob = (bearer(server.token(cookie).json()["token"]) for cookie in cookies)
        async with beside(server, separate_url) as separate:
            assert (await separate.tasks(ann)).status_code == 200
            unknown = token_with_unpublished_key(server.origin)

            server.stop()
            for _ in range(2):
                rejected = await separate.tasks(unknown)
                assert rejected.status_code == 503
                assert rejected.json()["error_code"] == "UNAVAILABLE"
                assert int(rejected.headers["retry-after"]) >= 1
                assert (await separate.tasks(ann)).status_code == 200
            # New users: one whose token has a known key, and one who signs up here.
            assert (await separate.tasks(bob)).status_code == 200
            assert (await separate.sign_up(email)).status_code == 201

            rows(empty_database_url, "delete from jwks")
            server.restart()
            fresh = bearer(server.token(cookies[0]).json()["token"])
            assert kid_of(fresh) != kid_of(ann)
            assert (await until_available(lambda: separate.tasks(fresh))).status_code == 200
            assert (await until_available(lambda: separate.tasks(unknown))).status_code == 401


KIDS: Final = [f"stranger-{number}" for number in range(4)]
# A valid key set with all keys that are looked up, for responses that are rejected.
KEYS: Final = json.dumps({"keys": [signer(kid).jwk() for kid in KIDS]}).encode()
HOSTILE: Final = {
    "garbage": response(b"\x80\x00garbage"),
    "nothing": b"",
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTML": response(b"<!doctype html>", Content_Type="text/html"),
    "deeply nested JSON": response(b'{"keys": ' + b"[" * 30_000),
    "a redirect": response(KEYS, status="302 Found", Location="http://169.254.169.254/"),
    "an error": response(KEYS, status="500 Internal Server Error"),
    "ten megabytes": response(KEYS.ljust(10_000_000)),
    "a compression bomb": response(gzip.compress(KEYS.ljust(10_000_000)), Content_Encoding="gzip"),
    "malformed keys": response(
        json.dumps(
            {"keys": [None, 5, [], {"kid": "a"}, {"kty": "RSA", "kid": "b", "n": 1}]}
        ).encode()
    ),
}


@pytest.mark.parametrize("hostile", [*HOSTILE, "no end"])
async def test_hostile_provider_delays_no_other_requests(
    provider: Provider, separate_url: str, email: str, hostile: str
) -> None:
    """Tokens with an unknown key wait for it and are rejected; other requests are served."""
    provider.response = HOSTILE.get(hostile, response(b"{", length=60_000))
    if hostile == "no end":
        provider.may_close.clear()
    provider.gate.clear()
    async with taskport(separate_url, ORIGIN, better_auth_jwks_url=provider.url) as separate:
        signed_up = (await separate.sign_up(email)).raise_for_status()
        others = [
            cookie_of(signed_up),
            bearer(signed_up.json()["session_token"]),
            bearer(signed_up.json()["access_token"]),
        ]

        unknown = [token_with_unpublished_key(ORIGIN, kid) for kid in KIDS]
        waiting = [asyncio.create_task(separate.tasks(token)) for token in unknown]
        await until(lambda: provider.hits)
        await assert_served(separate, others)
        assert not any(task.done() for task in waiting)
        provider.gate.set()
        await assert_served(separate, others)

        is_key_set = hostile == "malformed keys"
        expected = (401, "UNAUTHENTICATED") if is_key_set else (503, "UNAVAILABLE")
        for rejected in await asyncio.gather(*waiting):
            assert (rejected.status_code, rejected.json()["error_code"]) == expected
            assert ("retry-after" in rejected.headers) is (rejected.status_code == 503)
        await assert_served(separate, others)


async def assert_served(separate: Taskport, credentials: Sequence[Headers]) -> None:
    responses = await asyncio.gather(*(separate.tasks(credential) for credential in credentials))
    assert {response.status_code for response in responses} == {200}


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def until_available(request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Repeat a request until its status is not 503."""
    while (response := await request()).status_code == 503:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return response


def better_auth(url: str, **settings: Unpack[Settings]) -> AbstractContextManager[BetterAuthServer]:
    """A Better Auth server that creates its own tables."""
    migrating: Settings = {**settings, "migrate": "run"}
    return server(url, secret=SECRET, version="1.7.24", **migrating)


def beside(server: BetterAuthServer, url: str) -> AbstractAsyncContextManager[Taskport]:
    """Taskport on another database, with the keys of a Better Auth server."""
    return taskport(url, server.origin, better_auth_jwks_url=f"{server.url}/api/auth/jwks")


def browser_of(server: BetterAuthServer) -> httpx.AsyncClient:
    """A client for concurrent requests, which the other helpers do not support."""
    return httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30)


def token_with_unpublished_key(origin: str, kid: str = "unknown") -> Headers:
    """A token that is valid, except that its key is not published."""
    now = int(time.time())
    claims = {"sub": kid, "email": f"{kid}@example.com", "iat": now, "exp": now + 900}
    return bearer(signer(kid).token({**claims, "iss": origin, "aud": origin}))


def kid_of(credential: Headers) -> object:
    token = credential["Authorization"].removeprefix("Bearer ")
    return jwt.get_unverified_header(token)["kid"]
