"""Users who sign up on one side, Better Auth or Taskport, exist on the other."""

import asyncio
import unicodedata
from collections import Counter
from typing import Final

import jwt
import pytest

from tests.interop.better_auth import cookie_of
from tests.interop.sides import (
    CREDENTIALS,
    OF_A_SESSION,
    Sides,
    attributes,
    bearer,
    in_common,
    moment,
)

pytestmark = [pytest.mark.node, pytest.mark.postgres]

# With the ligature fi and the ohm sign, which NFKC replaces before the password is hashed.
ODD_PASSWORD: Final = "correct horse \ufb01 \u2126 battery"
PLAIN_PASSWORD: Final = unicodedata.normalize("NFKC", ODD_PASSWORD)
NAME: Final = 'Zoë "Z" 👩\u200d🚀'


async def test_all_credentials_of_better_auth_are_accepted(sides: Sides, email: str) -> None:
    signed_up = sides.better_auth.sign_up(email, name=NAME)
    credentials = await sides.credentials(signed_up)
    assert credentials["signed bearer"] == bearer(signed_up.headers["set-auth-token"])
    [session] = sides.better_auth.request("GET", "/list-sessions", credentials["cookie"]).json()

    for number, (name, headers) in enumerate(credentials.items(), start=1):
        valid = (await sides.taskport.validate(headers)).raise_for_status().json()
        assert valid["credential"] == CREDENTIALS[name]
        assert in_common(valid["user"]) == in_common(signed_up.json()["user"]), name
        if name in OF_A_SESSION:
            assert valid["session"]["id"] == session["id"]
            assert valid["session"]["current"]
            assert moment(valid["session"]["expires_at"]) == moment(session["expiresAt"])
        else:
            assert valid["session"] is None
        assert (await sides.taskport.create(headers)).status_code == 201, name
        assert (await sides.taskport.tasks(headers)).json()["total"] == number, name


async def test_jwt_is_verified_with_the_key_in_the_shared_table(sides: Sides, email: str) -> None:
    token = sides.better_auth.token(cookie_of(sides.better_auth.sign_up(email))).json()["token"]
    key_id = jwt.get_unverified_header(token)["kid"]

    assert sides.rows("select id from jwks where id = %s", key_id) == [{"id": key_id}]
    assert (await sides.taskport.me(bearer(token))).json()["email"] == email


async def test_user_who_signs_up_at_taskport_can_sign_in_at_better_auth(
    sides: Sides, email: str
) -> None:
    signed_up = await sides.taskport.sign_up(email, ODD_PASSWORD, NAME)
    assert signed_up.status_code == 201, signed_up.text
    user = in_common(signed_up.json()["user"])
    assert user["name"] == NAME

    for password in (ODD_PASSWORD, PLAIN_PASSWORD):
        signed_in = sides.better_auth.sign_in(email, password)
        assert in_common(signed_in.raise_for_status().json()["user"]) == user
    assert attributes(signed_up) == attributes(signed_in)
    credentials = await sides.credentials(signed_up)
    for name in ("cookie", "raw bearer", "signed bearer", "encoded bearer"):
        assert in_common(sides.better_auth.get_session(credentials[name]).json()["user"]) == user, (
            name
        )
    await sides.assert_accepted(credentials)


async def test_user_who_signs_up_at_better_auth_can_log_in_at_taskport(
    sides: Sides, email: str
) -> None:
    user = in_common(sides.better_auth.sign_up(email, ODD_PASSWORD, NAME).json()["user"])

    for password in (ODD_PASSWORD, PLAIN_PASSWORD):
        logged_in = await sides.taskport.log_in(email, password)
        assert in_common(logged_in.raise_for_status().json()["user"]) == user
    wrong = await sides.taskport.log_in(email)
    assert (wrong.status_code, wrong.json()["error_code"]) == (401, "INVALID_CREDENTIALS")
    credentials = await sides.credentials(logged_in)
    assert sides.better_auth.get_session(credentials["cookie"]).json()["user"]["name"] == NAME
    await sides.assert_accepted(credentials)


async def test_name_changed_on_one_side_is_changed_on_the_other(sides: Sides, email: str) -> None:
    cookie = cookie_of(sides.better_auth.sign_up(email))

    sides.better_auth.request(
        "POST", "/update-user", cookie, json={"name": "Grace"}
    ).raise_for_status()
    assert (await sides.taskport.me(cookie)).json()["name"] == "Grace"
    renamed = await sides.taskport.request("PATCH", "/users/me", cookie, json={"name": "Hedy"})
    assert renamed.status_code == 200
    assert sides.better_auth.get_session(cookie).json()["user"]["name"] == "Hedy"


@pytest.mark.parametrize("first", ["Better Auth", "Taskport"])
async def test_emails_are_case_insensitive(sides: Sides, email: str, first: str) -> None:
    """And unique across both sides."""
    if first == "Better Auth":
        signed_up = sides.better_auth.sign_up(email.title())
    else:
        signed_up = await sides.taskport.sign_up(email.title())
    assert signed_up.raise_for_status().json()["user"]["email"] == email

    upper_case = email.upper()
    assert sides.better_auth.sign_in(upper_case).is_success
    assert (await sides.taskport.log_in(upper_case)).is_success
    ours = await sides.taskport.sign_up(upper_case)
    assert (ours.status_code, ours.json()["error_code"]) == (409, "EMAIL_TAKEN")
    theirs = sides.better_auth.sign_up(upper_case)
    assert theirs.status_code == 422
    assert theirs.json()["code"] == "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"
    assert row_counts(sides, email) == {"user": 1, "account": 1}


async def test_concurrent_sign_ups_create_one_user(sides: Sides, email: str) -> None:
    """With the password of the first of them, on both sides."""
    theirs, ours = await asyncio.gather(
        asyncio.to_thread(sides.better_auth.sign_up, email, "the password there"),
        sides.taskport.sign_up(email, "the password here"),
    )

    assert (theirs.status_code, ours.status_code) in {(200, 409), (422, 201)}
    assert row_counts(sides, email) == {"user": 1, "account": 1}
    for password, signed_up in (("the password there", theirs), ("the password here", ours)):
        is_first = signed_up.is_success
        assert sides.better_auth.sign_in(email, password).is_success is is_first
        assert (await sides.taskport.log_in(email, password)).is_success is is_first


def row_counts(sides: Sides, email: str) -> dict[str, int]:
    """The numbers of rows of the user with this address."""
    users = sides.rows('select id from "user" where lower(email) = %s', email)
    accounts = sides.rows(
        'select "userId" from account where "userId" = any(%s)', [user["id"] for user in users]
    )
    return dict(Counter(user=len(users), account=len(accounts)))
