"""Users and sessions of both shared, on tables in each layout that Better Auth's adapters make."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.interop.better_auth import cookie_of
from tests.interop.sides import CREDENTIALS, OF_A_SESSION, SharedSides, in_common, moment
from tests.interop.taskport import Headers

pytestmark = [pytest.mark.node, pytest.mark.postgres]

LIFETIME: Final = timedelta(days=7)


async def test_user_who_signs_up_at_better_auth_can_use_taskport(
    shared: SharedSides, email: str
) -> None:
    """With each credential, and with the times of the session that Better Auth sees."""
    signed_up = shared.better_auth.sign_up(email)
    credentials = await shared.credentials(signed_up)
    [session] = sessions_there(shared, credentials["cookie"])

    for number, (name, headers) in enumerate(credentials.items(), start=1):
        valid = (await shared.taskport.validate(headers)).raise_for_status().json()
        assert valid["credential"] == CREDENTIALS[name]
        assert in_common(valid["user"]) == in_common(signed_up.json()["user"]), name
        if name in OF_A_SESSION:
            assert valid["session"]["id"] == session["id"]
            assert moment(valid["session"]["expires_at"]) == moment(session["expiresAt"])
        created = (await shared.taskport.create(headers)).raise_for_status().json()
        listed = (await shared.taskport.tasks(headers)).json()
        assert listed["total"] == number, name
        assert listed["data"][0]["id"] == created["id"]
    assert is_now(moment(session["createdAt"]))


async def test_user_who_signs_up_at_taskport_can_sign_in_at_better_auth(
    shared: SharedSides, email: str
) -> None:
    signed_up = await shared.taskport.sign_up(email)
    assert signed_up.status_code == 201, signed_up.text

    signed_in = shared.better_auth.sign_in(email)

    user = signed_in.raise_for_status().json()["user"]
    assert in_common(user) == in_common(signed_up.json()["user"])
    assert is_now(moment(user["createdAt"]))
    for response in (signed_up, signed_in):
        await shared.assert_accepted(await shared.credentials(response))


async def test_session_of_taskport_is_one_of_better_auth(shared: SharedSides, email: str) -> None:
    """With the same times, whatever time zone Better Auth's process has."""
    shared.better_auth.sign_up(email)

    logged_in = await shared.taskport.log_in(email)

    cookie = cookie_of(logged_in.raise_for_status())
    here = (await shared.taskport.validate(cookie)).json()["session"]
    [there] = [s for s in sessions_there(shared, cookie) if s["id"] == here["id"]]
    for ours, theirs in (("created_at", "createdAt"), ("expires_at", "expiresAt")):
        assert moment(here[ours]) == moment(there[theirs])
    assert is_now(moment(there["createdAt"]))
    assert is_now(moment(there["expiresAt"]) - LIFETIME)
    await shared.assert_accepted(await shared.credentials(logged_in))


async def test_log_out_ends_the_session_on_both_sides(shared: SharedSides, email: str) -> None:
    first = await shared.credentials(shared.better_auth.sign_up(email))
    second = await shared.credentials(await shared.taskport.log_in(email))

    assert (await shared.taskport.log_out(first["cookie"])).status_code == 204
    await shared.assert_rejected(first, *OF_A_SESSION)
    await shared.assert_accepted(second)
    assert shared.better_auth.sign_out(second["cookie"]).json() == {"success": True}
    await shared.assert_rejected(second, *OF_A_SESSION)


def sessions_there(shared: SharedSides, cookie: Headers) -> list[dict[str, Any]]:
    """The sessions of a user, as Better Auth lists them."""
    listed = shared.better_auth.request("GET", "/list-sessions", cookie).raise_for_status()
    sessions: list[dict[str, Any]] = listed.json()
    return sessions


def is_now(time: datetime) -> bool:
    """Whether a time that was just written is not off by the offset of a time zone."""
    return abs(datetime.now(UTC) - time) < timedelta(minutes=10)
