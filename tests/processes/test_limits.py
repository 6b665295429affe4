"""Rate limits of two workers that count in one Redis, and what they do while it is frozen."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

import httpx
import pytest

from tests import deadlines
from tests.interop.test_workers import workers_of
from tests.processes.service import SECRET, Environment, Service, new_home, signed_token
from tests.redis_server import RedisServer
from tests.servers import PostgresServer
from tests.waiting import eventually

pytestmark = [pytest.mark.postgres, pytest.mark.debian]

PATH: Final = "/api/tasks"
WRONG: Final = {"email": "nobody@example.com", "password": "a wrong password"}
LIMIT: Final = 300
THREADS: Final = 20
# Long enough that a loaded machine is not taken for an outage of Redis.
TIMEOUT_SECONDS: Final = 10.0
# If each request of a client waited for Redis in vain, that client would exceed every limit.
REQUESTS_PER_PHASE: Final = 50


@pytest.fixture(scope="module")
def settings(postgres_18_server: PostgresServer) -> Iterator[Environment]:
    """One database for all tests here; each test has users of its own."""
    with postgres_18_server.database() as url:
        timeout = {"adapters.redis.counters.TIMEOUT_SECONDS": TIMEOUT_SECONDS}
        yield {
            "DATABASE_URL": url,
            "BETTER_AUTH_SECRET": SECRET,
            "LOG_LEVEL": "info",
            **deadlines.environment({**deadlines.LIFTED, **timeout}),
        }


@contextmanager
def two_workers(settings: Environment, **more: str) -> Iterator[Service]:
    env = {**settings, **more}
    with new_home() as home, home.serving("--workers=2", "--no-migrate", env=env) as service:
        yield service


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    redis_server.ask("FLUSHALL")
    yield redis_server
    redis_server.resume()


@pytest.fixture(scope="module")
def pair(settings: Environment, redis_server: RedisServer) -> Iterator[Service]:
    limits = {
        "RATE_LIMIT": f"{LIMIT}/hour",
        "AUTH_RATE_LIMIT": "3/hour",
        "RATE_LIMIT_STORAGE": redis_server.url,
    }
    with two_workers(settings, **limits) as service:
        yield service


@pytest.fixture
def workers(pair: Service, server: RedisServer) -> Service:
    """Both workers count in Redis again, after whatever the test before has done."""
    settle(pair)
    return pair


def logged(service: Service, event: str) -> int:
    """How often the workers have logged an event."""
    return len(service.events(event))


def settle(service: Service) -> None:
    """Wait until both workers count in Redis."""
    eventually(
        lambda: logged(service, "redis_connected") == logged(service, "redis_unavailable") + 2
    )


def headers_of(user_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {signed_token(user_id)}"}


@contextmanager
def connected_to_both(service: Service) -> Iterator[list[tuple[httpx.Client, httpx.Client]]]:
    """Pairs of connections, one to each worker. Otherwise one worker might accept all of them."""
    with ExitStack() as stack:
        groups = []
        for other in workers_of(service.pid):
            os.kill(other, signal.SIGSTOP)
            try:
                group = [stack.enter_context(service.client()) for _ in range(THREADS)]
                assert all(client.get("/livez").is_success for client in group)
            finally:
                os.kill(other, signal.SIGCONT)
            groups.append(group)
        yield list(zip(*groups, strict=True))


def send(service: Service, user_id: str, count: int) -> list[httpx.Response]:
    """Send `count` requests of a user in parallel, half of them to each worker."""
    headers = headers_of(user_id)
    times = count // (2 * THREADS)

    def alternate(clients: tuple[httpx.Client, httpx.Client]) -> list[httpx.Response]:
        return [client.get(PATH, headers=headers) for _ in range(times) for client in clients]

    with connected_to_both(service) as pairs, ThreadPoolExecutor(THREADS) as threads:
        return [response for part in threads.map(alternate, pairs) for response in part]


def statuses(responses: list[httpx.Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


def test_thousand_requests_at_two_workers_are_counted_exactly(workers: Service) -> None:
    """As many as the limit allows succeed, and each of these reports another remainder."""
    responses = send(workers, "exact", 1000)
    assert statuses(responses) == {200: LIMIT, 429: 1000 - LIMIT}
    remainders = [
        int(response.headers["ratelimit"].split(";")[1].removeprefix("r="))
        for response in responses
        if response.status_code == 200
    ]
    assert sorted(remainders) == list(range(LIMIT))
    assert all(
        1 <= int(response.headers["retry-after"]) <= 3600
        for response in responses
        if response.status_code == 429
    )
    assert "counts for itself" not in workers.out


def test_requests_are_served_while_redis_is_frozen(workers: Service, server: RedisServer) -> None:
    """No request fails, and only the first ones wait for Redis. Log-ins keep a limit.

    Each worker logs the outage once, and counts in Redis again as soon as it responds.
    """
    has_ended, phase, served = threading.Event(), "before", Counter[tuple[str, int, int]]()
    connected, unavailable = (
        logged(workers, event) for event in ("redis_connected", "redis_unavailable")
    )

    def keep_sending(number: int, clients: tuple[httpx.Client, httpx.Client]) -> None:
        turns = 0
        while not has_ended.is_set():
            # Another user in time, so that none reaches the limit.
            headers = headers_of(f"user-{number}-{turns // 200}")
            turns += 1
            sent_in = phase
            status = clients[turns % 2].get(PATH, headers=headers).status_code
            served[sent_in, number, status] += 1

    def is_served() -> bool:
        return all(served[phase, number, 200] >= REQUESTS_PER_PHASE for number in range(4))

    with connected_to_both(workers) as pairs, ThreadPoolExecutor(4) as threads:
        clients = [threads.submit(keep_sending, number, pairs[number]) for number in range(4)]
        try:
            eventually(is_served)
            server.pause()
            phase = "frozen"
            eventually(is_served)
            eventually(lambda: logged(workers, "redis_unavailable") == unavailable + 2)
            log_ins = failed_log_ins(workers)
            server.resume()
            eventually(lambda: logged(workers, "redis_connected") == connected + 2)
            phase = "after"
            eventually(is_served)
        finally:
            has_ended.set()
        for client in clients:
            client.result()

    assert {status for _, _, status in served} == {200}
    # Once by each worker, and not at each attempt to connect.
    assert logged(workers, "redis_unavailable") == unavailable + 2
    assert log_ins == [401, 401, 401, 429]
    assert statuses(send(workers, "later", 2 * LIMIT)) == {200: LIMIT, 429: LIMIT}


def failed_log_ins(service: Service) -> list[int]:
    """The statuses of four failed log-ins on one connection, that is, in one worker."""
    with service.client() as client:
        return [client.post("/api/auth/login", json=WRONG).status_code for _ in range(4)]


def test_workers_share_failed_log_ins(workers: Service) -> None:
    with connected_to_both(workers) as [clients, *_]:
        found = [
            client.post("/api/auth/login", json=WRONG).status_code
            for _ in range(4)
            for client in clients
        ]
    assert found == [401] * 3 + [429] * 5


def test_workers_without_redis_count_separately(settings: Environment) -> None:
    """Each allows the whole limit, which `serve` prints when it starts."""
    with two_workers(settings, RATE_LIMIT=f"{LIMIT}/hour") as service:
        assert "each of the 2 workers counts for itself: set RATE_LIMIT_STORAGE" in service.out
        assert statuses(send(service, "bob", 1000)) == {200: 2 * LIMIT, 429: 1000 - 2 * LIMIT}


def test_service_starts_without_redis_and_connects_later(
    settings: Environment, server: RedisServer
) -> None:
    server.pause()
    limits = {"RATE_LIMIT": "2/hour", "RATE_LIMIT_STORAGE": server.url}
    with two_workers(settings, **limits) as service:
        assert statuses(send(service, "tom", 2 * THREADS)) == {200: 2 * THREADS}
        server.resume()
        eventually(lambda: logged(service, "redis_connected") == 2)
        assert statuses(send(service, "tom", 2 * THREADS)) == {200: 2, 429: 2 * THREADS - 2}
        assert logged(service, "redis_unavailable") == 2
        assert server.url not in service.err + service.out
