"""Better Auth's JWTs, by keys of the table that it shares with us and by keys that it shows over
HTTP to a Taskport that has a database of its own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, get_args

import jwt
import pytest

from tests.interop.better_auth import KeyAlgorithm, cookie_of
from tests.interop.sides import Sides, bearer, both_sides, in_common, rows
from tests.interop.taskport import Headers
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]

# The table of the first does not say which keys are of which algorithm, and those of RSA do not
# show it.
ALGORITHMS: Final[list[tuple[str, KeyAlgorithm]]] = [
    ("1.6.30", "RS256"),
    ("1.6.30", "PS256"),
    *(("1.7.24", algorithm) for algorithm in get_args(KeyAlgorithm)),
]
RENAME: Final = """
    update "user" set name = %s, "updatedAt" = "updatedAt" + %s::interval where email = %s
"""
MOVE: Final = """
    update "user" set email = %s, "emailVerified" = true, "updatedAt" = now() where email = %s
"""
DELETED_THEN: Final = """
    update taskport.deleted_users set deleted_at = to_timestamp(%s) where id = %s
"""


@pytest.fixture(scope="module")
async def retold(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Both sides, of which one may be started anew."""
    async with both_sides(postgres_18_server, request.param) as sides:
        yield sides


@pytest.mark.parametrize(("retold", "algorithm"), ALGORITHMS, indirect=["retold"])
async def test_every_algorithm_that_the_plugin_knows(
    retold: Sides, email: str, algorithm: KeyAlgorithm
) -> None:
    # It goes on signing with the key that it has.
    retold.rows("delete from jwks")
    retold.there.restart(key_algorithm=algorithm)
    signed_up = retold.there.sign_up(email)
    shown = retold.jwt(cookie_of(signed_up))
    assert jwt.get_unverified_header(token_in(shown))["alg"] == algorithm

    for side in (retold.here, retold.far):
        valid = (await side.validate(shown)).raise_for_status().json()
        assert valid["credential"] == "jwt"
        assert in_common(valid["user"]) == in_common(signed_up.json()["user"])
        assert (await side.create(shown)).status_code == 201
        forged = await side.validate(bearer(with_another_signature(token_in(shown))))
        assert forged.status_code == 401


@pytest.mark.parametrize("is_verified", [False, True])
async def test_first_sight_makes_the_user(sides: Sides, email: str, is_verified: bool) -> None:
    """As the token describes them; the session itself is of no use in another database."""
    signed_up = sides.there.sign_up(email.upper(), name="Zoë 👩‍🚀")
    sides.rows('update "user" set "emailVerified" = %s where email = %s', is_verified, email)
    cookie = cookie_of(signed_up)

    for stranger in (cookie, bearer(signed_up.json()["token"])):
        assert (await sides.far.validate(stranger)).status_code == 401
    created = await sides.far.create(sides.jwt(cookie))

    assert created.status_code == 201
    user = in_common(signed_up.json()["user"]) | {"email_verified": is_verified}
    assert in_common((await sides.far.me(sides.jwt(cookie))).json()) == user
    assert (await sides.far.tasks(sides.jwt(cookie))).json()["data"] == [created.json()]
    assert (await sides.here.tasks(cookie)).json()["total"] == 0


async def test_only_what_is_newer_changes_the_user(sides: Sides, email: str) -> None:
    cookie = cookie_of(sides.there.sign_up(email, name="first"))
    shown = sides.jwt(cookie)

    async def after(shown: Headers) -> Any:
        return (await sides.far.me(shown)).raise_for_status().json()["name"]

    assert await after(shown) == "first"
    for name, shift, expected in (
        ("as old", "0 s", "first"),
        ("older", "-1 day", "first"),
        ("newer", "1 day 1 ms", "newer"),
        ("yet to come", "1 hour", "newer"),
    ):
        sides.rows(RENAME, name, shift, email)
        assert await after(sides.jwt(cookie)) == expected, name
    # Which was news once.
    assert await after(shown) == "newer"


async def test_an_address_moves_with_the_user(sides: Sides, email: str) -> None:
    signed_up = sides.there.sign_up(email)
    cookie = cookie_of(signed_up)
    before = sides.jwt(cookie)
    assert (await sides.far.me(before)).json()["email_verified"] is False

    sides.rows(MOVE, f"new-{email}", email)

    user = (await sides.far.me(sides.jwt(cookie))).json()
    assert (user["email"], user["email_verified"]) == (f"new-{email}", True)
    assert user["id"] == signed_up.json()["user"]["id"]
    assert (await sides.far.me(before)).json() == user


async def test_an_address_of_somebody_else_is_not_taken_over(sides: Sides, email: str) -> None:
    """Whoever has it here keeps it, and their tasks."""
    assert (await sides.far.sign_up(email)).status_code == 201

    refused = await sides.far.me(sides.jwt(cookie_of(sides.there.sign_up(email))))

    assert (refused.status_code, refused.json()["error_code"]) == (409, "EMAIL_TAKEN")


async def test_a_deleted_account_stays_deleted(sides: Sides, email: str) -> None:
    """For tokens from before; who comes with a later one begins anew."""
    signed_up = sides.there.sign_up(email)
    cookie, user_id = cookie_of(signed_up), signed_up.json()["user"]["id"]
    before = sides.jwt(cookie)
    assert (await sides.far.create(before)).status_code == 201

    assert (await sides.far.delete_account(before)).status_code == 204

    for refused in (await sides.far.tasks(before), await sides.far.me(before)):
        assert (refused.status_code, refused.json()["error_code"]) == (401, "UNKNOWN_USER")
    assert rows(sides.far_url, 'select id from "user" where id = %s', user_id) == []
    later = await issued_later(sides, cookie, before)
    # A token says no more than the second in which it was issued.
    rows(sides.far_url, DELETED_THEN, issued_at(before), user_id)
    assert (await sides.far.tasks(later)).json()["total"] == 0
    assert (await sides.far.tasks(before)).json()["error_code"] == "UNKNOWN_USER"


async def issued_later(sides: Sides, cookie: Headers, before: Headers) -> Headers:
    """A token of another second."""
    while issued_at(shown := sides.jwt(cookie)) == issued_at(before):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return shown


def issued_at(shown: Headers) -> int:
    claims = jwt.decode(token_in(shown), options={"verify_signature": False})
    assert isinstance(claims["iat"], int)
    return claims["iat"]


def token_in(shown: Headers) -> str:
    return shown["Authorization"].removeprefix("Bearer ")


def with_another_signature(token: str) -> str:
    """Of the same form, and wrong."""
    signed, _, signature = token.rpartition(".")
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    return f"{signed}.{signature[:middle]}{other}{signature[middle + 1 :]}"
