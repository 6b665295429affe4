"""What all tests share: a clean environment, users, clocks, and real servers where asked for."""

import asyncio
import logging
import math
import os
from collections.abc import Callable, Generator, Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from adapters.asgi import access_log
from adapters.logs.exceptions import drop_exception_messages
from adapters.logs.stdlib_bridge import StdlibBridge
from adapters.memory.counters import MemoryCounters
from application.limits import SignInLimits
from tests import canaries
from tests.redis_server import RedisServer, redis
from tests.servers import PostgresServer, postgres_15, postgres_18


def pytest_configure() -> None:
    """No setting of the shell, and no `.env` of the folder, may decide what is tested."""
    from entrypoints.settings import Settings  # noqa: PLC0415

    Settings.model_config["env_file"] = None
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
    # pydantic-settings matches names in any case.
    for name in [n for n in os.environ if n.lower() in Settings.model_fields]:
        del os.environ[name]
    structlog.configure(
        processors=[drop_exception_messages, canaries.as_line, canaries.keep],
        cache_logger_on_first_use=False,
    )
    logging.getLogger().addHandler(StdlibBridge(logging.WARNING))
    # Who tests a limit sets it. All the others come from one address, and come often.
    os.environ.update(RATE_LIMIT="", AUTH_RATE_LIMIT="")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Fail a test that makes the service log a secret."""
    # The access log is written in batches: the rest must not reach the next test.
    access_log.flush()
    yield
    canaries.refuse_in_what_was_said()


Logged = list[MutableMapping[str, Any]]
NO_LIMITS = SignInLimits(MemoryCounters(), ())


@pytest.fixture
def logged() -> Iterator[Logged]:
    """What is logged, event by event."""
    with capture_logs() as events:
        yield events
    canaries.keep_events(events)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


class FixedClock:
    """A `Clock` that moves when it is told to."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


Skip = Callable[[float], None]


@pytest.fixture
async def skip(monkeypatch: pytest.MonkeyPatch) -> Skip:
    """The event loop's time stands still, and moves by what is skipped."""
    loop = asyncio.get_running_loop()
    # A whole number, so that halves of seconds add up without a remainder.
    time = math.ceil(loop.time())
    skipped = 0.0

    def jump(seconds: float) -> None:
        nonlocal skipped
        skipped += seconds

    monkeypatch.setattr(loop, "time", lambda: time + skipped)
    return jump


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
    """A migrated database of the test's own."""
    with postgres_18_server.database() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_18_server: PostgresServer) -> Iterator[str]:
    """A database of the test's own with nothing in it."""
    with postgres_18_server.database(template="template0") as url:
        yield url


@pytest.fixture
def database_15_url(postgres_15_server: PostgresServer) -> Iterator[str]:
    with postgres_15_server.database() as url:
        yield url
