"""Better Auth with many plugins: what they change in users and sessions is respected."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest

from tests.interop.better_auth import PASSWORD, VERSIONS_OF_OPTIONS, bearer_of, cookie_of
from tests.interop.sides import OF_A_SESSION, Sides, bearer, both_sides
from tests.interop.taskport import Headers
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]

#: Of `node/plugins.mjs`.
CODE: Final = "123456"
CLIENT: Final = {"client_id": "television"}
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
PHONE_CODE: Final = "select value from verification where identifier like '%%' || %s || '%%'"
EXPIRY: Final = 'select "expiresAt" from session where token = %s'
FOR_AN_HOUR: Final = """
    update session set "expiresAt" = now() + interval '1 hour' where token = %s
"""
RENAMED: Final = {
    "banned": "barred",
    "banExpires": "barredUntil",
    "twoFactorEnabled": "secondStep",
}
RESET: Final = '{"emailAndPassword": {"revokeSessionsOnPasswordReset": true}}'


@pytest.fixture(scope="module", params=VERSIONS_OF_OPTIONS)
async def plugged(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Both sides, Better Auth with many plugins. Tests share them, and their users."""
    async with both_sides(postgres_18_server, request.param, plugins="all", options=RESET) as sides:
        yield sides


async def test_users_and_sessions_of_both_sides(plugged: Sides, email: str) -> None:
    """No column of a plugin is in the way."""
    theirs = plugged.better_auth.sign_up(f"theirs-{email}")
    ours = await plugged.taskport.sign_up(f"ours-{email}")

    assert plugged.better_auth.get_session(cookie_of(theirs)).json()["tier"] == "gold"
    for signed_in in (
        theirs,
        ours,
        await plugged.taskport.log_in(f"theirs-{email}"),
        plugged.better_auth.sign_in(f"ours-{email}"),
    ):
        await plugged.assert_accepted(await credentials_of(plugged, signed_in))


async def test_admin_bans_a_user(plugged: Sides, email: str) -> None:
    admin = cookie_of(plugged.better_auth.sign_up(f"admin-{email}"))
    signed_up = await plugged.taskport.sign_up(email)
    credentials = await credentials_of(plugged, signed_up)
    body = {"userId": signed_up.json()["user"]["id"], "banExpiresIn": 3600}

    post(plugged, "/admin/ban-user", admin, body).raise_for_status()

    for name in ("jwt", "shared secret"):
        response = await plugged.taskport.tasks(credentials[name])
        assert response.json()["error_code"] == "USER_BANNED", name
    await plugged.assert_rejected(credentials, *OF_A_SESSION)
    assert (await plugged.taskport.log_in(email)).json()["error_code"] == "USER_BANNED"


async def test_admin_impersonates_a_user(plugged: Sides, email: str) -> None:
    """For an hour, which the cookies of the impersonation do not prolong."""
    admin = cookie_of(plugged.better_auth.sign_up(f"admin-{email}"))
    user = plugged.better_auth.sign_up(email).json()["user"]

    begun = post(plugged, "/admin/impersonate-user", admin, {"userId": user["id"]})

    cookie = cookie_of(begun.raise_for_status())
    token = begun.json()["session"]["token"]
    before = plugged.rows(EXPIRY, token)
    assert (await plugged.taskport.me(cookie)).json()["email"] == email
    assert (await plugged.taskport.refresh(cookie)).is_success
    assert plugged.rows(EXPIRY, token) == before
    # As a bearer, without the cookie beside it, either side takes it for an ordinary session.
    for prolong in (plugged.taskport.validate, None):
        plugged.rows(FOR_AN_HOUR, token)
        before = plugged.rows(EXPIRY, token)
        if prolong:
            await prolong(bearer(token))
        else:
            plugged.better_auth.get_session(bearer(token))
        assert plugged.rows(EXPIRY, token) != before
    ended = post(plugged, "/admin/stop-impersonating", cookie, {}).raise_for_status()
    assert (await plugged.taskport.me(cookie)).status_code == 401
    assert (await plugged.taskport.me(cookie_of(ended))).json()["email"] == f"admin-{email}"


async def test_second_factor(plugged: Sides, email: str) -> None:
    cookie = cookie_of(plugged.better_auth.sign_up(email))
    enabled = post(plugged, "/two-factor/enable", cookie, {"password": PASSWORD})
    code = enabled.raise_for_status().json()["backupCodes"][0]
    # Without `skipVerificationOnEnable`, a code would turn it on.
    plugged.rows('update "user" set "twoFactorEnabled" = true where email = %s', email)

    refused = await plugged.taskport.log_in(email)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "SECOND_FACTOR_REQUIRED")
    begun = plugged.better_auth.sign_in(email)
    assert begun.json()["twoFactorRedirect"] is True
    assert (await plugged.taskport.me(cookie_of(begun))).status_code == 401
    verified = post(plugged, "/two-factor/verify-backup-code", cookie_of(begun), {"code": code})
    await assert_signed_in(plugged, verified, email)


async def test_device_authorization(plugged: Sides, email: str) -> None:
    cookie = cookie_of(plugged.better_auth.sign_up(email))
    device = post(plugged, "/device/code", {}, CLIENT).raise_for_status().json()
    plugged.better_auth.request(
        "GET", "/device", cookie, params={"user_code": device["user_code"]}
    ).raise_for_status()
    post(plugged, "/device/approve", cookie, {"userCode": device["user_code"]}).raise_for_status()

    grant = {"grant_type": DEVICE_GRANT, "device_code": device["device_code"], **CLIENT}
    token = post(plugged, "/device/token", {}, grant).raise_for_status().json()["access_token"]

    valid = (await plugged.taskport.validate(bearer(token))).raise_for_status().json()
    assert (valid["user"]["email"], valid["credential"]) == (email, "session_token")


async def test_email_otp(plugged: Sides, email: str) -> None:
    sent = {"email": email, "type": "sign-in"}
    post(plugged, "/email-otp/send-verification-otp", {}, sent).raise_for_status()

    signed_in = post(plugged, "/sign-in/email-otp", {}, {"email": email, "otp": CODE})

    await assert_signed_in(plugged, signed_in, email)
    assert (await plugged.taskport.log_in(email)).status_code == 401, "no password"


async def test_password_reset_ends_sessions(plugged: Sides, email: str) -> None:
    """`revokeSessionsOnPasswordReset`."""
    credentials = await credentials_of(plugged, await plugged.taskport.sign_up(email))
    sent = {"email": email, "type": "forget-password"}
    post(plugged, "/email-otp/send-verification-otp", {}, sent).raise_for_status()
    new = {"email": email, "otp": CODE, "password": "correct horse staple"}
    post(plugged, "/email-otp/reset-password", {}, new).raise_for_status()

    await plugged.assert_rejected(credentials, *OF_A_SESSION)
    assert (await plugged.taskport.log_in(email)).status_code == 401
    assert (await plugged.taskport.log_in(email, new["password"])).is_success


async def test_magic_link(plugged: Sides, email: str) -> None:
    post(plugged, "/sign-in/magic-link", {}, {"email": email}).raise_for_status()

    link = {"token": f"link-of-{email}"}
    signed_in = plugged.better_auth.request("GET", "/magic-link/verify", params=link)

    await assert_signed_in(plugged, signed_in, email)
    assert (await plugged.taskport.log_in(email)).status_code == 401, "no password"


async def test_multi_session(plugged: Sides, email: str) -> None:
    """The active session counts. A log-out here ends that one only."""
    first = plugged.better_auth.sign_up(f"first-{email}")
    jar = cookies_of(first)
    body = {"email": f"second-{email}", "password": PASSWORD, "name": "Ada"}
    second = plugged.better_auth.request("POST", "/sign-up/email", header(jar), json=body)
    jar |= cookies_of(second.raise_for_status())
    assert len([name for name in jar if "_multi-" in name]) == 2
    assert (await plugged.taskport.me(header(jar))).json()["email"] == f"second-{email}"

    switch = {"sessionToken": first.json()["token"]}
    switched = post(plugged, "/multi-session/set-active", header(jar), switch)

    jar |= cookies_of(switched.raise_for_status())
    assert (await plugged.taskport.me(header(jar))).json()["email"] == f"first-{email}"
    assert (await plugged.taskport.log_out(header(jar))).status_code == 204
    assert (await plugged.taskport.me(header(jar))).status_code == 401
    assert (await plugged.taskport.me(cookie_of(second))).json()["email"] == f"second-{email}"


async def test_one_time_token(plugged: Sides, email: str) -> None:
    signed_up = plugged.better_auth.sign_up(email)
    made = plugged.better_auth.request("GET", "/one-time-token/generate", cookie_of(signed_up))
    token = made.raise_for_status().json()["token"]
    assert (await plugged.taskport.me(bearer(token))).status_code == 401

    verified = post(plugged, "/one-time-token/verify", {}, {"token": token}).raise_for_status()

    session = bearer(verified.json()["session"]["token"])
    assert (await plugged.taskport.me(session)).json()["email"] == email


async def test_phone_number(plugged: Sides, email: str) -> None:
    number = f"+1{int(email[:12], 16):015}"
    post(plugged, "/phone-number/send-otp", {}, {"phoneNumber": number}).raise_for_status()
    [row] = plugged.rows(PHONE_CODE, number)
    body = {"phoneNumber": number, "code": row["value"].partition(":")[0]}

    signed_in = post(plugged, "/phone-number/verify", {}, body)

    await assert_signed_in(plugged, signed_in, f"{number[1:]}@example.com")


async def test_username(plugged: Sides, email: str) -> None:
    name = f"u{email[:20]}"
    plugged.better_auth.sign_up(email, username=name).raise_for_status()

    body = {"username": name, "password": PASSWORD}
    signed_in = post(plugged, "/sign-in/username", {}, body)

    await assert_signed_in(plugged, signed_in, email)
    assert (await plugged.taskport.log_in(email)).is_success
    assert (await plugged.taskport.log_in(name)).status_code == 422


async def test_guest_is_a_user(plugged: Sides) -> None:
    guest = post(plugged, "/sign-in/anonymous", {}, {})

    await assert_signed_in(plugged, guest, guest.json()["user"]["email"])
    assert (await plugged.taskport.create(cookie_of(guest))).status_code == 201


@pytest.mark.parametrize("version", VERSIONS_OF_OPTIONS)
@pytest.mark.usefixtures("node_modules")
async def test_renamed_columns_of_plugins(
    postgres_18_server: PostgresServer, email: str, version: str
) -> None:
    """`schema` of `admin` and `twoFactor`."""
    async with both_sides(
        postgres_18_server,
        version,
        plugins="renamed",
        ours={"better_auth_models": json.dumps({"user": {"fields": RENAMED}})},
    ) as sides:
        admin = cookie_of(sides.better_auth.sign_up(f"admin-{email}"))
        for name, column in (("banned", "barred"), ("careful", "secondStep")):
            user = sides.better_auth.sign_up(f"{name}-{email}").json()["user"]
            if name == "banned":
                body = {"userId": user["id"], "banExpiresIn": 3600}
                post(sides, "/admin/ban-user", admin, body).raise_for_status()
            else:
                sides.rows('update "user" set "secondStep" = true where id = %s', user["id"])
            assert sides.rows(
                f'select "{column}" is_set from "user" where id = %s', user["id"]
            ) == [{"is_set": True}]
        banned = await sides.taskport.log_in(f"banned-{email}")
        assert banned.json()["error_code"] == "USER_BANNED"
        careful = await sides.taskport.log_in(f"careful-{email}")
        assert careful.json()["error_code"] == "SECOND_FACTOR_REQUIRED"


async def assert_signed_in(plugged: Sides, signed_in: httpx.Response, email: str) -> None:
    """Both sides accept each form of the session that Better Auth created."""
    cookie = cookie_of(signed_in.raise_for_status())
    for credential in (cookie, bearer_of(signed_in), plugged.jwt(cookie)):
        assert (await plugged.taskport.me(credential)).json()["email"] == email
    assert plugged.better_auth.get_session(cookie).json()["user"]["email"] == email


async def credentials_of(plugged: Sides, signed_in: httpx.Response) -> dict[str, Headers]:
    """All credentials: the session cookie first, without the cookies of plugins."""
    return await plugged.credentials(signed_in.raise_for_status())


def post(plugged: Sides, path: str, credential: Headers, body: Any) -> httpx.Response:
    return plugged.better_auth.request("POST", path, credential, json=body)


def cookies_of(response: httpx.Response) -> dict[str, str]:
    """The cookies that a browser has after a response, by name."""
    pairs = cookie_of(response)["Cookie"].split("; ")
    return dict(pair.split("=", 1) for pair in pairs)


def header(jar: dict[str, str]) -> Headers:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}
