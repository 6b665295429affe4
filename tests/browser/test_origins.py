"""Three origins of one site, in the browser of somebody who is signed in: a front end of
`CORS_ORIGINS`, Better Auth's, and one that nobody trusts. The browser sends the cookie for all.

The three serve the very same page: all that is different is where it comes from. What a hostile
page can try beyond this, and from another site, is in `test_hostile.py`; what the front end gets to
see, in `test_cors.py`.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.async_api import BrowserContext, Page

from tests.browser.hostile import hostile_server
from tests.browser.stage import Rows, Stage
from tests.browser.wire import Wire
from tests.interop.better_auth import PASSWORD
from tests.processes.service import SECRET, new_home
from tests.servers import PostgresServer

TASKS, SIGN_UP = "/api/tasks", "/api/auth/signup"
LOG_IN, LOG_OUT, REFRESH = "/api/auth/login", "/api/auth/logout", "/api/auth/refresh"
FRONT, AUTH, HOSTILE = "the front end", "Better Auth", "somebody else"
PAGES: Final = (FRONT, AUTH, HOSTILE)
JSON: Final = {"Content-Type": "application/json"}
MADE: Final = json.dumps({"title": "Made by a page"})
ENCODINGS: Final = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True)
class Origins:
    """Taskport, and the URL of the page at each of the three origins."""

    stage: Stage
    pages: dict[str, str]


@pytest.fixture(scope="module")
def origins(postgres_18_server: PostgresServer) -> Iterator[Origins]:
    with (
        postgres_18_server.database() as url,
        hostile_server() as front,
        hostile_server() as auth,
        hostile_server() as hostile,
        new_home() as home,
    ):
        ports = dict(zip(PAGES, (front, auth, hostile), strict=True))
        pages = {name: f"http://localhost:{port}" for name, port in ports.items()}
        settings = {
            "DATABASE_URL": url,
            "BETTER_AUTH_SECRET": SECRET,
            "BETTER_AUTH_URL": pages[AUTH],
            "CORS_ORIGINS": pages[FRONT],
        }
        with home.serving(env=settings) as service:
            api = f"http://localhost:{urlsplit(service.url).port}"
            yield Origins(Stage(pages[FRONT], api, url), pages)
            assert "Traceback" not in service.err


class Visitor:
    """Somebody who is signed in and has a task, on one of the pages."""

    def __init__(self, origins: Origins, page: Page, email: str) -> None:
        self.page, self.email, self._origins = page, email, origins
        self.wire = Wire(origins.stage.api)
        self.task = ""

    async def begin(self, name: str) -> None:
        """Sign up as no page does it, make a task, and visit a page."""
        api, ask = self._origins.stage.api, self.page.context.request
        account = {"email": self.email, "password": PASSWORD}
        made = await ask.post(f"{api}{SIGN_UP}", data=account)
        assert made.status == 201, await made.text()
        token = (await made.json())["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        task = await ask.post(f"{api}{TASKS}", data={"title": "Mine"}, headers=bearer)
        self.task = f"{TASKS}/{(await task.json())['id']}"
        await self.wire.watch(self.page)
        await self.visit(name)

    async def visit(self, name: str) -> None:
        await self.page.goto(f"{self._origins.pages[name]}/")

    async def asks(self, method: str, path: str, **options: Any) -> str:
        """What a script of the page gets to know: type, status and text, or the error."""
        self.wire.forget()
        url = f"{self._origins.stage.api}{path}"
        got = await self.page.evaluate("(a) => ask(...a)", [url, {"method": method, **options}])
        return str(got)

    async def sends(self, path: str, fields: dict[str, str], encoding: str, target: str) -> int:
        """What Taskport answers to a form of the page."""
        self.wire.forget()
        url, how = f"{self._origins.stage.api}{path}", {"enctype": encoding, "target": target}
        await self.page.evaluate("(a) => send(...a)", [url, fields, how])
        exchange = await self.wire.exchange("POST", path)
        assert exchange.status is not None
        if target == "_self" and exchange.status != 204:
            await self.page.wait_for_url(url)
        return exchange.status

    async def status(self, method: str, path: str) -> int | None:
        """What Taskport said; None where the browser was not allowed to ask."""
        return (await self.wire.exchange(method, path)).status

    def rows(self) -> Rows:
        return self._origins.stage.rows()

    async def cookies(self) -> list[str]:
        return [f"{c['name']}={c['value']}" for c in await self.page.context.cookies()]

    async def is_signed_in(self) -> bool:
        api = self._origins.stage.api
        answer = await self.page.context.request.get(f"{api}/api/auth/me")
        return answer.status == 200


@pytest.fixture
async def visitor(origins: Origins, context: BrowserContext, email: str) -> AsyncIterator[Visitor]:
    yield Visitor(origins, await context.new_page(), f"origins-{email}")


async def test_the_front_end_may_do_all_of_it(visitor: Visitor) -> None:
    """And read the answers."""
    await visitor.begin(FRONT)
    assert (await visitor.asks("GET", TASKS)).startswith("cors 200 ")
    made = await visitor.asks("POST", TASKS, body=MADE, headers=JSON)
    assert made.startswith("cors 201 ")
    path = f"{TASKS}/{json.loads(made.split(' ', 2)[2])['id']}"
    assert (await visitor.asks("PATCH", f"{path}/complete")).startswith("cors 200 ")
    assert await visitor.asks("DELETE", path) == "cors 204 "
    assert path.rpartition("/")[2] not in {str(row[0]) for row in visitor.rows().get("task", [])}
    assert await visitor.asks("POST", LOG_OUT) == "cors 204 "
    assert not await visitor.is_signed_in()
    body = json.dumps({"email": visitor.email, "password": PASSWORD})
    assert (await visitor.asks("POST", LOG_IN, body=body, headers=JSON)).startswith("cors 200 ")
    assert await visitor.is_signed_in()


@pytest.mark.parametrize("name", [AUTH, HOSTILE])
async def test_other_origins_get_no_leave(visitor: Visitor, name: str) -> None:
    """`CORS_ORIGINS` alone decides: not even Better Auth's own page may send what needs leave."""
    await visitor.begin(name)
    before, cookies = visitor.rows(), await visitor.cookies()
    log_in = json.dumps({"email": visitor.email, "password": PASSWORD})
    for method, path, options in (
        ("POST", TASKS, {"body": MADE, "headers": JSON}),
        ("POST", LOG_IN, {"body": log_in, "headers": JSON}),
        ("PATCH", f"{visitor.task}/complete", {}),
        ("PUT", visitor.task, {"body": MADE, "headers": JSON}),
        ("DELETE", visitor.task, {}),
        ("DELETE", "/api/users/me", {}),
        ("POST", LOG_OUT, {"headers": JSON}),
        ("GET", TASKS, {"headers": {"Authorization": "Bearer x"}}),
    ):
        assert await visitor.asks(method, path, **options) == "TypeError", (method, path)
        assert await visitor.status(method, path) is None, (method, path)
    assert (visitor.rows(), await visitor.cookies()) == (before, cookies)


@pytest.mark.parametrize("mode", ["cors", "no-cors"])
@pytest.mark.parametrize("name", PAGES)
async def test_what_needs_no_leave(visitor: Visitor, name: str, mode: str) -> None:
    """It is sent by every page, and happens for the two that are trusted; it is read by one."""
    await visitor.begin(name)
    before, cookies = visitor.rows(), await visitor.cookies()
    for path in (TASKS, LOG_IN):
        # No browser lets a page call it JSON without leave; so it is refused from everywhere.
        for encoding in ENCODINGS:
            headers = {"Content-Type": encoding}
            await visitor.asks("POST", path, body=MADE, headers=headers, mode=mode)
            assert await visitor.status("POST", path) == 415
    got = await visitor.asks("GET", TASKS, mode=mode)
    assert await visitor.status("GET", TASKS) == 200
    assert ("Mine" in got) is (name == FRONT and mode == "cors")
    assert (visitor.rows(), await visitor.cookies()) == (before, cookies)

    got = await visitor.asks("POST", LOG_OUT, mode=mode)
    status = await visitor.status("POST", LOG_OUT)
    # Without CORS not even an opaque answer is had: `Cross-Origin-Resource-Policy: same-origin`.
    assert got == ("cors 204 " if name == FRONT and mode == "cors" else "TypeError")
    if name == HOSTILE:
        assert status == 403
        assert (visitor.rows(), await visitor.cookies()) == (before, cookies)
        assert await visitor.is_signed_in()
    else:
        assert status == 204
        assert not await visitor.is_signed_in()
        assert await visitor.cookies() == []


@pytest.mark.parametrize("target", ["_self", "frame"])
@pytest.mark.parametrize("name", PAGES)
async def test_forms(visitor: Visitor, name: str, target: str) -> None:
    """The same for what is no script at all."""
    await visitor.begin(name)
    before, cookies = visitor.rows(), await visitor.cookies()
    for path, fields in ((TASKS, {"title": "Made"}), (LOG_IN, {"email": visitor.email})):
        for encoding in ENCODINGS:
            assert await visitor.sends(path, fields, encoding, target) == 415
            await visitor.visit(name)
    assert await visitor.sends(f"{visitor.task}/complete", {}, ENCODINGS[1], target) == 405
    await visitor.visit(name)
    assert (visitor.rows(), await visitor.cookies()) == (before, cookies)

    status = await visitor.sends(LOG_OUT, {}, ENCODINGS[1], target)
    if name == HOSTILE:
        assert status == 403
        assert (visitor.rows(), await visitor.cookies()) == (before, cookies)
        assert await visitor.is_signed_in()
    else:
        assert status == 204
        assert not await visitor.is_signed_in()


@pytest.mark.parametrize("name", PAGES)
async def test_refreshing(visitor: Visitor, name: str) -> None:
    """It gives out a token: only the front end may read it, and a hostile page causes none."""
    await visitor.begin(name)
    got = await visitor.asks("POST", REFRESH)
    assert ("access_token" in got) is (name == FRONT)
    assert await visitor.status("POST", REFRESH) == (403 if name == HOSTILE else 200)
