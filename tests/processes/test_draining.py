"""How a service leaves: unready first, then gone; and that it never keeps a watcher waiting."""

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
# Shorter than a test may wait, and longer.
DRAINING: Final = {**WITH_SECRET, "DRAIN_SECONDS": "1"}
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


def test_it_is_unready_while_it_drains(home: Home, serving: Serving) -> None:
    """Requests are still served, until a load balancer has seen it."""
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


def test_it_stops_when_it_has_drained(home: Home, serving: Serving) -> None:
    arguments, settings = serving
    with home.serving(*arguments, env={**settings, **DRAINING}) as service:
        started = time.monotonic()
        assert service.terminate() == 0
        assert time.monotonic() - started >= float(DRAINING["DRAIN_SECONDS"])
        assert service.problems == []


def test_a_request_at_the_end_is_answered(home: Home) -> None:
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
        # The last thing that it did is in its log.
        assert '"route":"/api/tasks","status":201' in service.err


def test_whoever_gets_in_is_answered(home: Home) -> None:
    """Clients come all the time, each with a connection of its own, and the service stops."""
    token, body = signed_token(), b'{"title":"in time"}'
    request = (
        "POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    received: list[bytes] = []
    with home.serving("--memory", env={**WITH_SECRET, **deadlines.environment()}) as service:

        def connect_again_and_again() -> None:
            while True:
                try:
                    connection = service.connect()
                except ConnectionError:
                    return
                with connection:
                    connection.sendall(request)
                    received.append(connection.recv(12))

        with ThreadPoolExecutor(6) as threads:
            clients = [threads.submit(connect_again_and_again) for _ in range(6)]
            eventually(lambda: len(received) > 50)
            service.process.terminate()
            for client in clients:
                client.result()
        assert set(received) == {b"HTTP/1.1 201"}
        assert service.wait() == 0


@pytest.mark.postgres
def test_nobody_holds_the_door_open(home: Home, database_url: str) -> None:
    """Not even the parent of the workers, who lets nobody in."""
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


def test_a_second_signal_ends_it_at_once(home: Home, serving: Serving) -> None:
    """As from a supervisor, or somebody, who has no more patience."""
    arguments, settings = serving
    with home.serving(*arguments, env={**settings, **FOR_LONG}) as service:
        family = tree(service.pid)
        service.process.terminate()
        eventually(lambda: not is_ready(service))
        service.process.terminate()
        service.wait()
        eventually(lambda: not running(family))


def test_control_c_ends_it_at_once(home: Home, serving: Serving) -> None:
    """In a terminal, where all of its processes get the signal."""
    arguments, settings = serving
    with home.serving(*arguments, env={**settings, **FOR_LONG}) as service:
        family = tree(service.pid)
        os.killpg(service.pid, signal.SIGINT)
        service.wait()
        eventually(lambda: not running(family))


def test_control_c_cuts_draining_short(home: Home, serving: Serving) -> None:
    arguments, settings = serving
    with home.serving(*arguments, env={**settings, **FOR_LONG}) as service:
        family = tree(service.pid)
        service.process.terminate()
        eventually(lambda: not is_ready(service))
        os.killpg(service.pid, signal.SIGINT)
        service.wait()
        eventually(lambda: not running(family))


def test_by_default_it_stops_at_once(home: Home, serving: Serving) -> None:
    arguments, settings = serving
    with home.serving(*arguments, env={**settings, **WITH_SECRET}) as service:
        service.process.terminate()
        service.wait()


@pytest.mark.postgres
@pytest.mark.parametrize("workers", [1, 2])
def test_readiness_has_a_deadline_of_its_own(home: Home, database_url: str, workers: int) -> None:
    """It responds whether the database is frozen, or cut off, or comes back.

    All other deadlines are lifted: without its own, a response would not come at all.
    """
    ready_seconds = {**deadlines.LIFTED, "adapters.http.health.READY_SECONDS": 0.5}
    with proxy_of(database_url) as (do, url):
        settings = {"DATABASE_URL": url, **WITH_SECRET, **deadlines.environment(ready_seconds)}
        with home.serving(f"--workers={workers}", env=settings) as service:
            do(Proxy.freeze)
            with ThreadPoolExecutor(8) as threads:
                paths = ("/readyz", "/health/db") * 4
                responses = list(threads.map(lambda path: service.request("GET", path), paths))
            assert {response.status_code for response in responses} == {503}
            assert service.responds("/livez")
            # As if the network dropped all packets: connections are not even refused.
            do(Proxy.reset)
            assert not is_ready(service)
            do(Proxy.thaw)
            eventually(lambda: service.responds("/readyz"))


@contextmanager
def proxy_of(url: str) -> Iterator[tuple[Callable[[Callable[[Proxy], None]], None], str]]:
    """A proxy that runs while the test waits: what does something to it, and the URL through it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    through = proxied(url)

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    async def done(what: Callable[[Proxy], None]) -> None:
        what(proxy)

    try:
        proxy, proxied_url = run(through.__aenter__())
        yield lambda what: run(done(what)), proxied_url
        run(through.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
