"""`/docs` in a real browser: it works without any other host, under whatever path it is put."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.processes.service import SECRET, Home, Service, new_home, signed_token

PREFIX: Final = "/backend"
ASSETS: Final = {
    "/docs",
    "/docs/swagger-ui.css",
    "/docs/swagger-ui-bundle.js",
    "/docs/start.js",
    "/openapi.json",
}


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


@pytest.fixture(params=["", PREFIX], ids=["at the root", "under a prefix"])
def origin(request: pytest.FixtureRequest, home: Home) -> Iterator[str]:
    """Where the service is reached, its prefix included."""
    settings = {"BETTER_AUTH_SECRET": SECRET, "API_ROOT_PATH": request.param}
    with home.serving("--memory", ready=False, env=settings) as service:
        if request.param:
            with stripping(service) as url:
                yield f"{url}{PREFIX}"
        else:
            yield service.url


@contextmanager
def stripping(service: Service) -> Iterator[str]:
    """A rewrite as a front end has it: what lies below the prefix goes on, without it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            with service.client() as client:
                wanted = {k: v for k, v in self.headers.items() if k.lower() == "authorization"}
                answer = client.get(self.path.removeprefix(PREFIX), headers=wanted)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@dataclass
class Seen:
    """What a page asked for, and what it had to complain about."""

    page: Page
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    async def refused(self) -> list[str]:
        """What its policy kept it from."""
        found: list[str] = await self.page.evaluate("window.refused")
        return found


@pytest.fixture
async def docs(context: BrowserContext, origin: str) -> Seen:
    seen = Seen(await context.new_page())
    seen.watch()
    await seen.page.add_init_script(
        "window.refused = []; document.addEventListener('securitypolicyviolation',"
        " event => window.refused.push(`${event.violatedDirective} ${event.blockedURI}`))"
    )
    await seen.page.goto(f"{origin}/docs")
    await expect(seen.page.locator(".opblock").first).to_be_visible()
    return seen


async def test_it_shows_every_operation(docs: Seen, origin: str, pictures: Path) -> None:
    answer = await docs.page.request.get(f"{origin}/openapi.json")
    paths = (await answer.json())["paths"]
    operations = sum(len(methods) for methods in paths.values())
    assert operations > 15
    await expect(docs.page.locator(".opblock")).to_have_count(operations)
    await expect(docs.page.locator("h1, h2").filter(has_text="Taskport").first).to_be_visible()
    name = "docs-prefix" if PREFIX in origin else "docs"
    await docs.page.screenshot(path=pictures / f"{name}.png")
    assert docs.said == []


async def test_it_asks_nobody_else(docs: Seen, origin: str) -> None:
    """And nothing is kept from it by its own policy."""
    # Open what brings in more of it: an operation, the schemas, the form for a credential.
    await docs.page.locator(".opblock-summary").first.click()
    await docs.page.get_by_role("button", name="Authorize").first.click()
    await docs.page.locator(".dialog-ux .btn-done").first.click()
    await docs.page.wait_for_load_state("networkidle")
    asked = [url for url in docs.asked if not url.startswith("data:")]
    assert {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in asked} == {
        origin.removesuffix(PREFIX)
    }
    prefix = PREFIX if PREFIX in origin else ""
    paths = {urlsplit(url).path.removeprefix(prefix) for url in asked}
    assert ASSETS <= paths <= ASSETS | {"/docs/favicon-32x32.png"}
    assert await docs.refused() == []
    assert docs.said == []


async def test_a_request_can_be_tried_out(docs: Seen, origin: str) -> None:
    """At the address where the page found the service."""
    block = docs.page.locator("#operations-health-livez")
    await block.locator(".opblock-summary").click()
    await block.get_by_role("button", name="Try it out").click()
    await block.get_by_role("button", name="Execute").click()
    await expect(
        block.locator(".live-responses-table tbody .response-col_status").first
    ).to_contain_text("200")
    await expect(block.locator(".request-url")).to_contain_text(f"{origin}/livez")
    assert f"{origin}/livez" in docs.asked
    assert await docs.refused() == []


async def test_a_credential_can_be_tried_out(docs: Seen, origin: str) -> None:
    """A bearer, which is sent along from then on."""
    await docs.page.get_by_role("button", name="Authorize").first.click()
    dialog = docs.page.locator(".dialog-ux")
    await dialog.locator("input").first.fill(signed_token())
    await dialog.get_by_role("button", name="Apply credentials").first.click()
    await dialog.locator(".btn-done").first.click()
    block = docs.page.locator("#operations-auth-me")
    await block.locator(".opblock-summary").click()
    await block.get_by_role("button", name="Try it out").click()
    await block.get_by_role("button", name="Execute").click()
    await expect(
        block.locator(".live-responses-table tbody .response-col_status").first
    ).to_contain_text("200")
    assert docs.said == []
