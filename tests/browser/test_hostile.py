"""CSRF and cross-origin reads: a hostile page in the browser of a signed-in user gains nothing.

On `localhost` the page is cross-origin but same-site, so the browser sends the cookie, and only the
server's checks protect. On `127.0.0.1` it is cross-site, and `SameSite` protects as well.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page

from tests.browser.front_end import FrontEnd
from tests.browser.hostile import hostile_server
from tests.browser.network import Exchange, NetworkLog
from tests.browser.stack import Stack
from tests.interop.better_auth import PASSWORD

TITLE: Final = "Ask the doctor about the results"
TASKS, TASK = "/api/tasks", "/api/tasks/1"
LOG_IN, LOG_OUT, REFRESH = "/api/auth/login", "/api/auth/logout", "/api/auth/refresh"
SIGN_UP, ME, ACCOUNT = "/api/auth/signup", "/api/auth/me", "/api/users/me"
OWNED: Final = {"title": "Owned", "description": ""}
MALLORY: Final = {"email": "mallory@example.com", "password": PASSWORD}
JSON: Final = {"Content-Type": "application/json"}
PLAIN, URLENCODED = "text/plain", "application/x-www-form-urlencoded"


class Hostile:
    """The hostile page, in the browser of the victim. Its attacks are in `attacks.js`."""

    def __init__(self, page: Page, network: NetworkLog, url: str, api: str) -> None:
        self.page = page
        self.url = url
        self._network = network
        self._api = api
        self._is_same_site = url.startswith("http://localhost:")

    async def attack(self, function: str, path: str, *arguments: object) -> Any:
        """Attack a path of Taskport; what the page has learned."""
        return await self.attack_url(self._api + path, function, *arguments)

    async def attack_url(self, url: str, function: str, *arguments: object) -> Any:
        """Call a function of `attacks.js` with a URL; what the page has learned."""
        self._network.clear()
        if self.page.url != self.url:
            await self.page.goto(self.url)
        return await self.page.evaluate(f"(a) => {function}(...a)", [url, *arguments])

    async def status(self, method: str, path: str) -> int | None:
        """The status of Taskport's response; None if the preflight failed.

        Asserts that the browser sent the cookie if and only if the page is same-site.
        """
        exchange = await self._network.exchange(method, path)
        if exchange.status is None:
            assert (await self._checked("OPTIONS", path)).status == 403
        else:
            await self._checked(method, path)
            cookies = exchange.request_headers.get("cookie", "")
            assert ("better-auth.session_token=" in cookies) == self._is_same_site
        return exchange.status

    def expected_status(self, with_cookie: int, without: int) -> int:
        """One of two statuses: with the cookie if the page is same-site, else without it."""
        return with_cookie if self._is_same_site else without

    async def _checked(self, method: str, path: str) -> Exchange:
        """An exchange, whose response sets no cookie and allows no origin."""
        exchange = await self._network.exchange(method, path)
        assert "set-cookie" not in exchange.response_headers
        assert "access-control-allow-origin" not in exchange.response_headers
        return exchange


@pytest.fixture(scope="session")
def hostile_port() -> Iterator[int]:
    with hostile_server() as port:
        yield port


@pytest.fixture(scope="module")
async def victim(
    browser: Browser, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FrontEnd]:
    """A signed-in user with a task, shared by all tests: no attack may change anything."""
    context = await browser.new_context()
    victim = FrontEnd(await context.new_page(), stack, tmp_path_factory.mktemp("screenshots"))
    await victim.open()
    await victim.sign_up("victim@example.com", name="Victor")
    await victim.add(TITLE)
    await victim.expect_tasks(TITLE)
    yield victim
    await context.close()
    assert victim.page_errors == []


@pytest.fixture(params=["localhost", "127.0.0.1"])
async def hostile(
    request: pytest.FixtureRequest, victim: FrontEnd, hostile_port: int
) -> AsyncIterator[Hostile]:
    page, network = await victim.page.context.new_page(), NetworkLog(victim.stack.api_url)
    await network.record(page)
    url = f"http://{request.param}:{hostile_port}/"
    yield Hostile(page, network, url, victim.stack.api_url)
    await page.close()


@asynccontextmanager
async def unchanged(victim: FrontEnd) -> AsyncIterator[None]:
    """Assert that the block changes neither database nor cookies nor what the victim sees."""
    before = victim.stack.rows(), await victim.page.context.cookies()
    yield
    assert (victim.stack.rows(), await victim.page.context.cookies()) == before
    await victim.page.reload()
    await victim.expect_user("Victor")
    await victim.expect_tasks(TITLE)


async def test_script_requests_with_preflight_are_not_sent(
    victim: FrontEnd, hostile: Hostile
) -> None:
    """The preflight fails, so the browser does not send the request."""
    async with unchanged(victim):
        requests: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", TASKS, {"body": json.dumps(OWNED), "headers": JSON}),
            ("POST", LOG_IN, {"body": json.dumps(MALLORY), "headers": JSON}),
            ("POST", LOG_OUT, {"headers": JSON}),
            ("PATCH", f"{TASK}/complete", {}),
            ("PUT", TASK, {"body": json.dumps(OWNED), "headers": JSON}),
            ("DELETE", TASK, {}),
            ("DELETE", ACCOUNT, {}),
            ("GET", TASKS, {"headers": {"Authorization": "Bearer x"}}),
        ]
        for method, path, options in requests:
            result = await hostile.attack("request", path, {"method": method, **options})
            assert result == "TypeError", (method, path)
            assert await hostile.status(method, path) is None, (method, path)


@pytest.mark.parametrize("mode", ["cors", "no-cors"])
async def test_script_requests_without_preflight_read_and_change_nothing(
    victim: FrontEnd, hostile: Hostile, mode: str
) -> None:
    """The browser sends them, and hides the response from the script."""
    async with unchanged(victim):
        for method, path, expected in [
            ("GET", TASKS, hostile.expected_status(200, 401)),
            ("HEAD", TASKS, hostile.expected_status(200, 401)),
            ("GET", ME, hostile.expected_status(200, 401)),
            ("POST", REFRESH, hostile.expected_status(403, 401)),
            ("POST", LOG_OUT, hostile.expected_status(403, 204)),
        ]:
            result = await hostile.attack("request", path, {"mode": mode, "method": method})
            assert result == "TypeError", (method, path)
            assert await hostile.status(method, path) == expected, (method, path)
        for path, body in ((TASKS, OWNED), (LOG_IN, MALLORY), (SIGN_UP, MALLORY)):
            for type_ in (PLAIN, URLENCODED, None):
                options = {"mode": mode, "headers": {"Content-Type": type_} if type_ else {}}
                assert await hostile.attack("post", path, json.dumps(body), options) == "TypeError"
                assert await hostile.status("POST", path) == 415, (path, type_)


@pytest.mark.parametrize(
    ("target", "policy"), [("_self", None), ("_self", "no-referrer"), ("frame", None)]
)
async def test_submitted_forms_change_nothing(
    victim: FrontEnd, hostile: Hostile, target: str, policy: str | None
) -> None:
    """Forms need no preflight.

    If the response replaces the page, it may set even `SameSite=Lax` cookies. With the referrer
    policy `no-referrer` the form is sent with `Origin: null`.
    """
    with_body: list[tuple[str, dict[str, str], str, int]] = [
        (TASKS, {'{"title":"Owned","description":"': '"}'}, PLAIN, 415),
        (TASKS, {"title": "Owned"}, URLENCODED, 415),
        (LOG_IN, {json.dumps({**MALLORY, "x": ""})[:-2]: '"}'}, PLAIN, 415),
        (SIGN_UP, MALLORY, "multipart/form-data", 415),
        (f"{TASK}/complete", {}, URLENCODED, 405),
    ]
    # Only requests without a body reach the check of the origin.
    without_body: list[tuple[str, dict[str, str], str, int]] = [
        (REFRESH, {}, URLENCODED, hostile.expected_status(403, 401)),
        (LOG_OUT, {}, PLAIN, hostile.expected_status(403, 204)),
    ]
    forms = without_body if policy else with_body + without_body
    async with unchanged(victim):
        for path, fields, enctype, expected in forms:
            options = {"enctype": enctype, "target": target, "policy": policy}
            await hostile.attack("submitForm", path, fields, options)
            assert await hostile.status("POST", path) == expected, path
            if target == "_self" and expected != 204:
                await hostile.page.wait_for_url(f"**{path}")


async def test_beacons_change_nothing(victim: FrontEnd, hostile: Hostile) -> None:
    async with unchanged(victim):
        for path, body, expected in [
            (TASKS, OWNED, 415),
            (LOG_IN, MALLORY, 415),
            (LOG_OUT, {}, hostile.expected_status(403, 204)),
        ]:
            for type_, status in ((PLAIN, expected), ("", expected), (JSON["Content-Type"], None)):
                assert await hostile.attack("beacon", path, json.dumps(body), type_)
                assert await hostile.status("POST", path) == status, (path, type_)


async def test_embedding_reveals_nothing(victim: FrontEnd, hostile: Hostile) -> None:
    """The events of an embedded URL do not reveal whether the visitor is signed in."""
    async with unchanged(victim):
        for tag in ("img", "script", "link", "video", "object", "embed", "iframe"):
            result = await hostile.attack("embed", TASKS, tag)
            assert await hostile.status("GET", TASKS) == hostile.expected_status(200, 401), tag
            assert result == await hostile.attack("embed", f"{TASKS}/x", tag), tag


@pytest.mark.parametrize("kind", ["iframe", "window"])
async def test_frame_or_window_cannot_be_read(
    victim: FrontEnd, hostile: Hostile, kind: str
) -> None:
    async with unchanged(victim):
        for path in (TASKS, f"{TASKS}/x"):
            assert await hostile.attack("openAndRead", path, kind) == "SecurityError", path
            if kind == "window":
                await hostile.page.context.pages[-1].close()


@pytest.mark.parametrize("kind", ["WebSocket", "EventSource"])
async def test_websocket_and_event_stream_fail(
    victim: FrontEnd, hostile: Hostile, kind: str
) -> None:
    async with unchanged(victim):
        for path in (TASKS, ME):
            assert await hostile.attack("connect", path, kind) == "error"


async def test_redirected_requests_read_and_change_nothing(
    victim: FrontEnd, hostile: Hostile
) -> None:
    """A script or a form calls the hostile server, which redirects to Taskport."""
    async with unchanged(victim):
        for method, path, expected in [
            ("GET", TASKS, hostile.expected_status(200, 401)),
            ("POST", REFRESH, hostile.expected_status(403, 401)),
            ("POST", LOG_OUT, hostile.expected_status(403, 204)),
        ]:
            redirect = f"{hostile.url}redirect?to={victim.stack.api_url}{path}"
            assert await hostile.attack_url(redirect, "request", {"method": method}) == "TypeError"
            assert await hostile.status(method, path) == expected
            if method == "POST":
                await hostile.attack_url(redirect, "submitForm", {}, {"target": "frame"})
                assert await hostile.status(method, path) == expected


async def test_requests_of_a_sandboxed_frame_read_and_change_nothing(
    victim: FrontEnd, hostile: Hostile
) -> None:
    async with unchanged(victim):
        for method, path in (("GET", TASKS), ("POST", REFRESH), ("POST", LOG_OUT)):
            result = await hostile.attack("requestFromSandbox", path, {"method": method})
            assert result == "TypeError"


async def test_hostile_page_gets_no_token_of_better_auth(
    victim: FrontEnd, hostile: Hostile
) -> None:
    """A JWT or session token would give access to Taskport from any machine."""
    async with unchanged(victim):
        for path in ("token", "get-session"):
            url = f"{victim.stack.front_end_url}/api/auth/{path}"
            assert await hostile.attack_url(url, "request", {}) == "TypeError"


async def test_duplicate_session_cookie_is_rejected(
    victim: FrontEnd, browser: Browser, hostile_port: int
) -> None:
    """Cookie tossing: a page of the same host adds its own session cookie for a path.

    Taskport then authenticates the request neither as the victim nor as the owner of that cookie.
    """
    async with await browser.new_context() as attacker:
        created = await attacker.request.post(f"{victim.stack.api_url}{SIGN_UP}", data=MALLORY)
        assert created.status == 201
        [session] = await attacker.cookies()
    async with unchanged(victim):
        page = await victim.page.context.new_page()
        await page.goto(f"http://localhost:{hostile_port}/")
        for path in ("/api", TASKS):
            cookie = f"{session['name']}={session['value']}; path={path}"
            await page.evaluate("cookie => { document.cookie = cookie }", cookie)
            assert (await victim.fetch(TASKS)).status == 401
            await page.evaluate("cookie => { document.cookie = cookie }", f"{cookie}; max-age=0")
        await page.close()
