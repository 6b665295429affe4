"""Accounts of both sides end on both, on tables in each layout that Better Auth's adapters make."""

from typing import Any

import httpx
import pytest

from tests.interop.better_auth import PASSWORD, cookie_of
from tests.interop.sides import SharedSides
from tests.interop.taskport import Headers

pytestmark = [pytest.mark.node, pytest.mark.postgres]


async def test_account_deleted_by_better_auth_is_deleted_on_both_sides(
    shared: SharedSides, email: str
) -> None:
    credentials = await shared.credentials(await shared.taskport.sign_up(email))
    user_id = await create_task(shared, credentials["cookie"])

    assert shared.better_auth.delete_user(credentials["cookie"]).json()["success"] is True

    assert tasks_of(shared, user_id) == []
    await shared.assert_rejected(credentials)
    assert (await shared.taskport.log_in(email)).status_code == 401
    await assert_new_account_is_empty(shared, await shared.taskport.sign_up(email))
    await shared.assert_rejected(credentials)


async def test_account_deleted_by_taskport_is_deleted_on_both_sides(
    shared: SharedSides, email: str
) -> None:
    credentials = await shared.credentials(shared.better_auth.sign_up(email))
    user_id = await create_task(shared, credentials["cookie"])

    assert (await shared.taskport.delete_account(credentials["cookie"])).status_code == 204

    assert tasks_of(shared, user_id) == []
    await shared.assert_rejected(credentials)
    assert shared.better_auth.sign_in(email).status_code == 401
    await assert_new_account_is_empty(shared, shared.better_auth.sign_up(email))
    await shared.assert_rejected(credentials)


async def test_user_who_is_banned_at_better_auth_is_rejected(
    shared: SharedSides, email: str
) -> None:
    """The admin plugin's columns are found, too."""
    admin = cookie_of(shared.better_auth.sign_up(f"admin-{email}"))
    signed_up = await shared.taskport.sign_up(email)
    credentials = await shared.credentials(signed_up)
    body = {"userId": signed_up.json()["user"]["id"], "banExpiresIn": 3600}

    shared.better_auth.request("POST", "/admin/ban-user", admin, json=body).raise_for_status()

    for name in ("jwt", "shared secret"):
        assert_error(await shared.taskport.tasks(credentials[name]), 403, "USER_BANNED")
    assert_error(await shared.taskport.log_in(email), 403, "USER_BANNED")


async def test_user_with_a_second_factor_must_sign_in_at_better_auth(
    shared: SharedSides, email: str
) -> None:
    cookie = cookie_of(shared.better_auth.sign_up(email))

    shared.better_auth.request(
        "POST", "/two-factor/enable", cookie, json={"password": PASSWORD}
    ).raise_for_status()

    assert_error(await shared.taskport.log_in(email), 403, "SECOND_FACTOR_REQUIRED")


async def create_task(shared: SharedSides, credential: Headers) -> str:
    """The id of the user."""
    (await shared.taskport.create(credential)).raise_for_status()
    user_id = (await shared.taskport.me(credential)).json()["id"]
    assert len(tasks_of(shared, user_id)) == 1
    return str(user_id)


def tasks_of(shared: SharedSides, user_id: str) -> list[dict[str, Any]]:
    return shared.rows("select title from taskport.tasks where user_id = %s", user_id)


async def assert_new_account_is_empty(shared: SharedSides, signed_up: httpx.Response) -> None:
    credentials = await shared.credentials(signed_up.raise_for_status())
    await shared.assert_accepted(credentials)
    assert (await shared.taskport.tasks(credentials["cookie"])).json()["total"] == 0


def assert_error(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["error_code"]) == (status, code)
