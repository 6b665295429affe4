"""A session is one and the same on both sides: it ends, lasts and lapses on both."""

from typing import Any, Final

import pytest

from tests.interop.better_auth import PASSWORD, cookie_of
from tests.interop.sides import OF_A_SESSION, TO_BE_PROLONGED, Sides, attributes, moment

pytestmark = [pytest.mark.node, pytest.mark.postgres]

OTHER_PASSWORD: Final = "another horse battery"
# As Better Auth deletes an account: a statement for each table.
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
LIFE: Final = 'select "expiresAt", "updatedAt" from session where token = %s'


@pytest.mark.parametrize("form", ["cookie", "access token"])
async def test_log_out_here_ends_it_there(sides: Sides, email: str, form: str) -> None:
    forms = await sides.forms(sides.there.sign_up(email))
    await sides.assert_alive(forms)

    assert (await sides.here.log_out(forms[form])).status_code == 204

    await sides.assert_dead(forms, *OF_A_SESSION)
    assert sides.there.token(forms["cookie"]).status_code == 401


async def test_sign_out_there_ends_it_here(sides: Sides, email: str) -> None:
    ended = await sides.forms(await sides.here.sign_up(email))
    other = await sides.forms(await sides.here.log_in(email))

    assert sides.there.sign_out(ended["cookie"]).json() == {"success": True}

    await sides.assert_dead(ended, *OF_A_SESSION)
    await sides.assert_alive(other)


async def test_each_side_lists_and_ends_the_sessions_of_the_other(sides: Sides, email: str) -> None:
    theirs = sides.there.sign_up(email)
    ours = await sides.here.log_in(email)
    tokens = [ours.json()["session_token"], theirs.json()["token"]]
    our_forms, their_forms = await sides.forms(ours), await sides.forms(theirs)

    listed = sides.there.request("GET", "/list-sessions", their_forms["cookie"]).json()
    assert {session["token"] for session in listed} == set(tokens)
    ids = {session["token"]: session["id"] for session in listed}
    seen = (await sides.here.sessions(our_forms["cookie"])).json()["data"]
    assert [session["id"] for session in seen] == [ids[token] for token in tokens]
    assert [session["current"] for session in seen] == [True, False]

    ended = await sides.here.end_session(our_forms["cookie"], ids[tokens[1]])
    assert ended.status_code == 204
    await sides.assert_dead(their_forms, *OF_A_SESSION)
    await sides.assert_alive(our_forms)

    again = await sides.forms(sides.there.sign_in(email))
    sides.there.request("POST", "/revoke-session", again["cookie"], json={"token": tokens[0]})
    await sides.assert_dead(our_forms, *OF_A_SESSION)
    await sides.assert_alive(again)


async def test_an_account_deleted_here_is_gone_there(sides: Sides, email: str) -> None:
    forms = await sides.forms(sides.there.sign_up(email))
    await sides.assert_alive(forms)

    assert (await sides.here.delete_account(forms["cookie"])).status_code == 204

    await sides.assert_dead(forms)
    assert sides.there.sign_in(email).status_code == 401
    assert sides.there.sign_up(email).is_success
    await sides.assert_dead(forms)


async def test_an_account_deleted_there_is_gone_here(sides: Sides, email: str) -> None:
    """A token of the shared secret from before, which may introduce users, does not bring it
    back."""
    signed_up = await sides.here.sign_up(email)
    forms = await sides.forms(signed_up)
    await sides.assert_alive(forms)
    await sides.here.create(forms["cookie"])

    for deletion in DELETIONS:
        sides.rows(deletion, signed_up.json()["user"]["id"])

    await sides.assert_dead(forms)
    for name in ("jwt", "shared secret"):
        assert (await sides.here.tasks(forms[name])).json()["error_code"] == "UNKNOWN_USER"
    assert (await sides.here.log_in(email)).status_code == 401
    again = await sides.forms(await sides.here.sign_up(email))
    assert (await sides.here.tasks(again["jwt"])).json()["total"] == 0
    await sides.assert_dead(forms)


async def test_a_password_changed_there_is_changed_here(sides: Sides, email: str) -> None:
    first = await sides.forms(sides.there.sign_up(email))
    second = await sides.forms(await sides.here.log_in(email))

    changed = sides.there.change_password(first["cookie"], PASSWORD, OTHER_PASSWORD)

    assert changed.is_success
    assert (await sides.here.log_in(email)).json()["error_code"] == "INVALID_CREDENTIALS"
    assert (await sides.here.log_in(email, OTHER_PASSWORD)).is_success
    await sides.assert_alive(second)


async def test_a_password_changed_there_can_end_the_sessions_here(sides: Sides, email: str) -> None:
    first = await sides.forms(sides.there.sign_up(email))
    second = await sides.forms(await sides.here.log_in(email))
    await sides.assert_alive(second)

    changed = sides.there.change_password(first["cookie"], PASSWORD, OTHER_PASSWORD, revoke=True)

    await sides.assert_dead(second, *OF_A_SESSION)
    await sides.assert_dead(first, *OF_A_SESSION)
    [session] = (await sides.here.sessions(cookie_of(changed))).json()["data"]
    assert session["current"]


async def test_a_session_prolonged_here_is_prolonged_there(sides: Sides, email: str) -> None:
    signed_up = sides.there.sign_up(email)
    token = signed_up.json()["token"]
    forms = await sides.forms(signed_up)

    for name, ask, brings_cookie in (
        ("cookie", sides.here.me, True),
        ("raw bearer", sides.here.validate, False),
        ("signed bearer", sides.here.refresh, True),
        ("access token", sides.here.me, False),
    ):
        sides.rows(TO_BE_PROLONGED, token)
        before = life(sides, token)
        assert (await sides.here.tasks(forms[name])).is_success
        assert (await sides.here.create(forms[name])).is_success
        assert life(sides, token) == before, "a request for tasks writes no session"

        answer = await ask(forms[name])

        assert answer.is_success
        assert sides.rows(IS_PROLONGED, token) == [{"yes": True}], name
        assert ("set-cookie" in answer.headers) is brings_cookie
        if brings_cookie:
            assert cookie_of(answer) == forms["cookie"]
            assert "Max-Age=604800" in attributes(answer)
        after = life(sides, token)
        seen = sides.there.get_session(forms["cookie"])
        assert moment(seen.json()["session"]["expiresAt"]) == moment(after["expiresAt"])
        assert "set-cookie" not in seen.headers
        assert life(sides, token) == after, "there is nothing left to prolong"


async def test_a_session_prolonged_there_is_prolonged_here(sides: Sides, email: str) -> None:
    signed_up = await sides.here.sign_up(email)
    token = signed_up.json()["session_token"]
    forms = await sides.forms(signed_up)
    sides.rows(TO_BE_PROLONGED, token)

    prolonged = sides.there.get_session(forms["cookie"])

    assert cookie_of(prolonged) == forms["cookie"]
    assert sides.rows(IS_PROLONGED, token) == [{"yes": True}]
    after = life(sides, token)
    for name in OF_A_SESSION:
        valid = await sides.here.validate(forms[name])
        assert moment(valid.json()["session"]["expires_at"]) == moment(after["expiresAt"])
        assert "set-cookie" not in valid.headers
    assert life(sides, token) == after


async def test_who_does_not_want_to_be_remembered_is_not(sides: Sides, email: str) -> None:
    """Whatever shows the session; also where the browser has lost the cookie that says so."""
    signed_up = sides.there.sign_up(email, rememberMe=False)
    token = signed_up.json()["token"]
    forms = await sides.forms(signed_up)
    [session, marker] = signed_up.headers.get_list("set-cookie")
    assert "dont_remember" in marker
    lost = {"Cookie": session.partition(";")[0]}
    before = life(sides, token)

    for headers in (*(forms[name] for name in OF_A_SESSION), lost):
        for ask in (sides.here.me, sides.here.validate):
            answer = await ask(headers)
            assert answer.is_success
            assert "set-cookie" not in answer.headers
        assert (await sides.here.refresh(headers)).is_success
        assert life(sides, token) == before
    refreshed = await sides.here.refresh(forms["cookie"])
    assert "Max-Age" not in refreshed.headers["set-cookie"]
    assert cookie_of(refreshed) == forms["cookie"]
    # However long it lives: to Better Auth the cookie alone decides.
    sides.rows(TO_BE_PROLONGED, token)
    before = life(sides, token)
    for answer in (await sides.here.me(forms["cookie"]), sides.there.get_session(forms["cookie"])):
        assert answer.is_success
        assert "set-cookie" not in answer.headers
        assert life(sides, token) == before


async def test_an_expired_session_is_none(sides: Sides, email: str) -> None:
    signed_up = sides.there.sign_up(email)
    forms = await sides.forms(signed_up)
    other = await sides.forms(sides.there.sign_in(email))
    await sides.assert_alive(forms)

    sides.rows(EXPIRED, signed_up.json()["token"])

    # Better Auth deletes the row as soon as it is asked.
    for name in OF_A_SESSION:
        assert (await sides.here.validate(forms[name])).status_code == 401
        assert (await sides.here.refresh(forms[name])).status_code == 401
    assert len((await sides.here.sessions(other["cookie"])).json()["data"]) == 1
    await sides.assert_dead(forms, *OF_A_SESSION)


def life(sides: Sides, token: str) -> dict[str, Any]:
    """How long a session lives, and since when."""
    [row] = sides.rows(LIFE, token)
    return row
