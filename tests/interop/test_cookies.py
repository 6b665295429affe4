"""Cookies with other names and attributes, and Better Auth's cache of sessions in a cookie."""

from collections.abc import AsyncIterator, Mapping
from typing import Final, Literal

import httpx
import pytest

from tests.interop.better_auth import cookie_of
from tests.interop.sides import OF_A_SESSION, Sides, attributes, both_sides
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]

Strategy = Literal["compact", "jwt", "jwe"]
STRATEGIES: Final[Mapping[str, Strategy]] = {"1.6.30": "compact", "1.7.7": "jwt", "1.7.24": "jwe"}
SESSION: Final = "__Secure-shop.session_token"
CACHE: Final = "__Secure-shop.session_data"
EXPIRED: Final = ("Max-Age=0", "Domain=example.com", "Path=/", "HttpOnly", "Secure", "SameSite=Lax")


@pytest.fixture(scope="module", params=STRATEGIES)
async def secure_sides(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Both sides, behind https and on several subdomains."""
    async with both_sides(
        postgres_18_server,
        request.param,
        base_url="https://app.example.com",
        cookie_prefix="shop",
        cookie_domain="example.com",
        cookie_cache=STRATEGIES[request.param],
    ) as sides:
        yield sides


async def test_both_sides_accept_cookies_of_either(secure_sides: Sides, email: str) -> None:
    theirs = secure_sides.better_auth.sign_up(email)
    ours = await secure_sides.taskport.log_in(email)

    assert attributes(ours) == attributes(theirs)
    assert attributes(ours) == {
        SESSION,
        "Max-Age=604800",
        "Domain=example.com",
        "Path=/",
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
    }
    for signed_in in (theirs, ours):
        credentials = await secure_sides.credentials(signed_in)
        assert SESSION in credentials["cookie"]["Cookie"]
        await secure_sides.assert_accepted(credentials)


async def test_log_out_expires_all_cookies_that_sign_out_expires(
    secure_sides: Sides, email: str
) -> None:
    """With the domain, without which a browser would keep them."""
    theirs = secure_sides.better_auth.sign_out(cookie_of(secure_sides.better_auth.sign_up(email)))
    ours = await secure_sides.taskport.log_out(cookie_of(secure_sides.better_auth.sign_in(email)))

    assert set_cookies(theirs) <= set_cookies(ours)
    assert {frozenset({f"{name}=", *EXPIRED}) for name in (SESSION, CACHE)} <= set_cookies(theirs)


@pytest.mark.parametrize("plain", ["shop.session_token", "better-auth.session_token"])
async def test_cookie_that_plain_http_can_set_is_ignored(
    secure_sides: Sides, email: str, plain: str
) -> None:
    """As Better Auth ignores it. Also if the secure one is sent with it."""
    cookie = cookie_of(secure_sides.better_auth.sign_up(email))["Cookie"].split("; ")[0]
    other = cookie_of(await secure_sides.taskport.sign_up(f"other-{email}"))["Cookie"]
    tossed = {"Cookie": cookie.replace(SESSION, plain)}
    beside = {"Cookie": f"{other.replace(SESSION, plain)}; {cookie}"}

    assert (await secure_sides.taskport.validate(tossed)).status_code == 401
    assert secure_sides.better_auth.get_session(tossed).json() is None
    assert (await secure_sides.taskport.me(beside)).json()["email"] == email
    assert secure_sides.better_auth.get_session(beside).json()["user"]["email"] == email


async def test_session_that_is_only_in_the_cookie_cache_is_rejected(
    secure_sides: Sides, email: str
) -> None:
    """Better Auth trusts its cache for minutes; we never read it."""
    signed_up = secure_sides.better_auth.sign_up(email)
    credentials = await secure_sides.credentials(signed_up)
    assert f"{CACHE}=" in credentials["cookie"]["Cookie"]
    await secure_sides.assert_accepted(credentials)

    secure_sides.rows("delete from session where token = %s", signed_up.json()["token"])

    assert (
        secure_sides.better_auth.get_session(credentials["cookie"]).json()["user"]["email"] == email
    )
    for name in OF_A_SESSION:
        assert (await secure_sides.taskport.validate(credentials[name])).status_code == 401, name
        assert (await secure_sides.taskport.tasks(credentials[name])).status_code == 401, name


async def test_cookie_cache_alone_is_rejected(secure_sides: Sides, email: str) -> None:
    cookies = cookie_of(secure_sides.better_auth.sign_up(email))["Cookie"].split("; ")
    [cache] = [cookie for cookie in cookies if cookie.startswith(f"{CACHE}=")]
    value = cache.partition("=")[2]

    for credential in (
        {"Cookie": cache},
        {"Cookie": f"{SESSION}={value}"},
        {"Authorization": f"Bearer {value}"},
    ):
        assert (await secure_sides.taskport.validate(credential)).status_code == 401


def set_cookies(response: httpx.Response) -> set[frozenset[str]]:
    """The cookies that a response sets, each as a set of its parts."""
    return {frozenset(line.split("; ")) for line in response.headers.get_list("set-cookie")}
