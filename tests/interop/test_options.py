"""Options of Better Auth that are settings here: both sides behave alike with them."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from tests.interop.better_auth import PASSWORD, VERSIONS_OF_OPTIONS, cookie_of
from tests.interop.sides import OF_A_SESSION, TO_BE_PROLONGED, Sides, attributes, both_sides
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]

TIMES: Final = 'select "expiresAt", "updatedAt" from session where token = %s'
#: The lengths of passwords that both sides accept.
LENGTHS: Final = (12, 140)
STRICT: Final[dict[str, Any]] = {
    "advanced": {"ipAddress": {"disableIpTracking": True}},
    "session": {"disableSessionRefresh": True, "updateAge": 0},
    "emailAndPassword": {
        "minPasswordLength": LENGTHS[0],
        "maxPasswordLength": LENGTHS[1],
        "autoSignIn": False,
    },
}
OURS_STRICT: Final[dict[str, Any]] = {
    "disable_session_refresh": True,
    "disable_ip_tracking": True,
    "session_update_age": 0,
    "min_password_length": LENGTHS[0],
    "max_password_length": LENGTHS[1],
    "auto_sign_in": False,
    "bearer_require_signature": True,
}
CLOSED: Final[dict[str, Any]] = {"emailAndPassword": {"enabled": False}}
OURS_CLOSED: Final[dict[str, Any]] = {"email_and_password": False, "delete_user": False}


@pytest.fixture(scope="module", params=VERSIONS_OF_OPTIONS)
async def strict(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Sides with further limits, for each version of Better Auth."""
    async with both_sides(
        postgres_18_server,
        request.param,
        ours=OURS_STRICT,
        bearer_require_signature=True,
        options=json.dumps(STRICT),
    ) as sides:
        yield sides


@pytest.fixture(scope="module", params=VERSIONS_OF_OPTIONS)
async def closed(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Sides without passwords and without deletions by users."""
    async with both_sides(
        postgres_18_server, request.param, ours=OURS_CLOSED, options=json.dumps(CLOSED)
    ) as sides:
        yield sides


async def test_sessions_are_never_prolonged(strict: Sides, email: str) -> None:
    """`disableSessionRefresh`, also with an `updateAge` of 0."""
    strict.better_auth.sign_up(email)
    credentials = await strict.credentials(strict.better_auth.sign_in(email))
    token = credentials["raw bearer"]["Authorization"].removeprefix("Bearer ")
    strict.rows(TO_BE_PROLONGED, token)
    before = strict.rows(TIMES, token)

    for name in OF_A_SESSION:
        if name == "raw bearer":
            continue
        for response in (
            await strict.taskport.me(credentials[name]),
            await strict.taskport.validate(credentials[name]),
        ):
            assert response.is_success, name
            assert "set-cookie" not in response.headers
        assert (await strict.taskport.refresh(credentials[name])).is_success, name
    refreshed = await strict.taskport.refresh(credentials["cookie"])
    assert attributes(refreshed) >= {"Max-Age=432000"}, "the five days that are left"
    theirs = strict.better_auth.get_session(credentials["cookie"])
    assert theirs.json()["session"]["token"] == token
    assert "set-cookie" not in theirs.headers
    assert strict.rows(TIMES, token) == before


async def test_addresses_are_not_stored(strict: Sides, email: str) -> None:
    """`disableIpTracking`, whatever the proxies report."""
    strict.better_auth.sign_up(email)
    forwarded = {"X-Forwarded-For": "203.0.113.7"}
    body = {"email": email, "password": PASSWORD}
    strict.better_auth.request("POST", "/sign-in/email", forwarded, json=body).raise_for_status()
    ours = await strict.taskport.request("POST", "/auth/login", forwarded, json=body)
    assert ours.json()["session"]["ip_address"] is None
    sessions = (await strict.taskport.sessions(cookie_of(ours))).json()["data"]
    assert [session["ip_address"] for session in sessions] == [None, None]


async def test_raw_session_token_is_no_bearer(strict: Sides, email: str) -> None:
    """`bearer({ requireSignature: true })`."""
    strict.better_auth.sign_up(email)
    credentials = await strict.credentials(strict.better_auth.sign_in(email))

    await strict.assert_rejected(credentials, "raw bearer")
    await strict.assert_accepted(credentials, "cookie", "signed bearer", "encoded bearer")


@pytest.mark.parametrize("length", [LENGTHS[0] - 1, *LENGTHS, LENGTHS[1] + 1])
@pytest.mark.parametrize("character", ["x", "😀"])
async def test_lengths_of_passwords(strict: Sides, email: str, length: int, character: str) -> None:
    """Both sides accept the same passwords, and each those of users of the other."""
    size = len(character.encode("utf-16-le")) // 2
    password = character * (length // size) + "y" * (length % size)
    theirs = strict.better_auth.sign_up(f"theirs-{email}", password)
    ours = await strict.taskport.sign_up(f"ours-{email}", password)

    is_valid = LENGTHS[0] <= length <= LENGTHS[1]
    assert (theirs.is_success, ours.is_success) == (is_valid, is_valid)
    for side in ("theirs", "ours"):
        address = f"{side}-{email}"
        assert strict.better_auth.sign_in(address, password).is_success is is_valid
        assert (await strict.taskport.log_in(address, password)).is_success is is_valid


async def test_sign_up_without_a_session(strict: Sides, email: str) -> None:
    """`autoSignIn: false`."""
    theirs = strict.better_auth.sign_up(f"theirs-{email}")
    ours = await strict.taskport.sign_up(f"ours-{email}")

    assert (theirs.json()["token"], ours.json()["session_token"]) == (None, None)
    assert "set-cookie" not in theirs.headers
    assert "set-cookie" not in ours.headers
    for side in ("theirs", "ours"):
        user = 'select id from "user" where email = %s'
        [row] = strict.rows(user, f"{side}-{email}")
        assert strict.rows('select 1 from session where "userId" = %s', row["id"]) == []


async def test_passwords_are_turned_off(closed: Sides, email: str) -> None:
    """`emailAndPassword.enabled: false`. Sessions of other ways to sign in are accepted."""
    theirs, ours = closed.better_auth.sign_up(email), await closed.taskport.sign_up(email)
    assert theirs.json()["code"] == "EMAIL_PASSWORD_SIGN_UP_DISABLED"
    assert (ours.status_code, ours.json()["error_code"]) == (403, "SIGN_UP_CLOSED")
    theirs, ours = closed.better_auth.sign_in(email), await closed.taskport.log_in(email)
    assert theirs.json()["code"] == "EMAIL_PASSWORD_DISABLED"
    assert (ours.status_code, ours.json()["error_code"]) == (403, "SIGN_IN_ELSEWHERE")
    assert closed.rows('select 1 from "user" where email = %s', email) == []

    closed.better_auth.restart(options=json.dumps({"emailAndPassword": {"enabled": True}}))
    cookie = cookie_of(closed.better_auth.sign_up(email))
    closed.better_auth.restart(options=json.dumps(CLOSED))
    assert (await closed.taskport.log_in(email)).json()["error_code"] == "SIGN_IN_ELSEWHERE"
    await closed.assert_accepted({"cookie": cookie})

    # Deletion is off unless `user.deleteUser.enabled` turns it on.
    assert closed.better_auth.delete_user(cookie, PASSWORD).status_code == 404
    refused = await closed.taskport.delete_account(cookie)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "FORBIDDEN")
    await closed.assert_accepted({"cookie": cookie})
