"""Better Auth's JWTs, with keys of the shared table, and with keys that it publishes over HTTP for
a Taskport on a database of its own."""

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

# The tables of 1.6.30 do not name the algorithm of a key, and an RSA key does not imply it.
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
# `deleted_at` is null again once the user is back.
DELETED_THEN: Final = """
    update taskport.owners
    set last_deleted_at = time, deleted_at = case when deleted_at is not null then time end
    from to_timestamp(%s) time
    where id = %s
"""


@pytest.fixture(scope="module")
async def restartable(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Both sides; the Better Auth server may be restarted with other settings."""
    async with both_sides(postgres_18_server, request.param) as sides:
        yield sides


@pytest.mark.parametrize(("restartable", "algorithm"), ALGORITHMS, indirect=["restartable"])
async def test_all_algorithms_of_the_plugin_are_accepted(
    restartable: Sides, email: str, algorithm: KeyAlgorithm
) -> None:
    # Otherwise it would go on signing with its current key.
    restartable.rows("delete from jwks")
    restartable.better_auth.restart(key_algorithm=algorithm)
    signed_up = restartable.better_auth.sign_up(email)
    credential = restartable.jwt(cookie_of(signed_up))
    assert jwt.get_unverified_header(token_in(credential))["alg"] == algorithm

    for side in (restartable.taskport, restartable.separate):
        valid = (await side.validate(credential)).raise_for_status().json()
        assert valid["credential"] == "jwt"
        assert in_common(valid["user"]) == in_common(signed_up.json()["user"])
        assert (await side.create(credential)).status_code == 201
        forged = await side.validate(bearer(with_another_signature(token_in(credential))))
        assert forged.status_code == 401


@pytest.mark.parametrize("is_verified", [False, True])
async def test_first_token_creates_the_user(sides: Sides, email: str, is_verified: bool) -> None:
    """With the profile in its claims. The session is not accepted: its row is not in the table."""
    signed_up = sides.better_auth.sign_up(email.upper(), name="Zoë 👩‍🚀")
    sides.rows('update "user" set "emailVerified" = %s where email = %s', is_verified, email)
    cookie = cookie_of(signed_up)

    for session in (cookie, bearer(signed_up.json()["token"])):
        assert (await sides.separate.validate(session)).status_code == 401
    created = await sides.separate.create(sides.jwt(cookie))

    assert created.status_code == 201
    user = in_common(signed_up.json()["user"]) | {"email_verified": is_verified}
    assert in_common((await sides.separate.me(sides.jwt(cookie))).json()) == user
    assert (await sides.separate.tasks(sides.jwt(cookie))).json()["data"] == [created.json()]
    assert (await sides.taskport.tasks(cookie)).json()["total"] == 0


async def test_only_newer_claims_update_the_user(sides: Sides, email: str) -> None:
    cookie = cookie_of(sides.better_auth.sign_up(email, name="first"))
    first = sides.jwt(cookie)

    async def name_after(token: Headers) -> Any:
        return (await sides.separate.me(token)).raise_for_status().json()["name"]

    assert await name_after(first) == "first"
    for name, shift, expected in (
        ("equally old", "0 s", "first"),
        ("older", "-1 day", "first"),
        ("newer", "1 day 1 ms", "newer"),
        ("in the future", "1 hour", "newer"),
    ):
        sides.rows(RENAME, name, shift, email)
        assert await name_after(sides.jwt(cookie)) == expected, name
    assert await name_after(first) == "newer"


async def test_changed_email_is_updated(sides: Sides, email: str) -> None:
    signed_up = sides.better_auth.sign_up(email)
    cookie = cookie_of(signed_up)
    before = sides.jwt(cookie)
    assert (await sides.separate.me(before)).json()["email_verified"] is False

    sides.rows(MOVE, f"new-{email}", email)

    user = (await sides.separate.me(sides.jwt(cookie))).json()
    assert (user["email"], user["email_verified"]) == (f"new-{email}", True)
    assert user["id"] == signed_up.json()["user"]["id"]
    assert (await sides.separate.me(before)).json() == user


async def test_email_of_another_user_is_not_taken_over(sides: Sides, email: str) -> None:
    """The user who has it in this database keeps it, with all tasks."""
    assert (await sides.separate.sign_up(email)).status_code == 201

    response = await sides.separate.me(sides.jwt(cookie_of(sides.better_auth.sign_up(email))))

    assert (response.status_code, response.json()["error_code"]) == (409, "EMAIL_TAKEN")


async def test_deleted_account_stays_deleted(sides: Sides, email: str) -> None:
    """Earlier tokens are rejected; one that was issued an hour later creates the user anew, without
    tasks."""
    signed_up = sides.better_auth.sign_up(email)
    cookie, user_id = cookie_of(signed_up), signed_up.json()["user"]["id"]
    before = sides.jwt(cookie)
    assert (await sides.separate.create(before)).status_code == 201

    assert (await sides.separate.delete_account(before)).status_code == 204

    for rejected in (await sides.separate.tasks(before), await sides.separate.me(before)):
        assert (rejected.status_code, rejected.json()["error_code"]) == (401, "UNKNOWN_USER")
    assert rows(sides.separate_url, 'select id from "user" where id = %s', user_id) == []
    later = await issued_later(sides, cookie, before)
    # Better Auth's cookie cache makes tokens of a deleted user for a while.
    assert (await sides.separate.tasks(later)).json()["error_code"] == "UNKNOWN_USER"
    rows(sides.separate_url, DELETED_THEN, issued_at(later) - 3601, user_id)
    assert (await sides.separate.tasks(later)).json()["total"] == 0
    # `iat` is in whole seconds.
    rows(sides.separate_url, DELETED_THEN, issued_at(before), user_id)
    assert (await sides.separate.tasks(later)).json()["total"] == 0
    assert (await sides.separate.tasks(before)).json()["error_code"] == "UNKNOWN_USER"


async def issued_later(sides: Sides, cookie: Headers, before: Headers) -> Headers:
    """A token issued in a later second."""
    while issued_at(later := sides.jwt(cookie)) == issued_at(before):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return later


def issued_at(credential: Headers) -> int:
    claims = jwt.decode(token_in(credential), options={"verify_signature": False})
    assert isinstance(claims["iat"], int)
    return claims["iat"]


def token_in(credential: Headers) -> str:
    return credential["Authorization"].removeprefix("Bearer ")


def with_another_signature(token: str) -> str:
    """The token with a well-formed but invalid signature."""
    signed, _, signature = token.rpartition(".")
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    return f"{signed}.{signature[:middle]}{other}{signature[middle + 1 :]}"
