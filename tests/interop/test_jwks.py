"""The keys that a Better Auth shows over HTTP, for a Taskport that has a database of its own: while
they change, while they are many, while nobody answers, and while somebody answers with malice."""

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

TABS: Final = 6
REQUESTS: Final = 250
KEYS_OF_A_TAB: Final = 4
A_CROWD: Final = 40
MOST_KEYS: Final = 100
FILL_UP_KEYS: Final = """
    insert into jwks (id, "publicKey", "privateKey", "createdAt")
    select 'older-' || n, "publicKey", "privateKey", "createdAt" - interval '1 day'
    from (select * from jwks limit 1) as one,
        generate_series(1, %s - (select count(*) from jwks)) as n
"""
ORIGIN: Final = "https://app.example.com"


@pytest.fixture(scope="module")
def far_url(postgres_18_server: PostgresServer) -> Iterator[str]:
    """A database that Better Auth does not know."""
    with postgres_18_server.database() as url:
        yield url


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    await provider.start()
    yield provider
    await provider.stop()


async def test_keys_may_change_under_load(
    empty_database_url: str, far_url: str, email: str
) -> None:
    """Whoever has just got a token is let in with it, and the tokens from before go on."""
    shown: dict[str, str] = {}
    statuses: Counter[int] = Counter()
    with better_auth(empty_database_url, rotation_interval=1) as there:
        cookie = cookie_of(there.sign_up(email))

        async def use_a_tab(browser: httpx.AsyncClient, far: Taskport) -> None:
            seen: set[str] = set()
            # On a slow machine it is the keys that are enough: not all of more would be shown.
            while len(shown) < MOST_KEYS // 2 and (
                len(seen) < KEYS_OF_A_TAB or statuses.total() < REQUESTS
            ):
                answer = await browser.get("/api/auth/token", headers=cookie)
                token = answer.raise_for_status().json()["token"]
                kid = jwt.get_unverified_header(token)["kid"]
                seen.add(kid)
                shown[kid] = token
                statuses[(await far.tasks(bearer(token))).status_code] += 1

        async with beside(there, far_url) as far, browser_of(there) as browser:
            async with asyncio.TaskGroup() as tabs:
                for _ in range(TABS):
                    tabs.create_task(use_a_tab(browser, far))
            assert statuses == {200: statuses.total()}
            for token in shown.values():
                assert (await far.tasks(bearer(token))).status_code == 200


async def test_there_may_be_many_keys(empty_database_url: str, far_url: str, email: str) -> None:
    """Better Auth makes one for each who asks while there is none, and shows them for a month: a
    crowd makes dozens at once, and who changes keys every day has a month's. It shows a hundred
    at most."""
    with better_auth(empty_database_url) as there:
        cookie = cookie_of(there.sign_up(email))
        async with browser_of(there) as browser:
            asked = (browser.get("/api/auth/token", headers=cookie) for _ in range(A_CROWD))
            tokens = [answer.json()["token"] for answer in await asyncio.gather(*asked)]
        rows(empty_database_url, FILL_UP_KEYS, MOST_KEYS)
        async with beside(there, far_url) as far:
            for token in tokens:
                assert (await far.tasks(bearer(token))).status_code == 200
        assert len(there.jwks().json()["keys"]) == MOST_KEYS


async def test_better_auth_may_be_away_for_a_while(
    empty_database_url: str, far_url: str, email: str
) -> None:
    with better_auth(empty_database_url) as there:
        cookies = [cookie_of(there.sign_up(f"{name}-{email}")) for name in ("ann", "bob")]
        ann, bob = (bearer(there.token(cookie).json()["token"]) for cookie in cookies)
        async with beside(there, far_url) as far:
            assert (await far.tasks(ann)).status_code == 200
            unknown = stranger(there.origin)

            there.stop()
            for _ in range(2):
                refused = await far.tasks(unknown)
                assert (refused.status_code, refused.json()["error_code"]) == (503, "UNAVAILABLE")
                assert int(refused.headers["retry-after"]) >= 1
                assert (await far.tasks(ann)).status_code == 200
            # Who comes for the first time, by a key that is known, and by none.
            assert (await far.tasks(bob)).status_code == 200
            assert (await far.sign_up(email)).status_code == 201

            rows(empty_database_url, "delete from jwks")
            there.restart()
            fresh = bearer(there.token(cookies[0]).json()["token"])
            assert kid_of(fresh) != kid_of(ann)
            assert (await until_available(lambda: far.tasks(fresh))).status_code == 200
            assert (await until_available(lambda: far.tasks(unknown))).status_code == 401


STRANGERS: Final = [f"stranger-{number}" for number in range(4)]
# All keys that are asked for, in an answer that is refused all the same.
KEYS: Final = json.dumps({"keys": [signer(kid).jwk() for kid in STRANGERS]}).encode()
HOSTILE: Final = {
    "garbage": response(b"\x80\x00garbage"),
    "nothing": b"",
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a page": response(b"<!doctype html>", Content_Type="text/html"),
    "a deep hole": response(b'{"keys": ' + b"[" * 30_000),
    "a redirect": response(KEYS, status="302 Found", Location="http://169.254.169.254/"),
    "an error": response(KEYS, status="500 Internal Server Error"),
    "ten megabytes": response(KEYS.ljust(10_000_000)),
    "a bomb": response(gzip.compress(KEYS.ljust(10_000_000)), Content_Encoding="gzip"),
    "odd keys": response(
        json.dumps(
            {"keys": [None, 5, [], {"kid": "a"}, {"kty": "RSA", "kid": "b", "n": 1}]}
        ).encode()
    ),
}


@pytest.mark.parametrize("answer", [*HOSTILE, "no end"])
async def test_a_hostile_provider_harms_nobody_else(
    provider: Provider, far_url: str, email: str, answer: str
) -> None:
    """Who comes with a key that it alone could show gets no answer; all others do meanwhile."""
    provider.response = HOSTILE.get(answer, response(b"{", length=60_000))
    if answer == "no end":
        provider.may_close.clear()
    provider.gate.clear()
    async with taskport(far_url, ORIGIN, better_auth_jwks_url=provider.url) as far:
        signed_up = (await far.sign_up(email)).raise_for_status()
        others = [
            cookie_of(signed_up),
            bearer(signed_up.json()["session_token"]),
            bearer(signed_up.json()["access_token"]),
        ]

        waiting = [asyncio.create_task(far.tasks(stranger(ORIGIN, kid))) for kid in STRANGERS]
        await until(lambda: provider.hits)
        await assert_served(far, others)
        assert not any(task.done() for task in waiting)
        provider.gate.set()
        await assert_served(far, others)

        expected = (401, "UNAUTHENTICATED") if answer == "odd keys" else (503, "UNAVAILABLE")
        for refused in await asyncio.gather(*waiting):
            assert (refused.status_code, refused.json()["error_code"]) == expected
            assert ("retry-after" in refused.headers) is (refused.status_code == 503)
        await assert_served(far, others)


async def assert_served(far: Taskport, credentials: Sequence[Headers]) -> None:
    answers = await asyncio.gather(*(far.tasks(credential) for credential in credentials))
    assert {answer.status_code for answer in answers} == {200}


async def until(happened: Callable[[], object]) -> None:
    while not happened():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def until_available(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """What is answered once it is no more "not now"."""
    while (answer := await ask()).status_code == 503:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return answer


def better_auth(url: str, **settings: Unpack[Settings]) -> AbstractContextManager[BetterAuthServer]:
    told: Settings = {**settings, "migrate": "run"}
    return server(url, secret=SECRET, version="1.7.24", **told)


def beside(there: BetterAuthServer, url: str) -> AbstractAsyncContextManager[Taskport]:
    """A Taskport on another database."""
    return taskport(url, there.origin, better_auth_jwks_url=f"{there.url}/api/auth/jwks")


def browser_of(there: BetterAuthServer) -> httpx.AsyncClient:
    """Many requests at a time, which the other helpers cannot make."""
    return httpx.AsyncClient(base_url=there.url, trust_env=False, timeout=30)


def stranger(origin: str, kid: str = "unknown") -> Headers:
    """A token that is good in all but this: nobody has the key."""
    now = int(time.time())
    claims = {"sub": kid, "email": f"{kid}@example.com", "iat": now, "exp": now + 900}
    return bearer(signer(kid).token({**claims, "iss": origin, "aud": origin}))


def kid_of(shown: Headers) -> object:
    return jwt.get_unverified_header(shown["Authorization"].removeprefix("Bearer "))["kid"]
