"""Whoever signs up on one side, Better Auth's or ours, is at home on the other."""

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

# The ligature fi and the sign for ohm: a hash is of what NFKC makes of them.
ODD_PASSWORD: Final = "correct horse \ufb01 \u2126 battery"
PLAIN_PASSWORD: Final = unicodedata.normalize("NFKC", ODD_PASSWORD)
NAME: Final = 'Zoë "Z" 👩\u200d🚀'


async def test_each_credential_of_theirs_is_one_of_ours(sides: Sides, email: str) -> None:
    signed_up = sides.there.sign_up(email, name=NAME)
    forms = await sides.forms(signed_up)
    assert forms["signed bearer"] == bearer(signed_up.headers["set-auth-token"])
    [session] = sides.there.request("GET", "/list-sessions", forms["cookie"]).json()

    for number, (name, headers) in enumerate(forms.items(), start=1):
        valid = (await sides.here.validate(headers)).raise_for_status().json()
        assert valid["credential"] == CREDENTIALS[name]
        assert in_common(valid["user"]) == in_common(signed_up.json()["user"]), name
        if name in OF_A_SESSION:
            assert valid["session"]["id"] == session["id"]
            assert valid["session"]["current"]
            assert moment(valid["session"]["expires_at"]) == moment(session["expiresAt"])
        else:
            assert valid["session"] is None
        assert (await sides.here.create(headers)).status_code == 201, name
        assert (await sides.here.tasks(headers)).json()["total"] == number, name


async def test_a_jwt_needs_no_more_than_the_key_in_the_shared_table(
    sides: Sides, email: str
) -> None:
    token = sides.there.token(cookie_of(sides.there.sign_up(email))).json()["token"]
    key_id = jwt.get_unverified_header(token)["kid"]

    assert sides.rows("select id from jwks where id = %s", key_id) == [{"id": key_id}]
    assert (await sides.here.me(bearer(token))).json()["email"] == email


async def test_who_signs_up_here_is_at_home_there(sides: Sides, email: str) -> None:
    signed_up = await sides.here.sign_up(email, ODD_PASSWORD, NAME)
    assert signed_up.status_code == 201, signed_up.text
    user = in_common(signed_up.json()["user"])
    assert user["name"] == NAME

    for password in (ODD_PASSWORD, PLAIN_PASSWORD):
        signed_in = sides.there.sign_in(email, password)
        assert in_common(signed_in.raise_for_status().json()["user"]) == user
    assert attributes(signed_up) == attributes(signed_in)
    forms = await sides.forms(signed_up)
    for name in ("cookie", "raw bearer", "signed bearer", "encoded bearer"):
        assert in_common(sides.there.get_session(forms[name]).json()["user"]) == user, name
    await sides.assert_alive(forms)


async def test_who_signed_up_there_logs_in_here(sides: Sides, email: str) -> None:
    user = in_common(sides.there.sign_up(email, ODD_PASSWORD, NAME).json()["user"])

    for password in (ODD_PASSWORD, PLAIN_PASSWORD):
        logged_in = await sides.here.log_in(email, password)
        assert in_common(logged_in.raise_for_status().json()["user"]) == user
    wrong = await sides.here.log_in(email)
    assert (wrong.status_code, wrong.json()["error_code"]) == (401, "INVALID_CREDENTIALS")
    forms = await sides.forms(logged_in)
    assert sides.there.get_session(forms["cookie"]).json()["user"]["name"] == NAME
    await sides.assert_alive(forms)


async def test_a_change_of_the_name_is_seen_on_the_other_side(sides: Sides, email: str) -> None:
    cookie = cookie_of(sides.there.sign_up(email))

    sides.there.request("POST", "/update-user", cookie, json={"name": "Grace"}).raise_for_status()
    assert (await sides.here.me(cookie)).json()["name"] == "Grace"
    renamed = await sides.here.ask("PATCH", "/users/me", cookie, json={"name": "Hedy"})
    assert renamed.status_code == 200
    assert sides.there.get_session(cookie).json()["user"]["name"] == "Hedy"


@pytest.mark.parametrize("first", ["there", "here"])
async def test_an_address_is_the_same_in_any_case(sides: Sides, email: str, first: str) -> None:
    """And belongs to one user, wherever somebody tries again."""
    if first == "there":
        signed_up = sides.there.sign_up(email.title())
    else:
        signed_up = await sides.here.sign_up(email.title())
    assert signed_up.raise_for_status().json()["user"]["email"] == email

    shouted = email.upper()
    assert sides.there.sign_in(shouted).is_success
    assert (await sides.here.log_in(shouted)).is_success
    ours = await sides.here.sign_up(shouted)
    assert (ours.status_code, ours.json()["error_code"]) == (409, "EMAIL_TAKEN")
    theirs = sides.there.sign_up(shouted)
    assert theirs.status_code == 422
    assert theirs.json()["code"] == "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"
    assert kept(sides, email) == {"user": 1, "account": 1}


async def test_two_sign_ups_at_once_make_one_user(sides: Sides, email: str) -> None:
    """With the password of whoever was first, on both sides."""
    there, here = await asyncio.gather(
        asyncio.to_thread(sides.there.sign_up, email, "the password there"),
        sides.here.sign_up(email, "the password here"),
    )

    assert (there.status_code, here.status_code) in {(200, 409), (422, 201)}
    assert kept(sides, email) == {"user": 1, "account": 1}
    for password, first in (("the password there", there), ("the password here", here)):
        assert sides.there.sign_in(email, password).is_success is first.is_success
        assert (await sides.here.log_in(email, password)).is_success is first.is_success


def kept(sides: Sides, email: str) -> dict[str, int]:
    """How many rows there are of whoever has an address."""
    users = sides.rows('select id from "user" where lower(email) = %s', email)
    accounts = sides.rows(
        'select "userId" from account where "userId" = any(%s)', [user["id"] for user in users]
    )
    return dict(Counter(user=len(users), account=len(accounts)))
