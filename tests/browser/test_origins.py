"""CORS and CSRF for three origins of one site: an allowed front end, Better Auth, an untrusted one.

All three serve the same page and differ only in their origin; the browser sends the cookie from
each. `test_hostile.py` has further attacks, also from another site, and `test_cors.py` what the
front end can read.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.async_api import BrowserContext, Page

from tests.browser.hostile import hostile_server
from tests.browser.network import NetworkLog
from tests.browser.stack import Rows, Stack
from tests.interop.better_auth import PASSWORD
from tests.processes.service import SECRET, new_home
from tests.servers import PostgresServer

TASKS, SIGN_UP = "/api/tasks", "/api/auth/signup"
LOG_IN, LOG_OUT, REFRESH = "/api/auth/login", "/api/auth/logout", "/api/auth/refresh"
FRONT_END, BETTER_AUTH, UNTRUSTED = "front end", "Better Auth", "untrusted"
PAGES: Final = (FRONT_END, BETTER_AUTH, UNTRUSTED)
JSON: Final = {"Content-Type": "application/json"}
BODY: Final = json.dumps({"title": "Made by a page"})
ENCODINGS: Final = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True)
class Origins:
    """The running servers, and the page at each of the three origins."""

    stack: Stack
    #: URL of the page, by name of the origin.
    pages: dict[str, str]


@pytest.fixture(scope="module")
def origins(postgres_18_server: PostgresServer) -> Iterator[Origins]:
    with (
        postgres_18_server.database() as url,
        hostile_server() as front_end,
        hostile_server() as better_auth,
        hostile_server() as untrusted,
        new_home() as home,
    ):
        ports = dict(zip(PAGES, (front_end, better_auth, untrusted), strict=True))
        pages = {name: f"http://localhost:{port}" for name, port in ports.items()}
        settings = {
            "DATABASE_URL": url,
            "BETTER_AUTH_SECRET": SECRET,
            "BETTER_AUTH_URL": pages[BETTER_AUTH],
            "CORS_ORIGINS": pages[FRONT_END],
        }
        with home.serving(env=settings) as service:
            api = f"http://localhost:{urlsplit(service.url).port}"
            yield Origins(Stack(pages[FRONT_END], api, url), pages)
            assert "Traceback" not in service.err


class Visitor:
    """A signed-in user with a task, on one of the pages."""

    def __init__(self, origins: Origins, page: Page, email: str) -> None:
        self.page, self.email, self._origins = page, email, origins
        self.network = NetworkLog(origins.stack.api_url)
        self.task = ""

    async def start(self, name: str) -> None:
        """Sign up and create a task without a page, then open a page."""
        api, client = self._origins.stack.api_url, self.page.context.request
        account = {"email": self.email, "password": PASSWORD}
        created = await client.post(f"{api}{SIGN_UP}", data=account)
        assert created.status == 201, await created.text()
        token = (await created.json())["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        task = await client.post(f"{api}{TASKS}", data={"title": "Mine"}, headers=bearer)
        self.task = f"{TASKS}/{(await task.json())['id']}"
        await self.network.record(self.page)
        await self.visit(name)

    async def visit(self, name: str) -> None:
        await self.page.goto(f"{self._origins.pages[name]}/")

    async def request(self, method: str, path: str, **options: Any) -> str:
        """Send a request from a script; its response as `type status text`, or the error's name."""
        self.network.clear()
        url = f"{self._origins.stack.api_url}{path}"
        result = await self.page.evaluate(
            "(a) => request(...a)", [url, {"method": method, **options}]
        )
        return str(result)

    async def submit(self, path: str, fields: dict[str, str], encoding: str, target: str) -> int:
        """Submit a form of the page; the status of Taskport's response."""
        self.network.clear()
        url = f"{self._origins.stack.api_url}{path}"
        options = {"enctype": encoding, "target": target}
        await self.page.evaluate("(a) => submitForm(...a)", [url, fields, options])
        exchange = await self.network.exchange("POST", path)
        assert exchange.status is not None
        if target == "_self" and exchange.status != 204:
            await self.page.wait_for_url(url)
        return exchange.status

    async def status(self, method: str, path: str) -> int | None:
        """The status of Taskport's response; None if the preflight failed."""
        return (await self.network.exchange(method, path)).status

    def rows(self) -> Rows:
        return self._origins.stack.rows()

    def task_ids(self) -> set[str]:
        return {str(row[0]) for row in self.rows()["taskport.tasks"]}

    async def cookies(self) -> list[str]:
        return [f"{c['name']}={c['value']}" for c in await self.page.context.cookies()]

    async def is_signed_in(self) -> bool:
        api = self._origins.stack.api_url
        response = await self.page.context.request.get(f"{api}/api/auth/me")
        return response.status == 200


@pytest.fixture
async def visitor(origins: Origins, context: BrowserContext, email: str) -> AsyncIterator[Visitor]:
    yield Visitor(origins, await context.new_page(), f"origins-{email}")


async def test_front_end_can_send_and_read_every_request(visitor: Visitor) -> None:
    await visitor.start(FRONT_END)
    assert (await visitor.request("GET", TASKS)).startswith("cors 200 ")
    created = await visitor.request("POST", TASKS, body=BODY, headers=JSON)
    assert created.startswith("cors 201 ")
    path = f"{TASKS}/{json.loads(created.split(' ', 2)[2])['id']}"
    assert (await visitor.request("PATCH", f"{path}/complete")).startswith("cors 200 ")
    assert path.rpartition("/")[2] in visitor.task_ids()
    assert await visitor.request("DELETE", path) == "cors 204 "
    assert path.rpartition("/")[2] not in visitor.task_ids()
    assert await visitor.request("POST", LOG_OUT) == "cors 204 "
    assert not await visitor.is_signed_in()
    body = json.dumps({"email": visitor.email, "password": PASSWORD})
    assert (await visitor.request("POST", LOG_IN, body=body, headers=JSON)).startswith("cors 200 ")
    assert await visitor.is_signed_in()


@pytest.mark.parametrize("name", [BETTER_AUTH, UNTRUSTED])
async def test_preflight_fails_for_other_origins(visitor: Visitor, name: str) -> None:
    """Only `CORS_ORIGINS` pass a preflight; the origin of Better Auth does not."""
    await visitor.start(name)
    before, cookies = visitor.rows(), await visitor.cookies()
    log_in = json.dumps({"email": visitor.email, "password": PASSWORD})
    for method, path, options in (
        ("POST", TASKS, {"body": BODY, "headers": JSON}),
        ("POST", LOG_IN, {"body": log_in, "headers": JSON}),
        ("PATCH", f"{visitor.task}/complete", {}),
        ("PUT", visitor.task, {"body": BODY, "headers": JSON}),
        ("DELETE", visitor.task, {}),
        ("DELETE", "/api/users/me", {}),
        ("POST", LOG_OUT, {"headers": JSON}),
        ("GET", TASKS, {"headers": {"Authorization": "Bearer x"}}),
    ):
        assert await visitor.request(method, path, **options) == "TypeError", (method, path)
        assert await visitor.status(method, path) is None, (method, path)
    assert (visitor.rows(), await visitor.cookies()) == (before, cookies)


@pytest.mark.parametrize("mode", ["cors", "no-cors"])
@pytest.mark.parametrize("name", PAGES)
async def test_requests_without_preflight(visitor: Visitor, name: str, mode: str) -> None:
    """Every page can send them; trusted origins change state, and only the front end can read."""
    await visitor.start(name)
    before, cookies = visitor.rows(), await visitor.cookies()
    for path in (TASKS, LOG_IN):
        # JSON needs a preflight, so a request without one is rejected from every origin.
        for encoding in ENCODINGS:
            headers = {"Content-Type": encoding}
            await visitor.request("POST", path, body=BODY, headers=headers, mode=mode)
            assert await visitor.status("POST", path) == 415
    result = await visitor.request("GET", TASKS, mode=mode)
    assert await visitor.status("GET", TASKS) == 200
    assert ("Mine" in result) is (name == FRONT_END and mode == "cors")
    assert (visitor.rows(), await visitor.cookies()) == (before, cookies)

    result = await visitor.request("POST", LOG_OUT, mode=mode)
    status = await visitor.status("POST", LOG_OUT)
    # `Cross-Origin-Resource-Policy: same-origin` denies even an opaque response.
    assert result == ("cors 204 " if name == FRONT_END and mode == "cors" else "TypeError")
    if name == UNTRUSTED:
        assert status == 403
        assert (visitor.rows(), await visitor.cookies()) == (before, cookies)
        assert await visitor.is_signed_in()
    else:
        assert status == 204
        assert not await visitor.is_signed_in()
        assert await visitor.cookies() == []


@pytest.mark.parametrize("target", ["_self", "frame"])
@pytest.mark.parametrize("name", PAGES)
async def test_submitted_forms(visitor: Visitor, name: str, target: str) -> None:
    """Forms need no preflight: trusted origins change state, an untrusted one does not."""
    await visitor.start(name)
    before, cookies = visitor.rows(), await visitor.cookies()
    for path, fields in ((TASKS, {"title": "Made"}), (LOG_IN, {"email": visitor.email})):
        for encoding in ENCODINGS:
            assert await visitor.submit(path, fields, encoding, target) == 415
            await visitor.visit(name)
    assert await visitor.submit(f"{visitor.task}/complete", {}, ENCODINGS[1], target) == 405
    await visitor.visit(name)
    assert (visitor.rows(), await visitor.cookies()) == (before, cookies)

    status = await visitor.submit(LOG_OUT, {}, ENCODINGS[1], target)
    if name == UNTRUSTED:
        assert status == 403
        assert (visitor.rows(), await visitor.cookies()) == (before, cookies)
        assert await visitor.is_signed_in()
    else:
        assert status == 204
        assert not await visitor.is_signed_in()


@pytest.mark.parametrize("name", PAGES)
async def test_refresh_from_each_origin(visitor: Visitor, name: str) -> None:
    """Only the front end can read the token; an untrusted origin is rejected."""
    await visitor.start(name)
    result = await visitor.request("POST", REFRESH)
    assert ("access_token" in result) is (name == FRONT_END)
    assert await visitor.status("POST", REFRESH) == (403 if name == UNTRUSTED else 200)
