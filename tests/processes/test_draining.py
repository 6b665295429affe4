"""Draining: readiness fails first, then the service stops; and readiness responds in time."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests import deadlines
from tests.adapters.proxy import Proxy, proxied
from tests.processes.service import (
    SECRET,
    Environment,
    Home,
    Service,
    new_home,
    running,
    signed_token,
    tree,
)
from tests.waiting import eventually

WITH_SECRET: Final = {"BETTER_AUTH_SECRET": SECRET}
#: Shorter than a test may wait.
DRAINING: Final = {**WITH_SECRET, "DRAIN_SECONDS": "1"}
#: Longer than a test may wait.
FOR_LONG: Final = {**WITH_SECRET, "DRAIN_SECONDS": "300"}

Serving = tuple[tuple[str, ...], Environment]


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


@pytest.fixture(
    params=[
        "memory",
        pytest.param("one worker", marks=pytest.mark.postgres),
        pytest.param("two workers", marks=pytest.mark.postgres),
    ]
)
def serving(request: pytest.FixtureRequest) -> Serving:
    """The arguments of `taskport serve`, and settings."""
    if request.param == "memory":
        return ("--memory",), {}
    url = request.getfixturevalue("database_url")
    return ("--workers=2",) if request.param == "two workers" else (), {"DATABASE_URL": url}


def is_ready(service: Service) -> bool:
    return service.request("GET", "/readyz").status_code == 200


def test_readiness_fails_while_the_service_drains(home: Home, serving: Serving) -> None:
    """Requests are served until a load balancer has noticed it."""
    arguments, settings = serving
    token = signed_token()
    with home.serving(*arguments, env={**settings, **FOR_LONG}) as service:
        assert is_ready(service)
        service.process.terminate()
        eventually(lambda: not is_ready(service))
        unready = service.request("GET", "/readyz")
        assert unready.json()["error_code"] == "UNAVAILABLE"
        assert unready.headers["retry-after"].isdigit()
        for _ in range(10):
            # Each on a connection of its own, so that any worker may respond.
            assert not is_ready(service)
            assert service.responds("/livez")
            service.create(token, "while it drains")


def test_service_stops_once_it_has_drained(home: Home, serving: Serving) -> None:
    arguments, settings = serving
    with home.serving(*arguments, env={**settings, **DRAINING}) as service:
        started = time.monotonic()
        assert service.terminate() == 0
        assert time.monotonic() - started >= float(DRAINING["DRAIN_SECONDS"])
        assert service.problems == []


def test_last_request_gets_its_response(home: Home) -> None:
    env = {**DRAINING, **deadlines.environment()}
    with home.serving("--memory", env=env) as service:
        with service.holding(signed_token(), "late") as held:
            service.process.terminate()
            # It has drained, and waits for the last requests.
            eventually(lambda: not service.is_listening())
            assert not service.has_ended()
            status, _ = held.finish()
        assert status == 201
        service.wait()
        # Its line is in the log.
        assert '"route":"/api/tasks","status":201' in service.err


def test_accepted_connections_get_responses_on_shutdown(home: Home) -> None:
    """Clients connect continuously, for each request anew, while the service stops."""
    token, body = signed_token(), b'{"title":"in time"}'
    request = (
        "POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    received: list[bytes] = []
    with home.serving("--memory", env={**WITH_SECRET, **deadlines.environment()}) as service:

        def send_requests() -> None:
            while True:
                try:
                    connection = service.connect()
                except ConnectionError:
                    return
                with connection:
                    connection.sendall(request)
                    received.append(connection.recv(12))

        with ThreadPoolExecutor(6) as threads:
            clients = [threads.submit(send_requests) for _ in range(6)]
            eventually(lambda: len(received) > 50)
            service.process.terminate()
            for client in clients:
                client.result()
        assert set(received) == {b"HTTP/1.1 201"}
        assert service.wait() == 0


@pytest.mark.postgres
def test_port_is_closed_on_shutdown(home: Home, database_url: str) -> None:
    """The parent of the workers closes its listener as well."""
    settings = {"DATABASE_URL": database_url, **WITH_SECRET}
    with (
        home.serving("--workers=2", env={**settings, **deadlines.environment()}) as service,
        service.holding(signed_token(), "late") as held,
    ):
        service.process.terminate()
        eventually(lambda: not service.is_listening())
        assert not service.has_ended()
        status, _ = held.finish()
        assert status == 201
        service.wait()


def test_second_sigterm_stops_at_once(home: Home, serving: Serving) -> None:
    arguments, settings = serving
    with home.serving(*arguments, env={**settings, **FOR_LONG}) as service:
        family = tree(service.pid)
        service.process.terminate()
        eventually(lambda: not is_ready(service))
        service.process.terminate()
        service.wait()
        eventually(lambda: not running(family))


def test_control_c_stops_at_once(home: Home, serving: Serving) -> None:
    """In a terminal, all processes of the service get the signal."""
    arguments, settings = serving
    with home.serving(*arguments, env={**settings, **FOR_LONG}) as service:
        family = tree(service.pid)
        os.killpg(service.pid, signal.SIGINT)
        service.wait()
        eventually(lambda: not running(family))


def test_control_c_ends_draining(home: Home, serving: Serving) -> None:
    arguments, settings = serving
    with home.serving(*arguments, env={**settings, **FOR_LONG}) as service:
        family = tree(service.pid)
        service.process.terminate()
        eventually(lambda: not is_ready(service))
        os.killpg(service.pid, signal.SIGINT)
        service.wait()
        eventually(lambda: not running(family))


def test_default_is_not_to_drain(home: Home, serving: Serving) -> None:
    arguments, settings = serving
    with home.serving(*arguments, env={**settings, **WITH_SECRET}) as service:
        service.process.terminate()
        service.wait()


@pytest.mark.postgres
@pytest.mark.parametrize("workers", [1, 2])
def test_readiness_has_a_deadline_of_its_own(home: Home, database_url: str, workers: int) -> None:
    """It responds while the database does not respond or cannot be reached, and it recovers.

    All other deadlines are lifted: without its own, a response would not come at all.
    """
    ready_seconds = {**deadlines.LIFTED, "adapters.http.health.READY_SECONDS": 0.5}
    with proxy_of(database_url) as (apply, url):
        settings = {"DATABASE_URL": url, **WITH_SECRET, **deadlines.environment(ready_seconds)}
        with home.serving(f"--workers={workers}", env=settings) as service:
            apply(Proxy.freeze)
            with ThreadPoolExecutor(8) as threads:
                paths = ("/readyz", "/health/db") * 4
                responses = list(threads.map(lambda path: service.request("GET", path), paths))
            assert {response.status_code for response in responses} == {503}
            assert service.responds("/livez")
            # New connections are established, but get no response either.
            apply(Proxy.reset)
            assert not is_ready(service)
            apply(Proxy.thaw)
            eventually(lambda: service.responds("/readyz"))


@contextmanager
def proxy_of(url: str) -> Iterator[tuple[Callable[[Callable[[Proxy], None]], None], str]]:
    """A proxy on a thread of its own: a function that applies an action to it, and its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    context = proxied(url)

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    async def applied(action: Callable[[Proxy], None]) -> None:
        action(proxy)

    try:
        proxy, proxied_url = run(context.__aenter__())
        yield lambda action: run(applied(action)), proxied_url
        run(context.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
