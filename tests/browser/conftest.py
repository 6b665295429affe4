"""Fixtures: the running stack, Chromium, and a browser tab with the page."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.browser.front_end import FrontEnd
from tests.browser.stack import Stack, running_stack
from tests.interop.nodejs import node_modules
from tests.processes.service import running, tree
from tests.requirements import program
from tests.servers import PostgresServer
from tests.waiting import LIMIT_SECONDS, eventually

_MARKS: Final = ("node", "postgres", "process", "debian")
_ARGUMENTS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Chromium tries IPv6 first, and another program may listen there.
    "--host-resolver-rules=MAP localhost 127.0.0.1, MAP *.localhost 127.0.0.1,"
    " MAP *.example.co.uk 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_LIMIT_MS: Final = 1000 * LIMIT_SECONDS
_email_numbers: Final = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.nodeid:
            for mark in _MARKS:
                item.add_marker(mark)


@pytest.fixture(scope="session")
def chromium() -> Path:
    return program("chromium", "chromium")


@pytest.fixture(scope="session")
def stack(chromium: Path, postgres_18_server: PostgresServer) -> Iterator[Stack]:
    """The servers that all tests here share; each test signs up a user of its own."""
    node_modules()
    with postgres_18_server.database() as url, running_stack(url) as stack:
        yield stack


@pytest.fixture(scope="package")
async def browser(
    chromium: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """Chromium, with a home of its own; on exit, every process that it started has ended."""
    home = {"HOME": str(tmp_path_factory.mktemp("home"))}
    before = tree(os.getpid())
    expect.set_options(timeout=_LIMIT_MS)
    async with async_playwright() as playwright:
        drivers = tree(os.getpid()) - before
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=_ARGUMENTS,
            chromium_sandbox=os.geteuid() != 0,
            env={**os.environ, **home},
            timeout=_LIMIT_MS,
        )
        yield browser
        started = {pid for driver in drivers for pid in tree(driver)}
        await browser.close()
    eventually(lambda: not running(started))


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A fresh browser profile, without cookies or cache."""
    context = await browser.new_context(viewport={"width": 900, "height": 640})
    context.set_default_timeout(_LIMIT_MS)
    yield context
    await context.close()


@pytest.fixture
def email() -> str:
    """An e-mail address without an account."""
    return f"ada-{next(_email_numbers)}@example.com"


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder for screenshots: $TASKPORT_SCREENSHOTS, or a temporary one."""
    folder = Path(os.environ.get("TASKPORT_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
async def front_end(
    context: BrowserContext, stack: Stack, screenshots: Path
) -> AsyncIterator[FrontEnd]:
    """The page in a tab; the test fails if a script of the page raised an error."""
    front_end = FrontEnd(await context.new_page(), stack, screenshots)
    await front_end.open()
    yield front_end
    assert front_end.page_errors == []
