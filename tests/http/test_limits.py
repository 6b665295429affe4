"""Rate limits over HTTP: what counts for which user or address, and the headers."""

import asyncio
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from adapters.asgi.request_record import PROBE_PATHS
from adapters.memory.store import MemoryStore
from domain.users import UserRepository
from tests.conftest import AdvanceTime, LogEvents
from tests.http.api import LOG_IN, LOG_OUT, LOGIN, ME, SESSIONS, SIGN_UP, TASK, TASKS, WRONG_LOGIN
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, error_of
from tests.http.credentials import bearer, cookie_of, set_cookies_of
from tests.http.fakes import UnavailableUsers
from tests.http.limited import (
    ATTACKER,
    CAFE,
    HOME,
    TOO_MANY,
    LimitedBackend,
    client_at,
    get_statuses,
    limited_backend,
    log_in,
    remaining,
)
from tests.http.metrics import limit_decisions
from tests.http.rows import add_session, add_user, snapshot

PREFLIGHT: Final = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


@pytest.fixture
def backend() -> LimitedBackend:
    """Three requests per minute; log-ins are not limited."""
    return limited_backend(rate_limit="3/minute")


# Headers


async def test_headers_of_each_response(app: FastAPI, advance_time: AdvanceTime) -> None:
    ann = client_at(app, user_id="ann")
    for number, (t, after) in enumerate([(60, 20.5), (40, 39), (1, 0.5), (60, 0)]):
        response = await ann.get(TASKS)
        assert response.status_code == 200
        assert response.headers["ratelimit-policy"] == '"60s";q=3;w=60'
        assert response.headers["ratelimit"] == f'"60s";r={2 - number % 3};t={t}'
        assert "retry-after" not in response.headers
        advance_time(after)


async def test_several_limits_in_one_header(advance_time: AdvanceTime) -> None:
    """And each of them is enforced."""
    ann = client_at(limited_backend(rate_limit="2/second; 3/minute").app, user_id="ann")
    response = await ann.get(TASKS)
    assert response.headers["ratelimit-policy"] == '"1s";q=2;w=1, "60s";q=3;w=60'
    assert response.headers["ratelimit"] == '"1s";r=1;t=1, "60s";r=2;t=60'
    assert await get_statuses(ann, 2) == [200, 429]
    advance_time(1)
    # The third in a second was the third in this minute as well.
    response = await ann.get(TASKS)
    assert (response.status_code, response.headers["retry-after"]) == (429, "59")
    assert response.headers["ratelimit"] == '"1s";r=1;t=1, "60s";r=0;t=59'


async def test_request_over_the_limit(
    app: FastAPI, store: MemoryStore, advance_time: AdvanceTime
) -> None:
    """The rejection is a regular error, with headers that pages of the front end can read."""
    ann = client_at(app, user_id="ann", Origin=ORIGIN)
    assert await get_statuses(ann, 3) == [200] * 3
    advance_time(19.5)
    for method, path in (("GET", TASKS), ("POST", TASKS), ("GET", TASKS + "/7"), ("GET", ME)):
        response = await ann.request(method, path, json=TASK if method == "POST" else None)
        assert error_of(response) == TOO_MANY
        assert response.headers["retry-after"] == "41"
        assert response.headers["ratelimit"] == '"60s";r=0;t=41'
        assert response.headers["ratelimit-policy"] == '"60s";q=3;w=60'
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert {"retry-after", "ratelimit", "ratelimit-policy"} <= set(
            response.headers["access-control-expose-headers"].lower().split(", ")
        )
        body = response.json()
        assert body["request_id"] == response.headers["x-request-id"]
        assert (body["details"], body["title"]) == ({}, "Too Many Requests")
    assert store.tasks == {}
    advance_time(40.5)
    assert await get_statuses(ann, 4) == [200, 200, 200, 429]


async def test_retry_after_is_at_least_one_second(app: FastAPI, advance_time: AdvanceTime) -> None:
    ann = client_at(app, user_id="ann")
    await get_statuses(ann, 3)
    advance_time(59.999)
    assert (await ann.get(TASKS)).headers["retry-after"] == "1"


async def test_concurrent_requests(app: FastAPI) -> None:
    ann, anonymous = client_at(app, user_id="ann"), client_at(app)
    for client, success in ((ann, 200), (anonymous, 401)):
        responses = await asyncio.gather(*(client.get(TASKS) for _ in range(20)))
        assert sorted(response.status_code for response in responses) == [success] * 3 + [429] * 17


async def test_no_headers_without_a_limit() -> None:
    before = limit_decisions("requests", "uncounted")
    app = limited_backend().app
    for client in (client_at(app), client_at(app, user_id="ann")):
        response = await client.get(TASKS)
        assert not {"ratelimit", "ratelimit-policy"} & set(response.headers)
    assert await log_in(app, WRONG_LOGIN) == 401
    assert limit_decisions("requests", "uncounted") == before


async def test_decisions_are_counted_and_rejections_logged_once(
    app: FastAPI, log_events: LogEvents
) -> None:
    def counts() -> list[float]:
        return [limit_decisions("requests", decision) for decision in ("allowed", "refused")]

    before = counts()
    await get_statuses(client_at(app, user_id="ann"), 8)
    assert [new - old for new, old in zip(counts(), before, strict=True)] == [3, 5]
    [line] = [line for line in log_events if line["event"] == "limit_reached"]
    assert (line["limit"], line["user_id"], line["address"]) == ("requests", "ann", HOME)
    assert line["log_level"] == "warning"


# Counting by user and by address


async def test_user_counts_at_every_address(backend: Backend, app: FastAPI) -> None:
    """With every credential. Two users at one address count apart."""
    session = add_session(backend.store, add_user(backend.store, "ann").id)
    assert await get_statuses(client_at(app, HOME, "ann"), 1) == [200]
    by_cookie = client_at(app, CAFE, **dict(cookie_of(session)))
    by_session = client_at(app, ATTACKER, **dict(bearer(session.token)))
    assert await get_statuses(by_cookie, 1) + await get_statuses(by_session, 2) == [200, 200, 429]
    assert await get_statuses(client_at(app, HOME, "bob"), 4) == [200, 200, 200, 429]


async def test_user_is_not_limited_by_the_address(app: FastAPI) -> None:
    """Nor do requests of a user count for the address."""
    ann, anonymous = client_at(app, HOME, "ann"), client_at(app, HOME)
    assert await get_statuses(ann, 1) == [200]
    assert await get_statuses(anonymous, 4) == [401, 401, 401, 429]
    # Errors of a user count for the user.
    assert (await ann.get(TASKS + "/7")).status_code == 404
    assert (await ann.get(TASKS, params={"page": "x"})).status_code == 422
    assert error_of(await ann.get(TASKS)) == TOO_MANY


async def test_anonymous_requests_count_for_the_address(app: FastAPI) -> None:
    """Each once, whatever the response is."""
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/nowhere", {}),
        ("GET", "/health/", {}),
        ("GET", "/metrics/x", {}),
        ("HEAD", TASKS, {}),
        ("GET", TASKS, {}),
        ("GET", TASKS, {"headers": {"Authorization": "Bearer forged"}}),
        ("POST", TASKS, {"content": b"{"}),
        ("POST", TASKS, {"content": b"x" * 70_000}),
        ("TRACE", TASKS, {}),
        ("PUT", "/api/auth/login", {}),
        ("GET", "/docs", {}),
        ("HEAD", "/docs/start.js", {}),
        ("GET", "/docs/nothing", {}),
        ("POST", LOG_IN, {"json": {}}),
        ("POST", LOG_IN, {"json": LOGIN, "headers": {"Origin": "https://evil.example"}}),
        ("OPTIONS", TASKS, {}),
        ("OPTIONS", TASKS, {"headers": {"Origin": ORIGIN}}),
        ("OPTIONS", TASKS, {"headers": {"Access-Control-Request-Method": "POST"}}),
    ]
    for number, (method, path, kwargs) in enumerate(requests):
        anonymous = client_at(app, f"198.51.100.{number}")
        first = await anonymous.request(method, path, **kwargs)
        assert first.status_code != 429
        assert first.headers["ratelimit"].startswith('"60s";r=2;'), (method, path)
        assert await remaining(anonymous) == 1
        await anonymous.get("/nowhere")
        last = await anonymous.request(method, path, **kwargs)
        assert last.status_code == 429, (method, path)
        assert last.headers["ratelimit"].startswith('"60s";r=0;')
        # The document is expensive to build, which makes it a target for floods.
        assert error_of(await anonymous.get("/openapi.json")) == TOO_MANY


async def test_probes_and_preflights_do_not_count(app: FastAPI) -> None:
    """Monitoring polls often, and a preflight comes before a counted request."""
    anonymous, ann = client_at(app), client_at(app, user_id="ann")
    for client in (anonymous, ann):
        for path in sorted(PROBE_PATHS):
            for method, status in (("GET", 200), ("HEAD", 200), ("POST", 405)):
                response = await client.request(method, path)
                assert response.status_code == status
                assert not {"ratelimit", "ratelimit-policy"} & set(response.headers)
    for origin, status in ((ORIGIN, 200), ("https://evil.example", 403)):
        for _ in range(5):
            response = await anonymous.options(TASKS, headers={**PREFLIGHT, "Origin": origin})
            assert response.status_code == status
    assert await remaining(anonymous) == 2
    assert await remaining(ann, TASKS) == 2


def test_probe_paths() -> None:
    assert {"/health", "/health/db", "/livez", "/readyz", "/metrics"} == PROBE_PATHS


async def test_root_path_changes_nothing(app: FastAPI) -> None:
    """uvicorn puts it before the path of each request."""
    transport = httpx.ASGITransport(app, root_path="/backend")
    async with httpx.AsyncClient(transport=transport, base_url="http://test/backend") as client:
        for _ in range(5):
            response = await client.get("/livez")
            assert (response.status_code, "ratelimit" in response.headers) == (200, False)
            assert (await client.post("/livez")).status_code == 405
        assert [(await client.get(TASKS)).status_code for _ in range(4)] == [401, 401, 401, 429]


async def test_rejected_request_changes_nothing(backend: LimitedBackend) -> None:
    """Requests count before anything is done for them."""
    app, store = backend.app, backend.store
    add_user(store)
    session = add_session(store)
    anonymous, before = client_at(app), snapshot(store)
    for _ in range(3):
        await backend.service.request_limit.count_sign_in(HOME)
    responses = [
        await anonymous.post(LOG_IN, json=LOGIN),
        await anonymous.post(LOG_IN, json=WRONG_LOGIN),
        await anonymous.post(SIGN_UP, json={**LOGIN, "email": "new@example.com"}),
    ]
    for response in responses:
        assert error_of(response) == TOO_MANY
        assert set_cookies_of(response) == []
    assert backend.passwords.hashed == []
    ann = client_at(app, **dict(bearer(session.token)))
    await get_statuses(ann, 3)
    for method, path, body in (
        ("POST", TASKS, TASK),
        ("DELETE", f"{SESSIONS}/{session.id}", None),
        ("POST", LOG_OUT, None),
        ("PATCH", "/api/users/me", {"name": "x"}),
        ("DELETE", "/api/users/me", None),
    ):
        assert error_of(await ann.request(method, path, json=body)) == TOO_MANY
    assert snapshot(store) == before


async def test_log_ins_count_apart_from_other_requests(app: FastAPI, store: MemoryStore) -> None:
    """A page of another site can make its visitors send thousands of requests."""
    add_user(store)
    anonymous = client_at(app)
    assert await get_statuses(anonymous, 4) == [401, 401, 401, 429]
    assert (await anonymous.post(LOG_IN, json=LOGIN)).status_code == 200
    old_cookie = [("Cookie", "better-auth.session_token=forged")]
    response = await anonymous.post(LOG_OUT, headers=old_cookie)
    assert response.status_code == 204
    assert set_cookies_of(response) != []


async def test_unavailable_responses_do_not_count() -> None:
    """While the database is unavailable, clients are told to retry."""
    app = build_backend({UserRepository: UnavailableUsers()}, rate_limit="3/minute").app
    assert await get_statuses(client_at(app, user_id="ann"), 5) == [503] * 5
    assert await get_statuses(client_at(app), 3) == [401] * 3
