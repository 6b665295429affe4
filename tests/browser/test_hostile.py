"""A page of somebody else, in the browser of somebody who is signed in: it gets nothing.

From `localhost` it is another origin of the same site, and the browser sends the cookie along: only
the server's checks protect. From `127.0.0.1` it is another site, and `SameSite` protects as well.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page

from tests.browser.front_end import FrontEnd
from tests.browser.hostile import hostile_server
from tests.browser.stage import Stage
from tests.browser.wire import Exchange, Wire
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

    def __init__(self, page: Page, wire: Wire, url: str, api: str) -> None:
        self.page = page
        self.url = url
        self._wire = wire
        self._api = api
        self._gets_cookies = url.startswith("http://localhost:")

    async def does(self, attack: str, path: str, *arguments: object) -> Any:
        """Attack Taskport: what the page has got hold of then."""
        return await self.does_to(self._api + path, attack, *arguments)

    async def does_to(self, url: str, attack: str, *arguments: object) -> Any:
        self._wire.forget()
        if self.page.url != self.url:
            await self.page.goto(self.url)
        return await self.page.evaluate(f"(a) => {attack}(...a)", [url, *arguments])

    async def status(self, method: str, path: str) -> int | None:
        """What Taskport said to it: None where it was not even asked."""
        exchange = await self._wire.exchange(method, path)
        if exchange.status is None:
            assert (await self._sent("OPTIONS", path)).status == 403
        else:
            sent = await self._sent(method, path)
            assert ("better-auth.session_token=" in sent.headers.get("cookie", "")) == (
                self._gets_cookies
            )
        return exchange.status

    def one_of(self, with_cookie: int, without: int) -> int:
        """What is to be expected of a request with the cookie, if the browser sends it along."""
        return with_cookie if self._gets_cookies else without

    async def _sent(self, method: str, path: str) -> Exchange:
        exchange = await self._wire.exchange(method, path)
        assert "set-cookie" not in exchange.answer_headers
        assert "access-control-allow-origin" not in exchange.answer_headers
        return exchange


@pytest.fixture(scope="session")
def hostile_port() -> Iterator[int]:
    with hostile_server() as port:
        yield port


@pytest.fixture(scope="module")
async def victim(
    browser: Browser, stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FrontEnd]:
    """Signed in, with a task. All attacks meet the same one: each must leave them unharmed."""
    context = await browser.new_context()
    victim = FrontEnd(await context.new_page(), stage, tmp_path_factory.mktemp("pictures"))
    await victim.open()
    await victim.sign_up("victim@example.com", name="Victor")
    await victim.add(TITLE)
    await victim.shows(TITLE)
    yield victim
    await context.close()
    assert victim.complaints == []


@pytest.fixture(params=["localhost", "127.0.0.1"])
async def hostile(
    request: pytest.FixtureRequest, victim: FrontEnd, hostile_port: int
) -> AsyncIterator[Hostile]:
    page, wire = await victim.page.context.new_page(), Wire(victim.stage.api)
    await wire.watch(page)
    url = f"http://{request.param}:{hostile_port}/"
    yield Hostile(page, wire, url, victim.stage.api)
    await page.close()


@asynccontextmanager
async def unharmed(victim: FrontEnd) -> AsyncIterator[None]:
    """Afterwards the database and the cookies are as they were, and so is what the victim sees."""
    before = victim.stage.rows(), await victim.page.context.cookies()
    yield
    assert (victim.stage.rows(), await victim.page.context.cookies()) == before
    await victim.page.reload()
    await victim.is_of("Victor")
    await victim.shows(TITLE)


async def test_scripts_that_need_permission(victim: FrontEnd, hostile: Hostile) -> None:
    """The browser asks before it sends them, and does not send them."""
    async with unharmed(victim):
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
            got = await hostile.does("ask", path, {"method": method, **options})
            assert got == "TypeError", (method, path)
            assert await hostile.status(method, path) is None, (method, path)


@pytest.mark.parametrize("mode", ["cors", "no-cors"])
async def test_scripts_that_need_none(victim: FrontEnd, hostile: Hostile, mode: str) -> None:
    """They are sent: what must not be read is not read, and nothing else happens."""
    async with unharmed(victim):
        for method, path, expected in [
            ("GET", TASKS, hostile.one_of(200, 401)),
            ("HEAD", TASKS, hostile.one_of(200, 401)),
            ("GET", ME, hostile.one_of(200, 401)),
            ("POST", REFRESH, hostile.one_of(403, 401)),
            ("POST", LOG_OUT, hostile.one_of(403, 204)),
        ]:
            got = await hostile.does("ask", path, {"mode": mode, "method": method})
            assert got == "TypeError", (method, path)
            assert await hostile.status(method, path) == expected, (method, path)
        for path, body in ((TASKS, OWNED), (LOG_IN, MALLORY), (SIGN_UP, MALLORY)):
            for type_ in (PLAIN, URLENCODED, None):
                how = {"mode": mode, "headers": {"Content-Type": type_} if type_ else {}}
                assert await hostile.does("post", path, json.dumps(body), how) == "TypeError"
                assert await hostile.status("POST", path) == 415, (path, type_)


@pytest.mark.parametrize(
    ("target", "policy"), [("_self", None), ("_self", "no-referrer"), ("frame", None)]
)
async def test_forms(victim: FrontEnd, hostile: Hostile, target: str, policy: str | None) -> None:
    """A form needs no permission to be sent. Where it replaces the page, the answer may change even
    cookies that are `SameSite=Lax`. Without a referrer its `Origin` is `null`."""
    strange: list[tuple[str, dict[str, str], str, int]] = [
        (TASKS, {'{"title":"Owned","description":"': '"}'}, PLAIN, 415),
        (TASKS, {"title": "Owned"}, URLENCODED, 415),
        (LOG_IN, {json.dumps({**MALLORY, "x": ""})[:-2]: '"}'}, PLAIN, 415),
        (SIGN_UP, MALLORY, "multipart/form-data", 415),
        (f"{TASK}/complete", {}, URLENCODED, 405),
    ]
    # Only these get as far as to be asked where they come from.
    plain: list[tuple[str, dict[str, str], str, int]] = [
        (REFRESH, {}, URLENCODED, hostile.one_of(403, 401)),
        (LOG_OUT, {}, PLAIN, hostile.one_of(403, 204)),
    ]
    async with unharmed(victim):
        for path, fields, enctype, expected in plain if policy else strange + plain:
            how = {"enctype": enctype, "target": target, "policy": policy}
            await hostile.does("send", path, fields, how)
            assert await hostile.status("POST", path) == expected, path
            if target == "_self" and expected != 204:
                await hostile.page.wait_for_url(f"**{path}")


async def test_beacons(victim: FrontEnd, hostile: Hostile) -> None:
    async with unharmed(victim):
        for path, body, expected in [
            (TASKS, OWNED, 415),
            (LOG_IN, MALLORY, 415),
            (LOG_OUT, {}, hostile.one_of(403, 204)),
        ]:
            for type_, status in ((PLAIN, expected), ("", expected), (JSON["Content-Type"], None)):
                assert await hostile.does("beacon", path, json.dumps(body), type_)
                assert await hostile.status("POST", path) == status, (path, type_)


async def test_embedding(victim: FrontEnd, hostile: Hostile) -> None:
    """It cannot even tell by what happens whether its visitor is signed in."""
    async with unharmed(victim):
        for tag in ("img", "script", "link", "video", "object", "embed", "iframe"):
            got = await hostile.does("embed", TASKS, tag)
            assert await hostile.status("GET", TASKS) == hostile.one_of(200, 401), tag
            assert got == await hostile.does("embed", f"{TASKS}/x", tag), tag


@pytest.mark.parametrize("kind", ["iframe", "window"])
async def test_looking_into_a_view(victim: FrontEnd, hostile: Hostile, kind: str) -> None:
    async with unharmed(victim):
        for path in (TASKS, f"{TASKS}/x"):
            assert await hostile.does("lookInto", path, kind) == "SecurityError", path
            if kind == "window":
                await hostile.page.context.pages[-1].close()


@pytest.mark.parametrize("kind", ["WebSocket", "EventSource"])
async def test_keeping_a_connection_open(victim: FrontEnd, hostile: Hostile, kind: str) -> None:
    async with unharmed(victim):
        for path in (TASKS, ME):
            assert await hostile.does("listen", path, kind) == "error"


async def test_by_way_of_a_redirection(victim: FrontEnd, hostile: Hostile) -> None:
    """A script's request, or a form, that comes to Taskport by a detour."""
    async with unharmed(victim):
        for method, path, expected in [
            ("GET", TASKS, hostile.one_of(200, 401)),
            ("POST", REFRESH, hostile.one_of(403, 401)),
            ("POST", LOG_OUT, hostile.one_of(403, 204)),
        ]:
            detour = f"{hostile.url}redirect?to={victim.stage.api}{path}"
            assert await hostile.does_to(detour, "ask", {"method": method}) == "TypeError"
            assert await hostile.status(method, path) == expected
            if method == "POST":
                await hostile.does_to(detour, "send", {}, {"target": "frame"})
                assert await hostile.status(method, path) == expected


async def test_from_a_frame_without_an_origin(victim: FrontEnd, hostile: Hostile) -> None:
    async with unharmed(victim):
        for method, path in (("GET", TASKS), ("POST", REFRESH), ("POST", LOG_OUT)):
            got = await hostile.does("askFromNowhere", path, {"method": method})
            assert got == "TypeError"


async def test_better_auth_gives_it_no_token(victim: FrontEnd, hostile: Hostile) -> None:
    """With one it could ask Taskport from anywhere."""
    async with unharmed(victim):
        for path in ("token", "get-session"):
            url = f"{victim.stage.page}/api/auth/{path}"
            assert await hostile.does_to(url, "ask", {}) == "TypeError"


async def test_a_cookie_that_a_neighbour_tosses_in(
    victim: FrontEnd, browser: Browser, hostile_port: int
) -> None:
    """Another page of the host can add a cookie of the same name for a path. Then Taskport takes
    the victim for nobody, and not for whoever owns that cookie."""
    async with await browser.new_context() as mallorys:
        made = await mallorys.request.post(f"{victim.stage.api}{SIGN_UP}", data=MALLORY)
        assert made.status == 201
        [own] = await mallorys.cookies()
    async with unharmed(victim):
        page = await victim.page.context.new_page()
        await page.goto(f"http://localhost:{hostile_port}/")
        for path in ("/api", TASKS):
            cookie = f"{own['name']}={own['value']}; path={path}"
            await page.evaluate("cookie => { document.cookie = cookie }", cookie)
            assert (await victim.fetch(TASKS)).status == 401
            await page.evaluate("cookie => { document.cookie = cookie }", f"{cookie}; max-age=0")
        await page.close()
