"""A stage, a Chromium, and somebody who opens the page."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.browser.front_end import FrontEnd
from tests.browser.stage import Stage, staged
from tests.interop.nodejs import node_modules
from tests.processes.service import running, tree
from tests.requirements import program
from tests.servers import PostgresServer
from tests.waiting import LIMIT_SECONDS, eventually

_MARKS: Final = ("node", "postgres", "process", "debian")
_QUIET: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # It would try IPv6 first, where somebody else may listen.
    "--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_LIMIT_MS: Final = 1000 * LIMIT_SECONDS
_numbers: Final = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.nodeid:
            for mark in _MARKS:
                item.add_marker(mark)


@pytest.fixture(scope="session")
def chromium() -> Path:
    return program("chromium", "chromium")


@pytest.fixture(scope="session")
def stage(chromium: Path, postgres_18_server: PostgresServer) -> Iterator[Stage]:
    """One for all tests here: they are told apart by their users."""
    node_modules()
    with postgres_18_server.database() as url, staged(url) as stage:
        yield stage


@pytest.fixture(scope="package")
async def browser(
    chromium: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """A real one, which leaves nothing behind: neither processes nor files in a home."""
    home = {"HOME": str(tmp_path_factory.mktemp("home"))}
    before = tree(os.getpid())
    expect.set_options(timeout=_LIMIT_MS)
    async with async_playwright() as playwright:
        drivers = tree(os.getpid()) - before
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=_QUIET,
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
    """A browser that has never been anywhere."""
    context = await browser.new_context(viewport={"width": 900, "height": 640})
    context.set_default_timeout(_LIMIT_MS)
    yield context
    await context.close()


@pytest.fixture
def email() -> str:
    """An address that nobody has."""
    return f"ada-{next(_numbers)}@example.com"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The folder for screenshots, which $TASKPORT_SCREENSHOTS names."""
    folder = Path(os.environ.get("TASKPORT_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
async def front_end(
    context: BrowserContext, stage: Stage, pictures: Path
) -> AsyncIterator[FrontEnd]:
    """The page in a tab."""
    front_end = FrontEnd(await context.new_page(), stage, pictures)
    await front_end.open()
    yield front_end
    assert front_end.complaints == []
