"""Options of Better Auth's core, each with the setting of Taskport that agrees with it."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest

from adapters.postgres.layout import LayoutOptions
from adapters.postgres.schema import migrate
from tests.interop.better_auth import VERSIONS_OF_OPTIONS, better_auth, cookie_of, server
from tests.interop.layouts import Layout, sides_of_layout
from tests.interop.sides import SharedSides, Sides, attributes, both_sides, rows
from tests.interop.taskport import NO_KEYS, SECRET, taskport
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres, pytest.mark.usefixtures("node_modules")]

HOUR: Final = 3600
ADMIN_ORIGIN: Final = "https://admin.example.com"
#: The second secret is one of the past.
SECRETS: Final = [{"version": 2, "value": SECRET}, {"version": 1, "value": SECRET[::-1]}]
EMBEDDED: Final = {"sameSite": "none", "secure": True, "partitioned": True}
NAMED: Final = {
    "session_token": {"name": "sid", "attributes": {"path": "/api"}},
    "dont_remember": {"name": "forget"},
}
AGED: Final = """
    update session set "expiresAt" = now() + interval '1 s' * %s where token = %s
"""


@pytest.fixture(scope="module", params=VERSIONS_OF_OPTIONS)
async def agreed(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Both sides with options and settings that agree, none of them the default."""
    async with both_sides(
        postgres_18_server,
        request.param,
        base_url="https://app.example.com",
        cookie_prefix="shop",
        cookie_domain="example.com",
        expires_in=2 * HOUR,
        update_age=HOUR,
        trusted_origins=ADMIN_ORIGIN,
        options=json.dumps({"secrets": SECRETS}),
        ours={
            "session_expires_in": 2 * HOUR,
            "session_update_age": HOUR,
            "cors_origins": ADMIN_ORIGIN,
        },
    ) as sides:
        yield sides


@pytest.fixture(scope="module", params=VERSIONS_OF_OPTIONS)
async def verifying(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Both sides, which require that addresses are verified."""
    async with both_sides(
        postgres_18_server,
        request.param,
        require_email_verification=True,
        ours={"require_email_verification": True},
    ) as sides:
        yield sides


async def test_cookies_with_a_prefix_and_a_domain(agreed: Sides, email: str) -> None:
    theirs = agreed.better_auth.sign_up(email)
    ours = await agreed.taskport.log_in(email)

    assert attributes(ours) == attributes(theirs)
    assert attributes(ours) >= {"__Secure-shop.session_token", "Domain=example.com", "Secure"}
    for signed_in in (theirs, ours):
        await agreed.assert_accepted(await agreed.credentials(signed_in))


@pytest.mark.parametrize("version", VERSIONS_OF_OPTIONS)
async def test_cookies_with_names_and_attributes(
    postgres_18_server: PostgresServer, email: str, version: str
) -> None:
    """`cookies`, `defaultCookieAttributes` and `useSecureCookies`."""
    options = {
        "useSecureCookies": False,
        "defaultCookieAttributes": EMBEDDED,
        "cookies": NAMED,
    }
    ours = {
        "better_auth_use_secure_cookies": False,
        "better_auth_default_cookie_attributes": json.dumps(EMBEDDED),
        "better_auth_cookies": json.dumps(NAMED),
    }
    async with both_sides(
        postgres_18_server,
        version,
        base_url="https://app.example.com",
        options=json.dumps({"advanced": options}),
        ours=ours,
    ) as sides:
        signed_up = sides.better_auth.sign_up(email)
        theirs, here = (named(r, "sid") for r in (signed_up, await sides.taskport.log_in(email)))
        assert here == theirs
        assert here == {
            *("Max-Age=604800", "Path=/api", "HttpOnly"),
            *("Secure", "SameSite=None", "Partitioned"),
        }
        await sides.assert_accepted(await sides.credentials(signed_up))
        temporary = cookie_of(sides.better_auth.sign_in(email, rememberMe=False))
        assert "forget=" in temporary["Cookie"]
        refreshed = await sides.taskport.refresh(temporary)
        assert named(refreshed, "forget") == {
            *("Path=/", "HttpOnly", "Secure", "SameSite=None", "Partitioned"),
        }


async def test_lifetime_and_update_age(agreed: Sides, email: str) -> None:
    """Both sides create sessions for two hours, and prolong them in the second one."""
    agreed.better_auth.sign_up(email)
    theirs, ours = agreed.better_auth.sign_in(email), await agreed.taskport.log_in(email)
    lifetimes = [lifetime_of(agreed, signed_in.json()) for signed_in in (theirs, ours)]
    assert lifetimes == [timedelta(hours=2)] * 2

    for signed_in in (theirs, ours):
        cookie, token = cookie_of(signed_in), token_of(signed_in.json())
        for prolong in (agreed.taskport.me, None):
            for rest, is_prolonged in ((HOUR + 60, False), (HOUR - 60, True)):
                agreed.rows(AGED, rest, token)
                response = await prolong(cookie) if prolong else None
                response = response or agreed.better_auth.get_session(cookie)
                assert ("set-cookie" in response.headers) is is_prolonged, (rest, prolong)


async def test_trusted_origin(agreed: Sides, email: str) -> None:
    """`trustedOrigins`, for changes by cookie."""
    for origin, is_trusted in ((ADMIN_ORIGIN, True), ("https://other.example.com", False)):
        cookie = cookie_of(agreed.better_auth.sign_up(f"{is_trusted}-{email}".lower()))
        sent = {**cookie, "Origin": origin}
        assert (await agreed.taskport.create(sent)).is_success is is_trusted
        assert agreed.better_auth.sign_out(sent).is_success is is_trusted


async def test_first_of_several_secrets(agreed: Sides, email: str) -> None:
    """`secrets`: the first one signs cookies and encrypts the keys of JWTs."""
    credentials = await agreed.credentials(agreed.better_auth.sign_up(email))
    await agreed.assert_accepted(credentials, "cookie", "signed bearer", "jwt")


async def test_required_verification(verifying: Sides, email: str) -> None:
    for side in ("theirs", "ours"):
        address = f"{side}-{email}"
        if side == "theirs":
            signed_up = verifying.better_auth.sign_up(address)
        else:
            signed_up = await verifying.taskport.sign_up(address)
        assert signed_up.is_success
        assert "set-cookie" not in signed_up.headers
        assert verifying.better_auth.sign_in(address).json()["code"] == "EMAIL_NOT_VERIFIED"
        refused = await verifying.taskport.log_in(address)
        assert refused.json()["error_code"] == "EMAIL_NOT_VERIFIED"

        verifying.rows('update "user" set "emailVerified" = true where email = %s', address)
        assert verifying.better_auth.sign_in(address).is_success
        assert (await verifying.taskport.log_in(address)).is_success


@pytest.mark.parametrize("version", VERSIONS_OF_OPTIONS)
async def test_closed_sign_up(postgres_18_server: PostgresServer, email: str, version: str) -> None:
    """`disableSignUp`."""
    options = json.dumps({"emailAndPassword": {"disableSignUp": True}})
    async with both_sides(
        postgres_18_server, version, options=options, ours={"sign_up": False}
    ) as sides:
        assert sides.better_auth.sign_up(email).status_code == 400
        assert (await sides.taskport.sign_up(email)).json()["error_code"] == "SIGN_UP_CLOSED"
        assert sides.rows('select 1 from "user"') == []


@pytest.mark.parametrize("layout", ["kysely_serial", "kysely_uuid"])
@pytest.mark.parametrize("version", VERSIONS_OF_OPTIONS)
async def test_ids_of_each_kind(
    postgres_18_server: PostgresServer, email: str, version: str, layout: Layout
) -> None:
    """`advanced.database.generateId`."""
    async with sides_of_layout(postgres_18_server, layout, version) as sides:
        await assert_shared(sides, email)


@pytest.mark.parametrize("version", VERSIONS_OF_OPTIONS)
async def test_renamed_tables_and_columns(
    postgres_18_server: PostgresServer, email: str, version: str
) -> None:
    """`modelName` and `fields`."""
    async with sides_of_layout(postgres_18_server, "kysely_custom", version) as sides:
        await assert_shared(sides, email)


@pytest.mark.parametrize("version", VERSIONS_OF_OPTIONS)
async def test_tables_of_another_schema(
    postgres_18_server: PostgresServer, email: str, version: str
) -> None:
    """`schemaName`, or in versions without it the `search_path`; beside tables in `public`."""
    with postgres_18_server.database(template="template0") as url:
        rows(url, "create schema auth")
        better_auth(url, "run", VERSION=version)
        better_auth(url, "run", VERSION=version, LAYOUT="kysely_schema")
        migrate(url, options=LayoutOptions("auth"))
        with server(url, secret=SECRET, version=version, layout="kysely_schema") as running:
            async with taskport(
                url,
                running.origin,
                better_auth_jwks_url=NO_KEYS,
                better_auth_schema="auth",
            ) as ours:
                sides = SharedSides(running, ours, url)
                await assert_shared(sides, email)
                assert len(sides.rows("select 1 from auth.user")) == 2
                assert sides.rows("select 1 from public.user") == []


async def assert_shared(sides: SharedSides, email: str) -> None:
    """Users and sessions of both sides are accepted by both."""
    theirs = sides.better_auth.sign_up(f"theirs-{email}")
    ours = await sides.taskport.sign_up(f"ours-{email}")
    for signed_in in (
        theirs,
        ours,
        await sides.taskport.log_in(f"theirs-{email}"),
        sides.better_auth.sign_in(f"ours-{email}"),
    ):
        await sides.assert_accepted(await sides.credentials(signed_in.raise_for_status()))


def named(response: httpx.Response, name: str) -> set[str]:
    """The attributes of a cookie that a response sets."""
    [line] = [c for c in response.headers.get_list("set-cookie") if c.startswith(f"{name}=")]
    return {attribute.strip() for attribute in line.split(";")[1:]}


def token_of(body: dict[str, Any]) -> str:
    token: str = body.get("token") or body["session_token"]
    return token


def lifetime_of(sides: Sides, body: dict[str, Any]) -> timedelta:
    query = 'select "expiresAt" - "createdAt" lifetime from session where token = %s'
    [row] = sides.rows(query, token_of(body))
    return timedelta(seconds=round(row["lifetime"].total_seconds()))
