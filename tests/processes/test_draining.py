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
DRAINING: Final = {**WITH_SECRET, "DRAIN_SECONDS": "2"}
FOR_LONG: Final = {**WITH_SECRET, "DRAIN_SECONDS": "60"}
# What uvicorn and Python need to end, on a machine that is busy.
SOON: Final = 8.0

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


def test_it_is_unready_before_it_stops(home: Home, serving: Serving) -> None:
    """Whoever is sent there all the same is served, until a load balancer has seen it."""
    arguments, settings = serving
    token = signed_token()
    with home.serving(*arguments, env={**settings, **DRAINING}) as service:
        assert is_ready(service)
        started = time.monotonic()
        service.process.terminate()
        # The parent of several workers looks for signals twice a second.
        eventually(lambda: not is_ready(service))
        refused = service.request("GET", "/readyz")
        assert refused.json()["error_code"] == "UNAVAILABLE"
        assert refused.headers["retry-after"].isdigit()
        while time.monotonic() - started < 1.5:
            # Each on a connection of its own, and any worker may answer.
            assert not is_ready(service)
            assert service.responds("/livez")
            service.create(token, "while it drains")
        assert service.wait() == 0
        assert 2 <= time.monotonic() - started < 2 + SOON
        assert service.problems == []


def test_a_request_at_the_end_is_answered(home: Home) -> None:
    with home.serving("--memory", env=DRAINING) as service:
        with service.holding(signed_token(), "late") as held:
            service.process.terminate()
            time.sleep(2.5)
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
    with home.serving("--memory", env=WITH_SECRET) as service:

        def come_again_and_again(_: int) -> list[bytes]:
            said: list[bytes] = []
            while True:
                try:
                    connection = service.connect()
                except ConnectionError:
                    return said
                with connection:
                    connection.sendall(request)
                    said.append(connection.recv(12))

        with ThreadPoolExecutor(6) as threads:
            coming = threads.map(come_again_and_again, range(6))
            time.sleep(0.3)
            service.process.terminate()
            said = [line for lines in coming for line in lines]
        assert len(said) > 50
        assert set(said) == {b"HTTP/1.1 201"}
        assert service.wait() == 0


@pytest.mark.postgres
def test_nobody_holds_the_door_open(home: Home, database_url: str) -> None:
    """Not even the parent of the workers, who lets nobody in."""
    settings = {"DATABASE_URL": database_url, **WITH_SECRET}
    with (
        home.serving("--workers=2", env=settings) as service,
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
def test_readiness_is_answered_in_two_seconds(home: Home, database_url: str, workers: int) -> None:
    """Whatever the database does: it is frozen, or cut off, or comes back."""
    with proxy_of(database_url) as (do, url):
        settings = {"DATABASE_URL": url, **WITH_SECRET}
        with home.serving(f"--workers={workers}", env=settings) as service:
            do(Proxy.freeze)
            with ThreadPoolExecutor(8) as threads:
                paths = ("/readyz", "/health/db") * 4
                for status, seconds in threads.map(lambda path: timed(service, path), paths):
                    assert status == 503
                    assert seconds < 2
            status, seconds = timed(service, "/livez")
            assert (status, seconds < 1) == (200, True)
            # As where the network drops whatever is sent: nobody even refuses.
            do(Proxy.reset)
            status, seconds = timed(service, "/readyz")
            assert (status, seconds < 2) == (503, True)
            do(Proxy.thaw)
            eventually(lambda: service.responds("/readyz"))


def timed(service: Service, path: str) -> tuple[int, float]:
    """The status of an answer, and how long it took, the connection included."""
    started = time.monotonic()
    with service.client() as client:
        # To make a client takes long where several threads do so.
        started = time.monotonic()
        status = client.get(path).status_code
    return status, time.monotonic() - started


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
