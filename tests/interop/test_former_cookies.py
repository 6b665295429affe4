"""Two users in one browser, before and after a changed setting: each side names the right one.

The cookies are those of the real Better Auth, with its cache of sessions in a cookie that is so
large that it is split.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest

from adapters.postgres.schema import migrate
from tests.cookie_jar import CookieJar
from tests.interop.better_auth import PASSWORD, BetterAuthServer, Settings, server
from tests.interop.sides import rows
from tests.interop.taskport import NO_KEYS, SECRET, Headers, Taskport, taskport
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]

ORIGIN: Final = "https://app.example.com"
FRONT_END: Final = "app.example.com"
STRATEGIES: Final = {"1.6.30": "compact", "1.7.25": "jwe"}
#: In the cache: it does not fit into one cookie with this.
LONG_NAME: Final = "Ada Lovelace " * 250

EMBEDDED: Final = {"sameSite": "none", "secure": True, "partitioned": True}
NAMED: Final = {
    "session_token": {"name": "own.session_token", "attributes": {"domain": "app.example.com"}},
    "session_data": {"name": "own.session_data", "attributes": {"sameSite": "strict"}},
    "dont_remember": {"name": "own.dont_remember"},
}
#: Options of Better Auth below `advanced`, and the settings here that agree with them.
SETTINGS: Final[Mapping[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "defaults": ({}, {}),
    "domain": (
        {"crossSubDomainCookies": {"enabled": True, "domain": "example.com"}},
        {"cookie_domain": "example.com"},
    ),
    "prefix": ({"cookiePrefix": "shop"}, {"better_auth_cookie_prefix": "shop"}),
    "http": ({"useSecureCookies": False}, {"better_auth_use_secure_cookies": False}),
    "embedded": (
        {"defaultCookieAttributes": EMBEDDED},
        {"better_auth_default_cookie_attributes": json.dumps(EMBEDDED)},
    ),
    "named": ({"cookies": NAMED}, {"better_auth_cookies": json.dumps(NAMED)}),
}
CHANGES: Final = [
    ("defaults", "defaults"),
    ("domain", "domain"),
    ("domain", "defaults"),
    ("defaults", "domain"),
    ("prefix", "domain"),
    ("http", "domain"),
    ("http", "defaults"),
    ("embedded", "defaults"),
    ("defaults", "embedded"),
    ("named", "domain"),
    ("domain", "named"),
]
SESSIONS_OF: Final = """
    select session.id from session join "user" on "user".id = session."userId" where email = %s
"""


@dataclass(frozen=True)
class Side:
    """Better Auth and Taskport with the same settings."""

    better_auth: BetterAuthServer
    taskport: Taskport


@dataclass
class Sides:
    """Both services on one database, with any of the settings."""

    url: str
    version: str
    stack: AsyncExitStack
    running: dict[str, Side] = field(default_factory=dict)

    async def with_settings(self, name: str) -> Side:
        if name not in self.running:
            advanced, ours = SETTINGS[name]
            cache = {"enabled": True, "strategy": STRATEGIES[self.version]}
            options = {"advanced": advanced, "session": {"cookieCache": cache}}
            settings: Settings = {"options": json.dumps(options), "migrate": "run"}
            better_auth = self.stack.enter_context(
                server(self.url, secret=SECRET, version=self.version, base_url=ORIGIN, **settings)
            )
            if not self.running:
                migrate(self.url)
            own = taskport(self.url, ORIGIN, better_auth_jwks_url=NO_KEYS, **ours)
            self.running[name] = Side(better_auth, await self.stack.enter_async_context(own))
        return self.running[name]


@pytest.fixture(scope="module", params=STRATEGIES)
async def sides(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    with postgres_18_server.database(template="template0") as url:
        async with AsyncExitStack() as stack:
            yield Sides(url, request.param, stack)


@dataclass
class Browser:
    """A browser on a page of the front end, which calls this service under `api_host`."""

    api_host: str = FRONT_END
    jar: CookieJar = field(default_factory=CookieJar)

    def better_auth(self, side: Side, method: str, path: str, **content: Any) -> httpx.Response:
        response = side.better_auth.request(
            method, path, self._headers(FRONT_END, f"/api/auth{path}"), **content
        )
        self.jar.receive(response.headers.get_list("set-cookie"), FRONT_END)
        return response

    async def taskport(self, side: Side, method: str, path: str, **content: Any) -> httpx.Response:
        headers = {**self._headers(self.api_host, f"/api{path}"), "Host": self.api_host}
        response = await side.taskport.request(method, path, headers, **content)
        self.jar.receive(response.headers.get_list("set-cookie"), self.api_host)
        return response

    def sign_in(self, side: Side, email: str) -> None:
        body = {"email": email, "password": PASSWORD}
        assert self.better_auth(side, "POST", "/sign-in/email", json=body).is_success

    async def log_in(self, side: Side, email: str) -> None:
        body = {"email": email, "password": PASSWORD}
        assert (await self.taskport(side, "POST", "/auth/login", json=body)).is_success

    def user_of_better_auth(self, side: Side) -> str | None:
        """Whom Better Auth takes the browser for."""
        session = self.better_auth(side, "GET", "/get-session").json()
        email: str | None = session and session["user"]["email"]
        return email

    async def user_of_taskport(self, side: Side) -> str | None:
        response = await self.taskport(side, "GET", "/auth/me")
        assert response.status_code in (200, 401)
        email: str | None = response.json().get("email")
        return email

    def _headers(self, host: str, path: str) -> Headers:
        header = self.jar.header(host, path)
        return {"Cookie": header} if header else {}


@pytest.fixture
async def users(sides: Sides, email: str) -> tuple[str, str]:
    """The addresses of two users, who have signed up in other browsers."""
    side = await sides.with_settings("defaults")
    ada, bob = f"ada-{email}", f"bob-{email}"
    for address in (ada, bob):
        assert side.better_auth.sign_up(address, name=LONG_NAME).is_success
    rows(sides.url, "delete from session")
    return ada, bob


@pytest.mark.parametrize(("before", "now"), CHANGES, ids=map("-".join, CHANGES))
async def test_log_in_of_another_user(
    sides: Sides, users: tuple[str, str], before: str, now: str
) -> None:
    """The browser has cookies of Ada, from before the change and from after it."""
    ada, bob = users
    former, side = await sides.with_settings(before), await sides.with_settings(now)
    browser = Browser()
    browser.sign_in(former, ada)
    assert sum(".session_data." in name for name in browser.jar.names()) > 1
    assert browser.user_of_better_auth(former) == ada
    browser.sign_in(side, ada)

    await browser.log_in(side, bob)

    assert await browser.user_of_taskport(side) == bob
    assert browser.user_of_better_auth(side) == bob
    await browser.taskport(side, "POST", "/auth/logout")
    assert await browser.user_of_taskport(side) is None
    assert browser.user_of_better_auth(side) is None
    assert rows(sides.url, SESSIONS_OF, bob) == []


@pytest.mark.parametrize(("before", "now"), CHANGES, ids=map("-".join, CHANGES))
async def test_log_out(sides: Sides, users: tuple[str, str], before: str, now: str) -> None:
    """It ends every session whose cookie the browser has, and no cache names a user."""
    ada, bob = users
    former, side = await sides.with_settings(before), await sides.with_settings(now)
    browser = Browser()
    browser.sign_in(former, bob)
    browser.sign_in(side, ada)

    assert (await browser.taskport(side, "POST", "/auth/logout")).status_code == 204

    assert await browser.user_of_taskport(side) is None
    assert browser.user_of_better_auth(side) is None
    # Two split caches are more than fits into one response; nobody reads the rest.
    await browser.taskport(side, "POST", "/auth/logout")
    assert browser.jar.names() == []
    assert rows(sides.url, SESSIONS_OF, ada) == []
    # With the same settings, Better Auth replaced his cookie, and left his session alive.
    assert len(rows(sides.url, SESSIONS_OF, bob)) == (before == now)


@pytest.mark.parametrize("now", ["domain", "defaults", "embedded"])
async def test_service_on_another_host(sides: Sides, users: tuple[str, str], now: str) -> None:
    """It clears the cookies of the domain that both hosts are in, also if that is in no setting."""
    ada, bob = users
    former, side = await sides.with_settings("domain"), await sides.with_settings(now)
    for path, body in (("login", {"email": bob, "password": PASSWORD}), ("logout", {})):
        browser = Browser("api.example.com")
        browser.sign_in(former, ada)
        assert browser.user_of_better_auth(former) == ada

        response = await browser.taskport(side, "POST", f"/auth/{path}", json=body)

        assert response.is_success
        assert await browser.user_of_taskport(side) == body.get("email")
        expected = body.get("email") if now == "domain" else None
        assert browser.user_of_better_auth(former) == expected
        assert browser.user_of_better_auth(side) == expected
        names = [name for name in browser.jar.names() if name.endswith("session_token")]
        assert len(names) == (path == "login")


async def test_two_cookies_are_no_dead_end(sides: Sides, users: tuple[str, str]) -> None:
    """Better Auth goes on with the older cookie, this service with none, until a log-in here."""
    ada, bob = users
    former, side = await sides.with_settings("defaults"), await sides.with_settings("domain")
    for path in ("login", "logout"):
        rows(sides.url, "delete from session")
        browser = Browser()
        browser.sign_in(former, ada)
        browser.sign_in(side, bob)
        assert await browser.user_of_taskport(side) is None
        body = {"email": bob, "password": PASSWORD}

        await browser.taskport(side, "POST", f"/auth/{path}", json=body)

        expected = bob if path == "login" else None
        assert await browser.user_of_taskport(side) == expected
        assert browser.user_of_better_auth(side) == expected
        assert rows(sides.url, SESSIONS_OF, ada) == []
        assert len(rows(sides.url, SESSIONS_OF, bob)) == (path == "login")


async def test_cookie_beside_the_password_of_a_proxy(sides: Sides, users: tuple[str, str]) -> None:
    """Both sides ignore schemes other than Bearer."""
    side, browser = await sides.with_settings("defaults"), Browser()
    browser.sign_in(side, users[0])
    cookie = {"Cookie": browser.jar.header(FRONT_END)}
    for scheme in ("Basic YTpi", "Digest x", ""):
        headers = {**cookie, "Authorization": scheme}
        assert side.better_auth.get_session(headers).json()["user"]["email"] == users[0]
        assert (await side.taskport.me(headers)).json()["email"] == users[0]
