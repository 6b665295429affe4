"""Cookies from before a changed setting, in a real browser: one log-in leaves one of them.

To Chromium, hosts below localhost are as trustworthy as https: it stores their secure cookies.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.async_api import BrowserContext, Page

from tests.browser.hostile import hostile_server
from tests.interop.better_auth import PASSWORD
from tests.processes.service import SECRET, new_home
from tests.servers import PostgresServer

SITES: Final = ("shop.localhost", "example.co.uk")
EMBEDDED: Final = {"sameSite": "none", "secure": True, "partitioned": True}
SETTINGS: Final[dict[str, dict[str, str]]] = {
    "defaults": {},
    "domain": {"COOKIE_DOMAIN": "shop.localhost"},
    "domain with two labels below it": {"COOKIE_DOMAIN": "example.co.uk"},
    "secure": {"BETTER_AUTH_USE_SECURE_COOKIES": "true"},
    "embedded": {
        "BETTER_AUTH_USE_SECURE_COOKIES": "true",
        "BETTER_AUTH_DEFAULT_COOKIE_ATTRIBUTES": json.dumps(EMBEDDED),
    },
}
CHANGES: Final = [
    ("shop.localhost", "domain", "defaults"),
    ("shop.localhost", "defaults", "domain"),
    ("shop.localhost", "domain", "secure"),
    ("shop.localhost", "embedded", "secure"),
    ("shop.localhost", "secure", "embedded"),
    ("example.co.uk", "domain with two labels below it", "defaults"),
    ("example.co.uk", "defaults", "domain with two labels below it"),
]
_FETCH: Final = """async ([url, method, json]) => {
  const options = { method, credentials: "include" };
  if (json) {
    options.body = JSON.stringify(json);
    options.headers = { "Content-Type": "application/json" };
  }
  const response = await fetch(url, options);
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
}"""


@dataclass(frozen=True)
class Services:
    """One service for each of the settings, on one database."""

    page_port: int
    ports: dict[str, int]

    def origin(self, site: str) -> str:
        return f"http://app.{site}:{self.page_port}"


@pytest.fixture(scope="module")
def services(postgres_18_server: PostgresServer) -> Iterator[Services]:
    with ExitStack() as stack:
        url = stack.enter_context(postgres_18_server.database())
        page_port = stack.enter_context(hostile_server())
        ports = {}
        for name, settings in SETTINGS.items():
            home = stack.enter_context(new_home())
            environment = {
                "DATABASE_URL": url,
                "BETTER_AUTH_SECRET": SECRET,
                "CORS_ORIGINS": ",".join(f"http://app.{site}:{page_port}" for site in SITES),
                **settings,
            }
            service = stack.enter_context(home.serving(env=environment))
            ports[name] = urlsplit(service.url).port or 0
        yield Services(page_port, ports)


@dataclass
class Tab:
    """A page of the front end."""

    page: Page
    services: Services
    site: str

    async def call(self, settings: str, method: str, path: str, body: Any = None) -> Any:
        url = f"http://api.{self.site}:{self.services.ports[settings]}/api/auth/{path}"
        return await self.page.evaluate(_FETCH, [url, method, body])

    async def cookies(self) -> list[tuple[str, str]]:
        """The names and domains of all cookies in the browser."""
        found = await self.page.context.cookies()
        return sorted((cookie["name"], cookie["domain"]) for cookie in found)


@pytest.mark.parametrize(("site", "before", "now"), CHANGES, ids=map("-".join, CHANGES))
async def test_twins_end_with_one_log_in_or_log_out(
    services: Services, context: BrowserContext, email: str, site: str, before: str, now: str
) -> None:
    tab = Tab(await context.new_page(), services, site)
    await tab.page.goto(services.origin(site))
    accounts = [{"email": f"{name}-{email}", "password": PASSWORD} for name in ("ada", "bob")]
    for account in accounts:
        assert (await tab.call(now, "POST", "signup", account))["status"] == 201
    for path, account in (("login", accounts[1]), ("logout", {})):
        await tab.call(now, "POST", "login", accounts[1])
        [new] = await context.cookies()
        await context.clear_cookies()
        assert (await tab.call(before, "POST", "login", accounts[0]))["status"] == 200
        [old] = await context.cookies()
        # As Better Auth signs in after the change: it does not clear the former cookie.
        added: list[Any] = [new]
        for part, cookie in enumerate((old, new)):
            added.append({**cookie, "name": cookie["name"].replace("_token", f"_data.{part}")})
        await context.add_cookies(added)
        assert len(await tab.cookies()) == 4
        is_ambiguous = old["name"] == new["name"]
        assert (await tab.call(now, "GET", "me"))["status"] == (401 if is_ambiguous else 200)
        assert len(await tab.cookies()) == 4

        assert (await tab.call(now, "POST", path, account))["status"] in (200, 204)

        expected = [(new["name"], new["domain"])] if path == "login" else []
        assert await tab.cookies() == expected
        me = await tab.call(now, "GET", "me")
        assert me["body"].get("email") == account.get("email")
        await context.clear_cookies()
