"""Fixtures of all tests: a clean environment, captured logs, clocks, real servers."""

import asyncio
import logging
import math
import os
from collections.abc import Callable, Generator, Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from structlog.testing import capture_logs

from adapters.asgi import access_log
from adapters.logs.exceptions import drop_exception_messages
from adapters.logs.stdlib_bridge import StdlibBridge
from adapters.memory.counters import MemoryCounters
from application.sign_in_limits import SignInLimits
from tests import canaries, deadlines
from tests.redis_server import RedisServer, redis
from tests.servers import PostgresServer, postgres_15, postgres_18


def pytest_configure() -> None:
    """Ignore the settings of the shell and of a `.env` file, and search all logs for secrets."""
    from entrypoints.settings import Settings  # noqa: PLC0415

    Settings.model_config["env_file"] = None
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
    # pydantic-settings matches names in any case.
    for name in [n for n in os.environ if n.lower() in Settings.model_fields]:
        del os.environ[name]
    structlog.configure(
        processors=[drop_exception_messages, canaries.render, canaries.collect],
        cache_logger_on_first_use=False,
    )
    logging.getLogger().addHandler(StdlibBridge(logging.WARNING))
    # A loaded machine may take seconds for an example.
    settings.register_profile(
        "no deadline", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("no deadline")
    # Tests of rate limits set their own. All other requests come from one address, in a flood.
    os.environ.update(RATE_LIMIT="", AUTH_RATE_LIMIT="")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Fail a test that makes the service log a secret, or an error without its code or reason."""
    # The access log is written in batches: the rest must not reach the next test.
    access_log.flush()
    yield
    canaries.assert_sound_log()


@pytest.fixture(autouse=True)
def no_deadlines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine may take minutes for what real servers do in milliseconds."""
    if any(request.node.get_closest_marker(name) for name in ("postgres", "debian", "node")):
        deadlines.patch(monkeypatch)


LogEvents = list[MutableMapping[str, Any]]
NO_LIMITS = SignInLimits(MemoryCounters(), ())


@pytest.fixture
def log_events() -> Iterator[LogEvents]:
    """The events that are logged during the test."""
    with capture_logs() as events:
        yield events
    canaries.collect_events(events)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


class FixedClock:
    """A `Clock` that only `advance` moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


AdvanceTime = Callable[[float], None]


@pytest.fixture
async def advance_time(monkeypatch: pytest.MonkeyPatch) -> AdvanceTime:
    """Freeze the time of the event loop; the returned function advances it by some seconds."""
    loop = asyncio.get_running_loop()
    # A whole number: then half seconds add up without rounding errors.
    time = math.ceil(loop.time())
    advanced = 0.0

    def advance(seconds: float) -> None:
        nonlocal advanced
        advanced += seconds

    monkeypatch.setattr(loop, "time", lambda: time + advanced)
    return advance


@pytest.fixture(scope="session")
def postgres_18_server() -> Iterator[PostgresServer]:
    with postgres_18() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_15_server() -> Iterator[PostgresServer]:
    with postgres_15() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with redis() as server:
        yield server


@pytest.fixture
def database_url(postgres_18_server: PostgresServer) -> Iterator[str]:
    """A migrated database for one test."""
    with postgres_18_server.database() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_18_server: PostgresServer) -> Iterator[str]:
    """An empty database for one test."""
    with postgres_18_server.database(template="template0") as url:
        yield url


@pytest.fixture
def database_15_url(postgres_15_server: PostgresServer) -> Iterator[str]:
    with postgres_15_server.database() as url:
        yield url
