"""Sessions are shared by both sides: they end, are prolonged and expire on both."""

from typing import Any, Final

import pytest

from tests.interop.better_auth import PASSWORD, cookie_of
from tests.interop.sides import OF_A_SESSION, TO_BE_PROLONGED, Sides, attributes, moment

pytestmark = [pytest.mark.node, pytest.mark.postgres]

OTHER_PASSWORD: Final = "another horse battery"
# As Better Auth deletes an account, one statement per table.
DELETIONS: Final = (
    'delete from session where "userId" = %s',
    'delete from account where "userId" = %s',
    'delete from "user" where id = %s',
)
EXPIRED: Final = """
    update session set "expiresAt" = now() - interval '1 second' where token = %s
"""
IS_PROLONGED: Final = """
    select "expiresAt" > now() + interval '6 days 23 hours' as yes from session where token = %s
"""
TIMES: Final = 'select "expiresAt", "updatedAt" from session where token = %s'


@pytest.mark.parametrize("credential", ["cookie", "access token"])
async def test_log_out_ends_the_session_on_both_sides(
    sides: Sides, email: str, credential: str
) -> None:
    credentials = await sides.credentials(sides.better_auth.sign_up(email))
    await sides.assert_accepted(credentials)

    assert (await sides.taskport.log_out(credentials[credential])).status_code == 204

    await sides.assert_rejected(credentials, *OF_A_SESSION)
    assert sides.better_auth.token(credentials["cookie"]).status_code == 401


async def test_sign_out_of_better_auth_ends_the_session_on_both_sides(
    sides: Sides, email: str
) -> None:
    ended = await sides.credentials(await sides.taskport.sign_up(email))
    other = await sides.credentials(await sides.taskport.log_in(email))

    assert sides.better_auth.sign_out(ended["cookie"]).json() == {"success": True}

    await sides.assert_rejected(ended, *OF_A_SESSION)
    await sides.assert_accepted(other)


async def test_each_side_lists_and_ends_the_sessions_of_the_other(sides: Sides, email: str) -> None:
    theirs = sides.better_auth.sign_up(email)
    ours = await sides.taskport.log_in(email)
    tokens = [ours.json()["session_token"], theirs.json()["token"]]
    our_forms, their_forms = await sides.credentials(ours), await sides.credentials(theirs)

    listed = sides.better_auth.request("GET", "/list-sessions", their_forms["cookie"]).json()
    assert {session["token"] for session in listed} == set(tokens)
    ids = {session["token"]: session["id"] for session in listed}
    seen = (await sides.taskport.sessions(our_forms["cookie"])).json()["data"]
    assert [session["id"] for session in seen] == [ids[token] for token in tokens]
    assert [session["current"] for session in seen] == [True, False]

    ended = await sides.taskport.end_session(our_forms["cookie"], ids[tokens[1]])
    assert ended.status_code == 204
    await sides.assert_rejected(their_forms, *OF_A_SESSION)
    await sides.assert_accepted(our_forms)

    again = await sides.credentials(sides.better_auth.sign_in(email))
    sides.better_auth.request("POST", "/revoke-session", again["cookie"], json={"token": tokens[0]})
    await sides.assert_rejected(our_forms, *OF_A_SESSION)
    await sides.assert_accepted(again)


async def test_account_deleted_by_taskport_is_deleted_on_both_sides(
    sides: Sides, email: str
) -> None:
    credentials = await sides.credentials(sides.better_auth.sign_up(email))
    await sides.assert_accepted(credentials)

    assert (await sides.taskport.delete_account(credentials["cookie"])).status_code == 204

    await sides.assert_rejected(credentials)
    assert sides.better_auth.sign_in(email).status_code == 401
    assert sides.better_auth.sign_up(email).is_success
    await sides.assert_rejected(credentials)


async def test_account_deleted_by_better_auth_is_deleted_on_both_sides(
    sides: Sides, email: str
) -> None:
    """Earlier tokens of the shared secret, which may introduce users, do not create it again."""
    signed_up = await sides.taskport.sign_up(email)
    credentials = await sides.credentials(signed_up)
    await sides.assert_accepted(credentials)
    await sides.taskport.create(credentials["cookie"])

    for deletion in DELETIONS:
        sides.rows(deletion, signed_up.json()["user"]["id"])

    await sides.assert_rejected(credentials)
    for name in ("jwt", "shared secret"):
        assert (await sides.taskport.tasks(credentials[name])).json()[
            "error_code"
        ] == "UNKNOWN_USER"
    assert (await sides.taskport.log_in(email)).status_code == 401
    again = await sides.credentials(await sides.taskport.sign_up(email))
    assert (await sides.taskport.tasks(again["jwt"])).json()["total"] == 0
    await sides.assert_rejected(credentials)


async def test_password_changed_at_better_auth_is_changed_on_both_sides(
    sides: Sides, email: str
) -> None:
    first = await sides.credentials(sides.better_auth.sign_up(email))
    second = await sides.credentials(await sides.taskport.log_in(email))

    changed = sides.better_auth.change_password(first["cookie"], PASSWORD, OTHER_PASSWORD)

    assert changed.is_success
    assert (await sides.taskport.log_in(email)).json()["error_code"] == "INVALID_CREDENTIALS"
    assert (await sides.taskport.log_in(email, OTHER_PASSWORD)).is_success
    await sides.assert_accepted(second)


async def test_password_change_at_better_auth_can_revoke_all_sessions(
    sides: Sides, email: str
) -> None:
    first = await sides.credentials(sides.better_auth.sign_up(email))
    second = await sides.credentials(await sides.taskport.log_in(email))
    await sides.assert_accepted(second)

    changed = sides.better_auth.change_password(
        first["cookie"], PASSWORD, OTHER_PASSWORD, revoke=True
    )

    await sides.assert_rejected(second, *OF_A_SESSION)
    await sides.assert_rejected(first, *OF_A_SESSION)
    [session] = (await sides.taskport.sessions(cookie_of(changed))).json()["data"]
    assert session["current"]


async def test_session_prolonged_by_taskport_is_prolonged_on_both_sides(
    sides: Sides, email: str
) -> None:
    signed_up = sides.better_auth.sign_up(email)
    token = signed_up.json()["token"]
    credentials = await sides.credentials(signed_up)

    for name, request, sets_cookie in (
        ("cookie", sides.taskport.me, True),
        ("raw bearer", sides.taskport.validate, False),
        ("signed bearer", sides.taskport.refresh, True),
        ("access token", sides.taskport.me, False),
    ):
        sides.rows(TO_BE_PROLONGED, token)
        before = times_of(sides, token)
        assert (await sides.taskport.tasks(credentials[name])).is_success
        assert (await sides.taskport.create(credentials[name])).is_success
        assert times_of(sides, token) == before, "a request for tasks writes no session"

        response = await request(credentials[name])

        assert response.is_success
        assert sides.rows(IS_PROLONGED, token) == [{"yes": True}], name
        assert ("set-cookie" in response.headers) is sets_cookie
        if sets_cookie:
            assert cookie_of(response) == credentials["cookie"]
            assert "Max-Age=604800" in attributes(response)
        after = times_of(sides, token)
        unchanged = sides.better_auth.get_session(credentials["cookie"])
        assert moment(unchanged.json()["session"]["expiresAt"]) == moment(after["expiresAt"])
        assert "set-cookie" not in unchanged.headers
        assert times_of(sides, token) == after, "the session is not prolonged again"


async def test_session_prolonged_by_better_auth_is_prolonged_on_both_sides(
    sides: Sides, email: str
) -> None:
    signed_up = await sides.taskport.sign_up(email)
    token = signed_up.json()["session_token"]
    credentials = await sides.credentials(signed_up)
    sides.rows(TO_BE_PROLONGED, token)

    prolonged = sides.better_auth.get_session(credentials["cookie"])

    assert cookie_of(prolonged) == credentials["cookie"]
    assert sides.rows(IS_PROLONGED, token) == [{"yes": True}]
    after = times_of(sides, token)
    for name in OF_A_SESSION:
        valid = await sides.taskport.validate(credentials[name])
        assert moment(valid.json()["session"]["expires_at"]) == moment(after["expiresAt"])
        assert "set-cookie" not in valid.headers
    assert times_of(sides, token) == after


async def test_temporary_session_is_not_prolonged(sides: Sides, email: str) -> None:
    """With any of its credentials; also without the cookie that marks it as temporary."""
    signed_up = sides.better_auth.sign_up(email, rememberMe=False)
    token = signed_up.json()["token"]
    credentials = await sides.credentials(signed_up)
    [session, mark] = signed_up.headers.get_list("set-cookie")
    assert "dont_remember" in mark
    unmarked = {"Cookie": session.partition(";")[0]}
    before = times_of(sides, token)

    for headers in (*(credentials[name] for name in OF_A_SESSION), unmarked):
        for request in (sides.taskport.me, sides.taskport.validate):
            response = await request(headers)
            assert response.is_success
            assert "set-cookie" not in response.headers
        assert (await sides.taskport.refresh(headers)).is_success
        assert times_of(sides, token) == before
    refreshed = await sides.taskport.refresh(credentials["cookie"])
    assert "Max-Age" not in refreshed.headers["set-cookie"]
    assert cookie_of(refreshed) == credentials["cookie"]
    # Also a session with a later expiry: for Better Auth only the cookie decides.
    sides.rows(TO_BE_PROLONGED, token)
    before = times_of(sides, token)
    for response in (
        await sides.taskport.me(credentials["cookie"]),
        sides.better_auth.get_session(credentials["cookie"]),
    ):
        assert response.is_success
        assert "set-cookie" not in response.headers
        assert times_of(sides, token) == before


async def test_expired_session_is_rejected(sides: Sides, email: str) -> None:
    signed_up = sides.better_auth.sign_up(email)
    credentials = await sides.credentials(signed_up)
    other = await sides.credentials(sides.better_auth.sign_in(email))
    await sides.assert_accepted(credentials)

    sides.rows(EXPIRED, signed_up.json()["token"])

    # Taskport first: Better Auth deletes the row at the first request.
    for name in OF_A_SESSION:
        assert (await sides.taskport.validate(credentials[name])).status_code == 401
        assert (await sides.taskport.refresh(credentials[name])).status_code == 401
    assert len((await sides.taskport.sessions(other["cookie"])).json()["data"]) == 1
    await sides.assert_rejected(credentials, *OF_A_SESSION)


def times_of(sides: Sides, token: str) -> dict[str, Any]:
    """When a session expires, and when it was updated."""
    [row] = sides.rows(TIMES, token)
    return row
