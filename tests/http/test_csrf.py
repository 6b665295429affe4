"""Which pages may change something with the cookie that their visitor's browser sends along."""

from typing import Final

import httpx
import pytest

from adapters.http.routing import DirectRoute
from tests.http.backend import Backend, build_backend
from tests.http.client import ask, code
from tests.http.people import (
    BEARERS,
    COOKIE,
    OF_NO_SESSION,
    PASSWORD,
    Headers,
    add_key,
    add_session,
    add_task,
    add_user,
    contents,
    signed,
)
from tests.http.test_matrix import PROTECTED

# Better Auth's own, and two of `CORS_ORIGINS`.
LOCAL, APP, TOOLS = (
    "http://localhost:3000",
    "https://app.example.com",
    "http://tools.example.com:4000",
)
SAFE: Final = {"GET", "HEAD", "OPTIONS"}
REFRESH: Final = "/api/auth/refresh"
LOG_OUT: Final = ("POST", "/api/auth/logout")
SENT: Final[dict[tuple[str, str], object]] = {
    (method, path): sent.get("json") for method, path, sent, _ in PROTECTED
} | {LOG_OUT: None}
SIGNING_IN: Final = (
    ("/api/auth/login", {"email": "ann@example.com", "password": PASSWORD}),
    ("/api/auth/signup", {"email": "new@example.com", "password": PASSWORD}),
)
SIGNS_OF_A_BROWSER: Final = {"origin", "referer", "sec-fetch-site", "cookie"}


def site(value: str) -> tuple[str, str]:
    return "Sec-Fetch-Site", value


def origin(value: str) -> tuple[str, str]:
    return "Origin", value


def referer(value: str) -> tuple[str, str]:
    return "Referer", value


PASSES: Final[dict[str, Headers]] = {
    "same-origin": [site("same-origin")],
    "same-origin, whatever the Origin": [site("same-origin"), origin("http://evil.example")],
    "same-origin, without a name": [site("same-origin"), origin("null")],
    "same-origin, whatever the Referer": [site("same-origin"), referer("http://evil.example/")],
    "Better Auth's origin": [origin(LOCAL)],
    "an origin of CORS": [origin(APP)],
    "another origin of CORS": [origin(TOOLS)],
    "same-site, trusted": [site("same-site"), origin(APP)],
    "cross-site, trusted": [site("cross-site"), origin(APP)],
    "by hand, trusted": [site("none"), origin(TOOLS)],
    "a trusted Origin beside another Referer": [origin(LOCAL), referer("http://evil.example/")],
    "a trusted Origin and Referer": [origin(LOCAL), referer(f"{LOCAL}/tasks")],
    "a Referer": [referer(f"{LOCAL}/")],
    "a Referer without a path": [referer(APP)],
    "a Referer with all that it can have": [referer(f"{APP}/a/b.html?c=d&e=//evil.example/")],
    "a Referer with a port": [referer(f"{TOOLS}/sign-in")],
    "cross-site, a trusted Referer": [site("cross-site"), referer(f"{TOOLS}/sign-in")],
}
REFUSED: Final[dict[str, Headers]] = {
    "nothing": [],
    "a Host that we trust": [("Host", "localhost:3000")],
    "a Host before this one": [("X-Forwarded-Host", "localhost:3000"), ("Forwarded", "host=x")],
    "a header of scripts": [("X-Requested-With", "XMLHttpRequest")],
    "same-site": [site("same-site")],
    "cross-site": [site("cross-site")],
    "by hand": [site("none")],
    "no site": [site("")],
    "another case": [site("Same-Origin")],
    "two sites in one": [site("same-origin, cross-site")],
    "a site with more": [site("same-origin;cross-site")],
    "another origin": [origin("http://evil.example")],
    "another, same-site": [site("same-site"), origin("https://blog.example.com")],
    "another, cross-site": [site("cross-site"), origin("http://evil.example")],
    "no name": [origin("null")],
    "an empty Origin": [origin("")],
    "this service itself": [origin("http://test")],
    "longer at its end": [origin(f"{LOCAL}.evil.example")],
    "longer at its start": [origin("http://evil-localhost:3000")],
    "a port that begins the same": [origin("http://localhost:30001")],
    "a port that ends early": [origin("http://localhost:300")],
    "no port": [origin("http://localhost")],
    "one of CORS without its port": [origin("http://tools.example.com")],
    "another scheme": [origin("https://localhost:3000")],
    "a weaker scheme": [origin("http://app.example.com")],
    "upper case": [origin("HTTP://LOCALHOST:3000")],
    "upper case in the host": [origin("https://App.Example.com")],
    "a slash": [origin(f"{LOCAL}/")],
    "a path": [origin(f"{LOCAL}/tasks")],
    "the port that goes without saying": [origin(f"{APP}:443")],
    "the dot of the root": [origin(f"{APP}.")],
    "a subdomain": [origin("https://evil.app.example.com")],
    "a domain above": [origin("https://example.com")],
    "the address of the host": [origin("http://127.0.0.1:3000")],
    "a user": [origin("http://localhost:3000@evil.example")],
    "two Origins": [origin(LOCAL), origin("http://evil.example")],
    "two Origins, turned round": [origin("http://evil.example"), origin(LOCAL)],
    "two Origins that we trust": [origin(LOCAL), origin(APP)],
    "the same Origin twice": [origin(LOCAL), origin(LOCAL)],
    "a list of Origins": [origin(f"{LOCAL}, http://evil.example")],
    "a list as it once was": [origin(f"{LOCAL} {APP}")],
    "another Origin beside a trusted Referer": [
        origin("http://evil.example"),
        referer(f"{LOCAL}/"),
    ],
    "no name beside a trusted Referer": [origin("null"), referer(f"{LOCAL}/")],
    "two Origins beside a trusted Referer": [origin(APP), origin(APP), referer(f"{APP}/")],
    "an empty Origin beside a trusted Referer": [origin(""), referer(f"{LOCAL}/")],
    "another Referer": [referer("http://evil.example/")],
    "another Referer, same-site": [site("same-site"), referer("https://blog.example.com/")],
    "a Referer that names us in its path": [referer(f"http://evil.example/{LOCAL}/")],
    "a Referer that names us in its query": [referer(f"http://evil.example?{LOCAL}/")],
    "a Referer that names us as its user": [referer(f"{LOCAL}@evil.example/")],
    "a Referer with a backslash": [referer(f"{LOCAL}\\@evil.example/")],
    "a Referer that goes on": [referer(f"{LOCAL}.evil.example/")],
    "a Referer without a scheme": [referer("//localhost:3000/")],
    "a Referer with half a scheme": [referer("localhost:3000/")],
    "a Referer of another scheme": [referer("https://localhost:3000/")],
    "a Referer of no page": [referer("about:blank")],
    "a Referer that is no address": [referer("http://[")],
    "an empty Referer": [referer("")],
}
ROWS: Final = [
    *[pytest.param(headers, True, id=f"passes: {name}") for name, headers in PASSES.items()],
    *[pytest.param(headers, False, id=f"refused: {name}") for name, headers in REFUSED.items()],
]


@pytest.fixture(scope="session")
def trusting_backend() -> Backend:
    """Two origins of CORS, and Better Auth at a third."""
    return build_backend(cors_origins=f"{APP},{TOOLS}", better_auth_url=f"{LOCAL}/")


@pytest.fixture
def routes(trusting_backend: Backend) -> list[tuple[str, str]]:
    """Every route that changes something for somebody who is signed in."""
    return [
        (method, route.path)
        for route in trusting_backend.app.routes
        if isinstance(route, DirectRoute)
        for method in (route.methods or set()) - SAFE
        if route.is_protected or (method, route.path) == LOG_OUT
    ]


class World:
    """Ann, signed in twice, with a task; and her browser."""

    def __init__(self, backend: Backend) -> None:
        self.app, self.store = backend.app, backend.store
        self.begin()

    def begin(self) -> None:
        """As if nothing had happened yet."""
        self.store.clear()
        add_user(self.store)
        add_key(self.store)
        self.task = add_task(self.store)
        self.session = add_session(self.store)
        self.other = add_session(self.store, name="Other")
        self.cookie = [("Cookie", f"{COOKIE}={signed(self.session.token)}")]

    async def send(self, method: str, path: str, headers: Headers) -> httpx.Response:
        where = path.format(task_id=self.task.id, session_id=self.other.id)
        return await ask(self.app, method, where, headers, SENT[method, path])


@pytest.fixture
def world(trusting_backend: Backend) -> World:
    return World(trusting_backend)


def test_there_are_routes_to_look_after(routes: list[tuple[str, str]]) -> None:
    expected = {(method, path) for method, path, _, _ in PROTECTED if method not in SAFE}
    assert set(routes) == expected | {LOG_OUT}


@pytest.mark.parametrize(("headers", "passes"), ROWS)
async def test_what_a_page_may_do(
    world: World, routes: list[tuple[str, str]], headers: Headers, passes: bool
) -> None:
    """The same on every route that a cookie opens; and where it is refused, nothing changes."""
    before = contents(world.store)
    for method, path in routes:
        answer = await world.send(method, path, world.cookie + headers)
        if passes:
            assert answer.is_success, (method, path)
            assert contents(world.store) != before or path == REFRESH, (method, path)
            world.begin()
            before = contents(world.store)
        else:
            assert code(answer) == (403, "CROSS_SITE_REQUEST"), (method, path)
            assert "set-cookie" not in answer.headers
            assert contents(world.store) == before, (method, path)

    # Another site could sign its visitor in to an account of its own; who shows no sign of a
    # browser has no visitors.
    is_browser = any(name.lower() in SIGNS_OF_A_BROWSER for name, _ in headers)
    for path, body in SIGNING_IN:
        answer = await ask(world.app, "POST", path, headers, body)
        if passes or not is_browser:
            assert answer.is_success, path
            assert answer.headers.get_list("set-cookie")
        else:
            assert code(answer) == (403, "CROSS_SITE_REQUEST"), path
            assert "set-cookie" not in answer.headers
            assert contents(world.store) == before, path
    # Nobody is signed out, but a browser would be told to forget who is signed in.
    answer = await ask(world.app, *LOG_OUT, headers)
    assert answer.status_code == 204
    assert ("set-cookie" in answer.headers) is (passes or not is_browser)


@pytest.mark.parametrize("shown", ["theme=dark", "", f"{COOKIE}=x", "own"])
async def test_any_cookie_is_a_sign_of_a_browser(world: World, shown: str) -> None:
    value = f"{COOKIE}={signed(world.session.token)}" if shown == "own" else shown
    before = contents(world.store)
    for path, body in SIGNING_IN:
        refused = await ask(world.app, "POST", path, [("Cookie", value)], body)
        assert code(refused) == (403, "CROSS_SITE_REQUEST")
        assert contents(world.store) == before
    for path, body in SIGNING_IN:
        headers = [("Cookie", value), origin(APP)]
        assert (await ask(world.app, "POST", path, headers, body)).is_success


@pytest.mark.parametrize("name", BEARERS)
async def test_a_bearer_needs_no_origin(
    world: World, routes: list[tuple[str, str]], name: str
) -> None:
    """No page can make a browser send one; also where a cookie stands beside it."""
    for method, path in routes:
        for beside in ([], world.cookie):
            world.begin()
            headers = BEARERS[name](world.session) + beside
            answer = await world.send(method, path, [*headers, origin("http://evil.example")])
            if path == REFRESH and name in OF_NO_SESSION:
                assert code(answer) == (403, "FORBIDDEN")
            else:
                assert answer.is_success, (method, path)


async def test_reading_is_not_checked(world: World) -> None:
    """A page of another origin cannot read the answer; a link to ours must work."""
    hostile = [*world.cookie, site("cross-site"), origin("http://evil.example")]
    for method, path, _, _ in PROTECTED:
        if method == "GET":
            for safe in ("GET", "HEAD"):
                where = path.format(task_id=world.task.id)
                answer = await ask(world.app, safe, where, hostile)
                assert answer.status_code == 200


@pytest.mark.parametrize("name", ["nobody", "a dead cookie", "a bad bearer"])
async def test_who_proves_nothing_is_nobody_before_anything_else(
    world: World, routes: list[tuple[str, str]], name: str
) -> None:
    """401, whatever page it comes from: there is nothing to protect."""
    shown: Headers = {
        "nobody": [],
        "a dead cookie": [("Cookie", f"{COOKIE}={signed('D' * 32)}")],
        "a bad bearer": [("Authorization", "Bearer x"), *world.cookie],
    }[name]
    before = contents(world.store)
    for method, path in routes:
        answer = await world.send(method, path, [*shown, origin("http://evil.example")])
        if (method, path) == LOG_OUT:
            assert answer.status_code == 204
        else:
            assert code(answer) == (401, "UNAUTHENTICATED")
    assert contents(world.store) == before
