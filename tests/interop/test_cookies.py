"""Cookies by other names than the usual ones, and Better Auth's cache of sessions in a cookie."""

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
async def dressed(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Both sides, as they are behind https and on several subdomains."""
    async with both_sides(
        postgres_18_server,
        request.param,
        base_url="https://app.example.com",
        cookie_prefix="shop",
        cookie_domain="example.com",
        cookie_cache=STRATEGIES[request.param],
    ) as sides:
        yield sides


async def test_cookies_of_either_side_are_good_on_both(dressed: Sides, email: str) -> None:
    theirs = dressed.there.sign_up(email)
    ours = await dressed.here.log_in(email)

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
        forms = await dressed.forms(signed_in)
        assert SESSION in forms["cookie"]["Cookie"]
        await dressed.assert_alive(forms)


async def test_log_out_takes_away_what_sign_out_does(dressed: Sides, email: str) -> None:
    """A browser keeps a cookie whose domain is not named."""
    theirs = dressed.there.sign_out(cookie_of(dressed.there.sign_up(email)))
    ours = await dressed.here.log_out(cookie_of(dressed.there.sign_in(email)))

    assert taken(theirs) <= taken(ours)
    assert {frozenset({f"{name}=", *EXPIRED}) for name in (SESSION, CACHE)} <= taken(theirs)


@pytest.mark.parametrize("plain", ["shop.session_token", "better-auth.session_token"])
async def test_a_cookie_that_plain_http_can_set_is_ignored(
    dressed: Sides, email: str, plain: str
) -> None:
    """As Better Auth ignores it; beside the right one, too."""
    cookie = cookie_of(dressed.there.sign_up(email))["Cookie"].split("; ")[0]
    other = cookie_of(await dressed.here.sign_up(f"other-{email}"))["Cookie"]
    tossed = {"Cookie": cookie.replace(SESSION, plain)}
    beside = {"Cookie": f"{other.replace(SESSION, plain)}; {cookie}"}

    assert (await dressed.here.validate(tossed)).status_code == 401
    assert dressed.there.get_session(tossed).json() is None
    assert (await dressed.here.me(beside)).json()["email"] == email
    assert dressed.there.get_session(beside).json()["user"]["email"] == email


async def test_a_session_that_only_the_cache_remembers_is_dead(dressed: Sides, email: str) -> None:
    """Better Auth believes its cache for minutes; we never look at it."""
    signed_up = dressed.there.sign_up(email)
    forms = await dressed.forms(signed_up)
    assert f"{CACHE}=" in forms["cookie"]["Cookie"]
    await dressed.assert_alive(forms)

    dressed.rows("delete from session where token = %s", signed_up.json()["token"])

    assert dressed.there.get_session(forms["cookie"]).json()["user"]["email"] == email
    for name in OF_A_SESSION:
        assert (await dressed.here.validate(forms[name])).status_code == 401, name
        assert (await dressed.here.tasks(forms[name])).status_code == 401, name


async def test_the_cache_alone_is_no_credential(dressed: Sides, email: str) -> None:
    cookies = cookie_of(dressed.there.sign_up(email))["Cookie"].split("; ")
    [cache] = [cookie for cookie in cookies if cookie.startswith(f"{CACHE}=")]
    value = cache.partition("=")[2]

    for credential in (
        {"Cookie": cache},
        {"Cookie": f"{SESSION}={value}"},
        {"Authorization": f"Bearer {value}"},
    ):
        assert (await dressed.here.validate(credential)).status_code == 401


def taken(answer: httpx.Response) -> set[frozenset[str]]:
    """What an answer says of each cookie, in whatever order."""
    return {frozenset(line.split("; ")) for line in answer.headers.get_list("set-cookie")}
