"""How often one may ask, over HTTP: who is counted as whom, and what the answers say of it."""

import asyncio
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from adapters.asgi import access_log
from adapters.asgi.client_address import ForwardedFor
from adapters.asgi.request_record import PROBE_PATHS
from adapters.memory.store import MemoryStore
from application.limits import RequestLimit, SignInLimits
from application.ports.passwords import Passwords
from domain.users import UserRepository
from entrypoints.settings import Settings
from tests.conftest import Logged, Skip
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, SECRET, TASK, client_of, code
from tests.http.fakes import FakePasswords, ResettableCounters, UnavailableUsers
from tests.http.people import (
    ANN,
    LOG_IN,
    LOG_OUT,
    ME,
    OTHERWISE,
    SESSIONS,
    SIGN_UP,
    add_session,
    add_user,
    bearer,
    contents,
    cookie_of,
    cookies_of,
)

HOME, CAFE, EVE = "192.0.2.1", "192.0.2.2", "203.0.113.66"
PATH: Final = "/api/tasks"
REFUSED: Final = (429, "TOO_MANY_REQUESTS")
PREFLIGHT: Final = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


@dataclass(frozen=True, slots=True)
class Limited:
    """An application, and what is kept beside its store."""

    backend: Backend
    counters: tuple[ResettableCounters, ResettableCounters]
    passwords: FakePasswords


@cache
def _built(**settings: Any) -> Limited:
    parsed = Settings(better_auth_secret=SECRET, **settings)
    requests, sign_ins, passwords = ResettableCounters(), ResettableCounters(), FakePasswords()
    replace: dict[Any, object] = {
        RequestLimit: RequestLimit(requests, parsed.rate_limit),
        SignInLimits: SignInLimits(sign_ins, parsed.auth_rate_limit),
        Passwords: passwords,
    }
    backend = build_backend(replace, cors_origins=ORIGIN, **settings)
    return Limited(backend, (requests, sign_ins), passwords)


def serving(**settings: Any) -> Backend:
    """An application with these settings, which knows nobody and has counted nothing."""
    limited = _built(**settings)
    limited.backend.store.clear()
    limited.passwords.hashed.clear()
    for counters in limited.counters:
        counters.reset()
    return limited.backend


@pytest.fixture
def backend() -> Backend:
    """Three requests a minute; as many log-ins as one likes."""
    return serving(rate_limit="3/minute")


SIGN_IN_LIMIT: Final = {"auth_rate_limit": "2/5minutes"}


@pytest.fixture
def door() -> Backend:
    """Two failures to sign in, and two sign-ups, in five minutes; Ann has an account."""
    backend = serving(**SIGN_IN_LIMIT)
    add_user(backend.store)
    return backend


@pytest.fixture
def hashed(door: Backend) -> list[str]:
    """The passwords that were hashed at the door."""
    return _built(**SIGN_IN_LIMIT).passwords.hashed


def at(
    app: FastAPI, address: str | None = HOME, user_id: str | None = None, **headers: str
) -> httpx.AsyncClient:
    """A client at an address: somebody's, or nobody's."""
    client = client_of(app, user_id, peer=None if address is None else (address, 4711))
    client.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return client


async def left(client: httpx.AsyncClient, path: str = "/nowhere") -> int:
    """How many requests the answer to another one says are left; 0 where it is refused."""
    answer = await client.get(path)
    found = re.fullmatch(r'"60s";r=(\d+);t=\d+', answer.headers["ratelimit"])
    assert found
    return int(found[1])


async def statuses(client: httpx.AsyncClient, times: int, path: str = PATH) -> list[int]:
    return [(await client.get(path)).status_code for _ in range(times)]


async def log_in(app: FastAPI, sent: object, address: str = HOME, **headers: str) -> int:
    return (await at(app, address, **headers).post(LOG_IN, json=sent)).status_code


def decided(decision: str, limit: str = "requests") -> float:
    access_log.flush()
    labels = {"limit": limit, "decision": decision}
    return REGISTRY.get_sample_value("taskport_rate_limit_decisions_total", labels) or 0


# What the answers say


async def test_each_answer_says_what_is_left(app: FastAPI, skip: Skip) -> None:
    ann = at(app, user_id="ann")
    for number, (t, after) in enumerate([(60, 20.5), (40, 39), (1, 0.5), (60, 0)]):
        answer = await ann.get(PATH)
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"60s";q=3;w=60'
        assert answer.headers["ratelimit"] == f'"60s";r={2 - number % 3};t={t}'
        assert "retry-after" not in answer.headers
        skip(after)


async def test_several_limits_are_said_in_one_field(skip: Skip) -> None:
    """And hold, each for itself."""
    ann = at(serving(rate_limit="2/second; 3/minute").app, user_id="ann")
    answer = await ann.get(PATH)
    assert answer.headers["ratelimit-policy"] == '"1s";q=2;w=1, "60s";q=3;w=60'
    assert answer.headers["ratelimit"] == '"1s";r=1;t=1, "60s";r=2;t=60'
    assert await statuses(ann, 2) == [200, 429]
    skip(1)
    # The third in a second was the third in this minute as well.
    answer = await ann.get(PATH)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "59")
    assert answer.headers["ratelimit"] == '"1s";r=1;t=1, "60s";r=0;t=59'


async def test_one_too_many(app: FastAPI, store: MemoryStore, skip: Skip) -> None:
    """An error as all others are, with what a page of ours may read."""
    ann = at(app, user_id="ann", Origin=ORIGIN)
    assert await statuses(ann, 3) == [200] * 3
    skip(19.5)
    for method, path in (("GET", PATH), ("POST", PATH), ("GET", PATH + "/7"), ("GET", ME)):
        answer = await ann.request(method, path, json=TASK if method == "POST" else None)
        assert code(answer) == REFUSED
        assert answer.headers["retry-after"] == "41"
        assert answer.headers["ratelimit"] == '"60s";r=0;t=41'
        assert answer.headers["ratelimit-policy"] == '"60s";q=3;w=60'
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert {"retry-after", "ratelimit", "ratelimit-policy"} <= set(
            answer.headers["access-control-expose-headers"].lower().split(", ")
        )
        body = answer.json()
        assert body["request_id"] == answer.headers["x-request-id"]
        assert (body["details"], body["title"]) == ({}, "Too Many Requests")
    assert store.tasks == {}
    skip(40.5)
    assert await statuses(ann, 4) == [200, 200, 200, 429]


async def test_nobody_is_told_to_come_again_at_once(app: FastAPI, skip: Skip) -> None:
    ann = at(app, user_id="ann")
    await statuses(ann, 3)
    skip(59.999)
    assert (await ann.get(PATH)).headers["retry-after"] == "1"


async def test_many_at_the_same_time(app: FastAPI) -> None:
    ann, nobody = at(app, user_id="ann"), at(app)
    for client, good in ((ann, 200), (nobody, 401)):
        answers = await asyncio.gather(*(client.get(PATH) for _ in range(20)))
        found = sorted(answer.status_code for answer in answers)
        assert found == [good] * 3 + [429] * 17


async def test_without_a_limit_there_is_nothing_to_say() -> None:
    before = decided("uncounted")
    app = serving().app
    for client in (at(app), at(app, user_id="ann")):
        answer = await client.get(PATH)
        assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)
    assert await log_in(app, OTHERWISE) == 401
    assert decided("uncounted") == before


async def test_decisions_are_counted_and_a_refusal_is_logged_once(
    app: FastAPI, logged: Logged
) -> None:
    before = decided("allowed"), decided("refused")
    await statuses(at(app, user_id="ann"), 8)
    assert (decided("allowed"), decided("refused")) == (before[0] + 3, before[1] + 5)
    [line] = [line for line in logged if line["event"] == "limit_reached"]
    assert (line["limit"], line["user_id"], line["address"]) == ("requests", "ann", HOME)
    assert line["log_level"] == "warning"


# Who is counted as whom


async def test_a_user_is_counted_wherever_they_are(backend: Backend, app: FastAPI) -> None:
    """Whatever proves who they are; and two users at one address are two."""
    session = add_session(backend.store, add_user(backend.store, "ann").id)
    assert await statuses(at(app, HOME, "ann"), 1) == [200]
    by_cookie = at(app, CAFE, **dict(cookie_of(session)))
    by_session = at(app, EVE, **dict(bearer(session.token)))
    assert await statuses(by_cookie, 1) + await statuses(by_session, 2) == [200, 200, 429]
    assert await statuses(at(app, HOME, "bob"), 4) == [200, 200, 200, 429]


async def test_a_good_user_behind_a_busy_address_is_not_turned_away(app: FastAPI) -> None:
    """And takes nothing from those who share it, either."""
    ann, nobody = at(app, HOME, "ann"), at(app, HOME)
    assert await statuses(ann, 1) == [200]
    assert await statuses(nobody, 4) == [401, 401, 401, 429]
    # A user's own mistakes are the user's.
    assert (await ann.get(PATH + "/7")).status_code == 404
    assert (await ann.get(PATH, params={"page": "x"})).status_code == 422
    assert code(await ann.get(PATH)) == REFUSED


async def test_what_nobody_asks_for_counts_for_the_address(app: FastAPI) -> None:
    """Each of these once, whether or not there is anything there."""
    tries: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/nowhere", {}),
        ("GET", "/health/", {}),
        ("GET", "/metrics/x", {}),
        ("HEAD", PATH, {}),
        ("GET", PATH, {}),
        ("GET", PATH, {"headers": {"Authorization": "Bearer forged"}}),
        ("POST", PATH, {"content": b"{"}),
        ("POST", PATH, {"content": b"x" * 70_000}),
        ("TRACE", PATH, {}),
        ("PUT", "/api/auth/login", {}),
        ("GET", "/docs", {}),
        ("HEAD", "/docs/start.js", {}),
        ("GET", "/docs/nothing", {}),
        ("POST", LOG_IN, {"json": {}}),
        ("POST", LOG_IN, {"json": ANN, "headers": {"Origin": "https://evil.example"}}),
        ("OPTIONS", PATH, {}),
        ("OPTIONS", PATH, {"headers": {"Origin": ORIGIN}}),
        ("OPTIONS", PATH, {"headers": {"Access-Control-Request-Method": "POST"}}),
    ]
    for number, (method, path, sent) in enumerate(tries):
        nobody = at(app, f"198.51.100.{number}")
        first = await nobody.request(method, path, **sent)
        assert first.status_code != 429
        assert first.headers["ratelimit"].startswith('"60s";r=2;'), (method, path)
        assert await left(nobody) == 1
        await nobody.get("/nowhere")
        last = await nobody.request(method, path, **sent)
        assert last.status_code == 429, (method, path)
        assert last.headers["ratelimit"].startswith('"60s";r=0;')
        # To make the document takes long, and all the longer it pays to ask for it.
        assert code(await nobody.get("/openapi.json")) == REFUSED


async def test_what_is_not_counted(app: FastAPI) -> None:
    """Whoever watches the service looks often, and a browser asks before it asks."""
    nobody, ann = at(app), at(app, user_id="ann")
    for client in (nobody, ann):
        for path in sorted(PROBE_PATHS):
            for method, status in (("GET", 200), ("HEAD", 200), ("POST", 405)):
                answer = await client.request(method, path)
                assert answer.status_code == status
                assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)
    for origin, status in ((ORIGIN, 200), ("https://evil.example", 403)):
        for _ in range(5):
            answer = await nobody.options(PATH, headers={**PREFLIGHT, "Origin": origin})
            assert answer.status_code == status
    assert await left(nobody) == 2
    assert await left(ann, PATH) == 2


def test_these_are_the_routes_that_are_not_counted() -> None:
    assert {"/health", "/health/db", "/livez", "/readyz", "/metrics"} == PROBE_PATHS


async def test_the_path_that_a_rewrite_adds_changes_nothing(app: FastAPI) -> None:
    """uvicorn puts it before the path of each request."""
    transport = httpx.ASGITransport(app, root_path="/backend")
    async with httpx.AsyncClient(transport=transport, base_url="http://test/backend") as client:
        for _ in range(5):
            answer = await client.get("/livez")
            assert (answer.status_code, "ratelimit" in answer.headers) == (200, False)
            assert (await client.post("/livez")).status_code == 405
        assert [(await client.get(PATH)).status_code for _ in range(4)] == [401, 401, 401, 429]


async def test_who_is_refused_changes_nothing(backend: Backend) -> None:
    """What is done for nobody is counted before it is done; an answer that is replaced would
    else have done something."""
    app, store = backend.app, backend.store
    hashed = _built(rate_limit="3/minute").passwords.hashed
    add_user(store)
    session = add_session(store)
    nobody, before = at(app), contents(store)
    for _ in range(3):
        await backend.service.request_limit.count_sign_in(HOME)
    answers = [
        await nobody.post(LOG_IN, json=ANN),
        await nobody.post(LOG_IN, json=OTHERWISE),
        await nobody.post(SIGN_UP, json={**ANN, "email": "new@example.com"}),
    ]
    for answer in answers:
        assert code(answer) == REFUSED
        assert cookies_of(answer) == []
    assert hashed == []
    ann = at(app, **dict(bearer(session.token)))
    await statuses(ann, 3)
    for method, path, sent in (
        ("POST", PATH, TASK),
        ("DELETE", f"{SESSIONS}/{session.id}", None),
        ("POST", LOG_OUT, None),
        ("PATCH", "/api/users/me", {"name": "x"}),
        ("DELETE", "/api/users/me", None),
    ):
        assert code(await ann.request(method, path, json=sent)) == REFUSED
    assert contents(store) == before


async def test_what_else_is_asked_from_an_address_shuts_nobody_out(
    app: FastAPI, store: MemoryStore
) -> None:
    """A page of somebody else can make its visitors ask for a thousand images."""
    add_user(store)
    nobody = at(app)
    assert await statuses(nobody, 4) == [401, 401, 401, 429]
    assert (await nobody.post(LOG_IN, json=ANN)).status_code == 200
    dead = [("Cookie", "better-auth.session_token=forged")]
    answer = await nobody.post(LOG_OUT, headers=dead)
    assert answer.status_code == 204
    assert cookies_of(answer) != []


async def test_what_nobody_can_answer_is_not_counted() -> None:
    """While the database is away, to ask again and again is what all are told to do."""
    app = build_backend({UserRepository: UnavailableUsers()}, rate_limit="3/minute").app
    assert await statuses(at(app, user_id="ann"), 5) == [503] * 5
    assert await statuses(at(app), 3) == [401] * 3


async def test_a_page_of_others_spends_nothing_of_a_log_in(app: FastAPI, door: Backend) -> None:
    """It is refused before anybody's failures are counted."""
    foreign = at(door.app, Origin="https://evil.example")
    for _ in range(5):
        assert (await foreign.post(LOG_IN, json=OTHERWISE)).status_code == 403
    assert await log_in(door.app, ANN) == 200


# Signing in and up


async def test_failing_to_log_in(door: Backend, hashed: list[str], skip: Skip) -> None:
    """Past the limit nothing is hashed any more, be the password right or wrong; other addresses
    get in."""
    assert [await log_in(door.app, OTHERWISE) for _ in range(2)] == [401, 401]
    assert len(hashed) == 2
    skip(99.5)
    for sent in (ANN, OTHERWISE, {**ANN, "email": "nobody@example.com"}):
        answer = await at(door.app, HOME, Origin=ORIGIN).post(LOG_IN, json=sent)
        assert code(answer) == REFUSED
        assert answer.headers["retry-after"] == "201"
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert cookies_of(answer) == []
    assert len(hashed) == 2
    assert await log_in(door.app, ANN, CAFE) == 200
    skip(200.5)
    assert await log_in(door.app, ANN) == 200


async def test_nobody_locks_a_stranger_out(door: Backend) -> None:
    """Simulated stuffing: guesses from everywhere, and the owner still gets in from home."""
    found = [await log_in(door.app, OTHERWISE, f"198.51.100.{n}") for n in range(12)]
    assert found == [401] * 12
    again = [await log_in(door.app, ANN, f"198.51.100.{n}") for n in range(12)]
    assert again == [429] * 12
    for _ in range(5):
        assert await log_in(door.app, ANN) == 200
    # One mistake, and it is as with everybody else.
    assert [await log_in(door.app, OTHERWISE), await log_in(door.app, ANN)] == [401, 429]
    assert await log_in(door.app, ANN, CAFE) == 200


async def test_an_account_is_one_however_its_address_is_written(door: Backend) -> None:
    for n, email in enumerate(("ANN@example.com", "Ann@Example.COM")):
        assert await log_in(door.app, {**OTHERWISE, "email": email}, f"198.51.100.{n}") == 401
    assert await log_in(door.app, OTHERWISE, "198.51.100.1") == 429


async def test_an_account_that_is_not_there_is_as_one_that_is(door: Backend) -> None:
    """Or the limit would tell them apart."""
    for email in ("ann@example.com", "nobody@example.com"):
        sent, home = {**OTHERWISE, "email": email}, f"198.51.100.{len(email)}"
        assert [await log_in(door.app, sent, home) for _ in range(3)] == [401, 401, 429]


async def test_what_is_no_failure_does_not_count(door: Backend) -> None:
    store = door.store
    add_user(store, "bob", banned=True)
    add_user(store, "tom", has_second_factor=True)
    for _ in range(5):
        assert await log_in(door.app, ANN) == 200
        assert await log_in(door.app, {**ANN, "email": "bob@example.com"}) == 403
        assert await log_in(door.app, {**ANN, "email": "tom@example.com"}) == 403
        assert await log_in(door.app, {**ANN, "email": "no address"}) == 422
        assert await log_in(door.app, {**ANN, "password": "x" * 129}) == 422
    assert [await log_in(door.app, OTHERWISE) for _ in range(3)] == [401, 401, 429]


async def test_guesses_at_the_same_time(door: Backend, hashed: list[str]) -> None:
    guesses = [log_in(door.app, OTHERWISE) for _ in range(30)]
    assert sorted(await asyncio.gather(*guesses)) == [401] * 2 + [429] * 28
    assert len(hashed) == 2


async def test_signing_up(door: Backend, hashed: list[str], skip: Skip) -> None:
    """Each counts, also one whose address is taken: or somebody could ask for all of them."""
    client, store = at(door.app), door.store
    assert (await client.post(SIGN_UP, json=ANN)).status_code == 409
    assert (await client.post(SIGN_UP, json={**ANN, "email": "no"})).status_code == 422
    new = {**ANN, "email": "new@example.com"}
    assert (await client.post(SIGN_UP, json=new)).status_code == 201
    before, seen = contents(store), len(hashed)
    skip(299)
    for email in ("ann@example.com", "newer@example.com"):
        answer = await client.post(SIGN_UP, json={**ANN, "email": email})
        assert code(answer) == REFUSED
        assert answer.headers["retry-after"] == "1"
        assert cookies_of(answer) == []
    assert (contents(store), len(hashed)) == (before, seen)
    other = await at(door.app, CAFE).post(SIGN_UP, json={**ANN, "email": "newer@example.com"})
    assert other.status_code == 201
    assert await log_in(door.app, ANN) == 200


async def test_refused_sign_ins_are_counted_and_logged(door: Backend, logged: Logged) -> None:
    def counts() -> list[float]:
        limits = ("log_ins", "sign_ups")
        return [decided(decision, limit) for limit in limits for decision in ("allowed", "refused")]

    before = counts()
    for _ in range(3):
        await log_in(door.app, OTHERWISE)
        await at(door.app).post(SIGN_UP, json=ANN)
    assert [new - old for new, old in zip(counts(), before, strict=True)] == [2, 1, 2, 1]
    lines = [line for line in logged if line["event"] == "limit_reached"]
    assert [(line["limit"], line["address"]) for line in lines] == [
        ("log_ins", HOME),
        ("sign_ups", HOME),
    ]
    assert "ann@" not in str(lines)


async def test_the_session_names_the_client_behind_the_proxy() -> None:
    backend = serving(trusted_proxies=1)
    app = backend.app
    add_user(backend.store)
    forged = f"10.0.0.1, {CAFE}"
    answer = await at(app, HOME, X_Forwarded_For=forged).post(LOG_IN, json=ANN)
    [session] = backend.store.sessions.values()
    assert answer.json()["session"]["ip_address"] == session.ip_address == CAFE


async def test_the_session_names_no_client_that_a_header_made_up() -> None:
    backend = serving()
    app = backend.app
    add_user(backend.store)
    answer = await at(app, HOME, X_Forwarded_For=CAFE).post(LOG_IN, json=ANN)
    assert answer.json()["session"]["ip_address"] == HOME


# When nobody can count


async def test_redis_is_away(logged: Logged) -> None:
    """Requests pass, uncounted; log-ins and sign-ups have a limit of this process."""
    backend = build_backend(
        rate_limit="3/minute", auth_rate_limit="2/5minutes", rate_limit_storage="redis://127.0.0.1"
    )
    app = backend.app
    add_user(backend.store)
    before = decided("uncounted")
    ann, nobody = at(app, user_id="ann"), at(app)
    assert await statuses(ann, 5) == [200] * 5
    assert await statuses(nobody, 5) == [401] * 5
    assert "ratelimit" not in (await ann.get(PATH)).headers
    assert decided("uncounted") - before == 11
    assert [await log_in(app, OTHERWISE) for _ in range(3)] == [401, 401, 429]
    assert await log_in(app, ANN, CAFE) == 200
    assert decided("uncounted") - before == 15
    found = [await nobody.post(SIGN_UP, json=ANN) for _ in range(3)]
    assert [answer.status_code for answer in found] == [409, 409, 429]


# Whose request it is, as the network knows it

LIES: Final = (
    "1.2.3.4",
    "127.0.0.1",
    HOME,
    "::1",
    "2001:db8::7",
    "",
    " ",
    ",",
    ",,,,",
    "unknown",
    "1.2.3.4:80",
    "[2001:db8::1]:80",
    "[",
    "::ffff:1.2.3.4",
    "a, b, 1.2.3.4, ::",
    "for=1.2.3.4",
    "ä\xff",
    "1.2.3.4\t",
    "9" * 10_000,
    "1.2.3.4," * 1_250,
)
PROXIES: Final = {0: (), 1: (EVE,), 2: (EVE, "10.0.0.2")}
"""What the proxies append: whom each was called from."""


@pytest.mark.parametrize("proxies", PROXIES)
async def test_a_made_up_address_gains_nothing(proxies: int) -> None:
    """Whatever the first line says: three guesses in all, and with nobody else's address."""
    backend = serving(rate_limit="3/minute", auth_rate_limit="2/5minutes", trusted_proxies=proxies)
    app = backend.app
    add_user(backend.store)
    peer = "10.0.0.1" if proxies else EVE

    def lying(lie: str) -> httpx.AsyncClient:
        client = at(app, peer)
        sent = ", ".join((lie, *PROXIES[proxies])).encode("latin-1")
        client.headers = httpx.Headers([(b"X-Forwarded-For", sent)])
        return client

    for number, lie in enumerate(LIES):
        answer = await lying(lie).get(PATH)
        assert answer.status_code == (401 if number < 3 else 429), lie[:50]
    # The others, whose addresses were named, have all that is theirs.
    for address in (HOME, "1.2.3.4"):
        honest = ", ".join((address, *PROXIES[proxies][1:]))
        client = at(app, peer, X_Forwarded_For=honest) if proxies else at(app, address)
        assert await left(client) == 2


@pytest.mark.parametrize("proxies", PROXIES)
async def test_nor_does_it_in_signing_in(proxies: int) -> None:
    backend = serving(auth_rate_limit="2/5minutes", trusted_proxies=proxies)
    app = backend.app
    add_user(backend.store)
    peer = "10.0.0.1" if proxies else EVE
    found = [
        await log_in(
            app, OTHERWISE, peer, X_Forwarded_For=", ".join((f"198.51.100.{n}", *PROXIES[proxies]))
        )
        for n in range(10)
    ]
    assert found == [401] * 2 + [429] * 8


async def test_clients_behind_a_proxy_are_told_apart() -> None:
    app = serving(rate_limit="3/minute", trusted_proxies=1).app
    for address in (HOME, CAFE):
        assert await statuses(at(app, "10.0.0.1", X_Forwarded_For=address), 4) == [
            *(401, 401, 401, 429)
        ]


@pytest.mark.parametrize(
    "addresses",
    [
        (CAFE, f"{CAFE}:4711", f"{CAFE}:1", f"::ffff:{CAFE}", f"[::ffff:{CAFE}]:80"),
        ("2001:db8::1", "[2001:db8::2]:4711", "[2001:db8::3]", "2001:db8:0:0:ffff:ffff:ffff:ffff"),
    ],
)
async def test_one_client_however_a_proxy_writes_it(addresses: tuple[str, ...]) -> None:
    app = serving(rate_limit="3/minute", trusted_proxies=1).app
    found = [
        (await at(app, "10.0.0.1", X_Forwarded_For=f" {said} ").get(PATH)).status_code
        for said in addresses
    ]
    assert found == [401] * 3 + [429] * (len(addresses) - 3)


async def test_addresses_of_one_network_are_one_and_others_are_others(app: FastAPI) -> None:
    found = [await statuses(at(app, f"2001:db8:0:1:{n}::1"), 1) for n in range(5)]
    assert found == [[401]] * 3 + [[429]] * 2
    assert await left(at(app, "2001:db8:0:2::1")) == 2


async def test_clients_without_an_address_share_one(app: FastAPI) -> None:
    """As over a socket in the file system."""
    assert await statuses(at(app, None), 4) == [401, 401, 401, 429]


@pytest.mark.parametrize(
    ("proxies", "lines", "client"),
    [
        (1, ["1.1.1.1"], "1.1.1.1"),
        (1, ["2.2.2.2, 1.1.1.1"], "1.1.1.1"),
        (1, ["2.2.2.2", "1.1.1.1"], "1.1.1.1"),
        (1, ["1.1.1.1:80"], "1.1.1.1"),
        (1, ["[2001:db8::1]:80"], "2001:db8::1"),
        (1, ["2001:DB8::1"], "2001:db8::1"),
        (2, ["3.3.3.3, 1.1.1.1, 2.2.2.2"], "1.1.1.1"),
        (2, ["3.3.3.3", "1.1.1.1", "2.2.2.2"], "1.1.1.1"),
        (3, ["9.9.9.9, 1.1.1.1, 2.2.2.2, 3.3.3.3"], "1.1.1.1"),
        # Whoever comes past the first proxy, or says nonsense, is whom we see.
        (1, [], HOME),
        (2, ["1.1.1.1"], HOME),
        (3, ["1.1.1.1, 2.2.2.2"], HOME),
        (1, [""], HOME),
        (1, ["1.1.1.1, "], HOME),
        (1, ["1.1.1.1, unknown"], HOME),
        (1, ["1.1.1.1, 999.1.1.1"], HOME),
        (0, ["1.1.1.1"], HOME),
        (0, [], HOME),
    ],
)
def test_the_client_of_a_header(proxies: int, lines: list[str], client: str) -> None:
    """Without a network there is none."""
    forwarded = [line.encode() for line in lines]
    addresses = ForwardedFor(proxies)
    assert addresses(forwarded, HOME) == client
    if client == HOME:
        assert addresses(forwarded, None) is None


async def test_a_proxy_that_nobody_told_us_of_is_said_once(logged: Logged) -> None:
    def warnings() -> list[Any]:
        return [line for line in logged if line["event"] == "proxy_not_trusted"]

    # It is said once in the life of a process, which is what this test needs, too.
    silent = build_backend().app
    await at(silent).get(PATH)
    assert warnings() == []
    for _ in range(5):
        await at(silent, X_Forwarded_For="1.2.3.4").get("/livez")
    [line] = warnings()
    assert "TRUSTED_PROXIES" in line["hint"]
    await at(serving(trusted_proxies=1).app, X_Forwarded_For="1.2.3.4").get(PATH)
    assert len(warnings()) == 1
