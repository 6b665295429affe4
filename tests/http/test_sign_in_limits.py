"""Rate limits of log-ins and sign-ups over HTTP."""

import asyncio

import pytest

from tests.conftest import AdvanceTime, LogEvents
from tests.http.api import LOG_IN, LOGIN, SIGN_UP, TASKS, WRONG_LOGIN
from tests.http.backend import build_backend
from tests.http.client import ORIGIN, error_of
from tests.http.credentials import set_cookies_of
from tests.http.limited import (
    CAFE,
    HOME,
    TOO_MANY,
    LimitedBackend,
    client_at,
    get_statuses,
    limited_backend,
    log_in,
)
from tests.http.metrics import limit_decisions
from tests.http.rows import add_user, snapshot


@pytest.fixture
def backend() -> LimitedBackend:
    """Two failed log-ins and two sign-ups per five minutes; Ann has an account."""
    backend = limited_backend(auth_rate_limit="2/5minutes")
    add_user(backend.store)
    return backend


async def test_failed_log_ins(backend: LimitedBackend, advance_time: AdvanceTime) -> None:
    """Over the limit no password is hashed, whether right or wrong. Other addresses can log in."""
    assert [await log_in(backend.app, WRONG_LOGIN) for _ in range(2)] == [401, 401]
    assert len(backend.passwords.hashed) == 2
    advance_time(99.5)
    for body in (LOGIN, WRONG_LOGIN, {**LOGIN, "email": "unknown@example.com"}):
        response = await client_at(backend.app, HOME, Origin=ORIGIN).post(LOG_IN, json=body)
        assert error_of(response) == TOO_MANY
        assert response.headers["retry-after"] == "201"
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert set_cookies_of(response) == []
    assert len(backend.passwords.hashed) == 2
    assert await log_in(backend.app, LOGIN, CAFE) == 200
    advance_time(200.5)
    assert await log_in(backend.app, LOGIN) == 200


async def test_rejected_log_in_does_not_report_the_request_limit() -> None:
    """Its remaining requests would contradict `Retry-After`."""
    backend = limited_backend(auth_rate_limit="1/5minutes", rate_limit="100/minute")
    client = client_at(backend.app, HOME)
    first, second = [await client.post(LOG_IN, json=WRONG_LOGIN) for _ in range(2)]
    assert (first.status_code, "ratelimit" in first.headers) == (401, True)
    assert error_of(second) == TOO_MANY
    assert not {"ratelimit", "ratelimit-policy"} & set(second.headers)


async def test_credential_stuffing_does_not_lock_the_owner_out(backend: LimitedBackend) -> None:
    """After guesses from many networks, the owner can still log in from another one."""
    guesses = [await log_in(backend.app, WRONG_LOGIN, f"198.51.100.{n}") for n in range(12)]
    assert guesses == [401] * 12
    repeated = [await log_in(backend.app, LOGIN, f"198.51.100.{n}") for n in range(12)]
    assert repeated == [429] * 12
    for _ in range(5):
        assert await log_in(backend.app, LOGIN) == 200
    # One failure, and the owner's network is limited like any other.
    assert [await log_in(backend.app, WRONG_LOGIN), await log_in(backend.app, LOGIN)] == [401, 429]
    assert await log_in(backend.app, LOGIN, CAFE) == 200


async def test_email_counts_case_insensitively(backend: LimitedBackend) -> None:
    for n, email in enumerate(("ANN@example.com", "Ann@Example.COM")):
        assert await log_in(backend.app, {**WRONG_LOGIN, "email": email}, f"198.51.100.{n}") == 401
    assert await log_in(backend.app, WRONG_LOGIN, "198.51.100.1") == 429


async def test_unknown_email_counts_like_a_known_one(backend: LimitedBackend) -> None:
    """Otherwise the limit would reveal which accounts exist."""
    for email in ("ann@example.com", "unknown@example.com"):
        body, address = {**WRONG_LOGIN, "email": email}, f"198.51.100.{len(email)}"
        assert [await log_in(backend.app, body, address) for _ in range(3)] == [401, 401, 429]


async def test_only_wrong_passwords_count(backend: LimitedBackend) -> None:
    store = backend.store
    add_user(store, "bob", banned=True)
    add_user(store, "tom", has_second_factor=True)
    for _ in range(5):
        assert await log_in(backend.app, LOGIN) == 200
        assert await log_in(backend.app, {**LOGIN, "email": "bob@example.com"}) == 403
        assert await log_in(backend.app, {**LOGIN, "email": "tom@example.com"}) == 403
        assert await log_in(backend.app, {**LOGIN, "email": "no address"}) == 422
        assert await log_in(backend.app, {**LOGIN, "password": "x" * 129}) == 422
    assert [await log_in(backend.app, WRONG_LOGIN) for _ in range(3)] == [401, 401, 429]


async def test_concurrent_guesses(backend: LimitedBackend) -> None:
    guesses = [log_in(backend.app, WRONG_LOGIN) for _ in range(30)]
    assert sorted(await asyncio.gather(*guesses)) == [401] * 2 + [429] * 28
    assert len(backend.passwords.hashed) == 2


async def test_cross_site_log_ins_do_not_count(backend: LimitedBackend) -> None:
    """They are rejected before failures are counted."""
    cross_site = client_at(backend.app, Origin="https://evil.example")
    for _ in range(5):
        assert (await cross_site.post(LOG_IN, json=WRONG_LOGIN)).status_code == 403
    assert await log_in(backend.app, LOGIN) == 200


async def test_sign_ups(backend: LimitedBackend, advance_time: AdvanceTime) -> None:
    """Each counts, even with a taken email: otherwise a caller could probe for accounts."""
    client, store = client_at(backend.app), backend.store
    assert (await client.post(SIGN_UP, json=LOGIN)).status_code == 409
    assert (await client.post(SIGN_UP, json={**LOGIN, "email": "no"})).status_code == 422
    new = {**LOGIN, "email": "new@example.com"}
    assert (await client.post(SIGN_UP, json=new)).status_code == 201
    before, hashes = snapshot(store), len(backend.passwords.hashed)
    advance_time(299)
    for email in ("ann@example.com", "newer@example.com"):
        response = await client.post(SIGN_UP, json={**LOGIN, "email": email})
        assert error_of(response) == TOO_MANY
        assert response.headers["retry-after"] == "1"
        assert set_cookies_of(response) == []
    assert (snapshot(store), len(backend.passwords.hashed)) == (before, hashes)
    newer = {**LOGIN, "email": "newer@example.com"}
    assert (await client_at(backend.app, CAFE).post(SIGN_UP, json=newer)).status_code == 201
    assert await log_in(backend.app, LOGIN) == 200


async def test_rejected_sign_ins_are_counted_and_logged(
    backend: LimitedBackend, log_events: LogEvents
) -> None:
    def counts() -> list[float]:
        limits = ("log_ins", "sign_ups")
        return [
            limit_decisions(limit, decision)
            for limit in limits
            for decision in ("allowed", "refused")
        ]

    before = counts()
    for _ in range(3):
        await log_in(backend.app, WRONG_LOGIN)
        await client_at(backend.app).post(SIGN_UP, json=LOGIN)
    assert [new - old for new, old in zip(counts(), before, strict=True)] == [2, 1, 2, 1]
    lines = [line for line in log_events if line["event"] == "limit_reached"]
    assert [(line["limit"], line["address"]) for line in lines] == [
        ("log_ins", HOME),
        ("sign_ups", HOME),
    ]
    assert "ann@" not in str(lines)


async def test_redis_is_unavailable(log_events: LogEvents) -> None:
    """Requests are not limited; each process limits log-ins and sign-ups for itself."""
    backend = build_backend(
        rate_limit="3/minute", auth_rate_limit="2/5minutes", rate_limit_storage="redis://127.0.0.1"
    )
    app = backend.app
    add_user(backend.store)
    before = limit_decisions("requests", "uncounted")
    ann, anonymous = client_at(app, user_id="ann"), client_at(app)
    assert await get_statuses(ann, 5) == [200] * 5
    assert await get_statuses(anonymous, 5) == [401] * 5
    assert "ratelimit" not in (await ann.get(TASKS)).headers
    assert limit_decisions("requests", "uncounted") - before == 11
    assert [await log_in(app, WRONG_LOGIN) for _ in range(3)] == [401, 401, 429]
    assert await log_in(app, LOGIN, CAFE) == 200
    assert limit_decisions("requests", "uncounted") - before == 15
    responses = [await anonymous.post(SIGN_UP, json=LOGIN) for _ in range(3)]
    assert [response.status_code for response in responses] == [409, 409, 429]
