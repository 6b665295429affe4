"""`/docs` in a browser: it loads nothing from other hosts and works below any path prefix."""

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


@pytest.fixture(params=["", PREFIX], ids=["root", "prefix"])
def origin(request: pytest.FixtureRequest, home: Home) -> Iterator[str]:
    """Base URL of the service, with its path prefix."""
    settings = {"BETTER_AUTH_SECRET": SECRET, "API_ROOT_PATH": request.param}
    with home.serving("--memory", ready=False, env=settings) as service:
        if request.param:
            with prefix_proxy(service) as url:
                yield f"{url}{PREFIX}"
        else:
            yield service.url


@contextmanager
def prefix_proxy(service: Service) -> Iterator[str]:
    """A proxy that strips the prefix from the path, like a rewrite of a front end; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            with service.client() as client:
                headers = {k: v for k, v in self.headers.items() if k.lower() == "authorization"}
                response = client.get(self.path.removeprefix(PREFIX), headers=headers)
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@dataclass
class DocsPage:
    """The page of `/docs`, with its requests and console messages."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def record(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))

    async def csp_violations(self) -> list[str]:
        """The requests that the Content-Security-Policy of the page has blocked."""
        violations: list[str] = await self.page.evaluate("window.violations")
        return violations


@pytest.fixture
async def docs(context: BrowserContext, origin: str) -> DocsPage:
    docs = DocsPage(await context.new_page())
    docs.record()
    await docs.page.add_init_script(
        "window.violations = []; document.addEventListener('securitypolicyviolation',"
        " event => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`))"
    )
    await docs.page.goto(f"{origin}/docs")
    await expect(docs.page.locator(".opblock").first).to_be_visible()
    return docs


async def test_docs_show_every_operation(docs: DocsPage, origin: str, screenshots: Path) -> None:
    response = await docs.page.request.get(f"{origin}/openapi.json")
    paths = (await response.json())["paths"]
    operations = sum(len(methods) for methods in paths.values())
    assert operations > 15
    await expect(docs.page.locator(".opblock")).to_have_count(operations)
    await expect(docs.page.locator("h1, h2").filter(has_text="Taskport").first).to_be_visible()
    name = "docs-prefix" if PREFIX in origin else "docs"
    await docs.page.screenshot(path=screenshots / f"{name}.png")
    assert docs.messages == []


async def test_docs_load_nothing_from_other_hosts(docs: DocsPage, origin: str) -> None:
    """And their own Content-Security-Policy blocks nothing that they need."""
    # Open the parts that may load more: an operation, and the form for credentials.
    await docs.page.locator(".opblock-summary").first.click()
    await docs.page.get_by_role("button", name="Authorize").first.click()
    await docs.page.locator(".dialog-ux .btn-done").first.click()
    await docs.page.wait_for_load_state("networkidle")
    requests = [url for url in docs.requests if not url.startswith("data:")]
    assert {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in requests} == {
        origin.removesuffix(PREFIX)
    }
    prefix = PREFIX if PREFIX in origin else ""
    paths = {urlsplit(url).path.removeprefix(prefix) for url in requests}
    assert ASSETS <= paths <= ASSETS | {"/docs/favicon-32x32.png"}
    assert await docs.csp_violations() == []
    assert docs.messages == []


async def test_docs_can_execute_a_request(docs: DocsPage, origin: str) -> None:
    """The request goes to the origin and prefix of the page."""
    block = docs.page.locator("#operations-health-livez")
    await block.locator(".opblock-summary").click()
    await block.get_by_role("button", name="Try it out").click()
    await block.get_by_role("button", name="Execute").click()
    await expect(
        block.locator(".live-responses-table tbody .response-col_status").first
    ).to_contain_text("200")
    await expect(block.locator(".request-url")).to_contain_text(f"{origin}/livez")
    assert f"{origin}/livez" in docs.requests
    assert await docs.csp_violations() == []


async def test_docs_send_the_bearer_token_entered(docs: DocsPage, origin: str) -> None:
    """Requests after the Authorize form send its token."""
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
    assert docs.messages == []
