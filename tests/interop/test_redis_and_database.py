"""Better Auth's sessions in Redis, and its users in the database that it shares."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from adapters.postgres.layout import LayoutOptions
from adapters.postgres.schema import migrate
from tests.interop.better_auth import BetterAuthServer, cookie_of, server
from tests.interop.sides import SharedSides, bearer
from tests.interop.taskport import NO_KEYS, SECRET, Headers, taskport
from tests.redis_server import RedisServer
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]

VERSIONS: Final = ("1.6.30", "1.7.25")
#: Whether Better Auth stores sessions in the database as well, and keeps the rows of ended ones.
STORED: Final[dict[str, dict[str, bool]]] = {
    "redis alone": {},
    "stored": {"storeSessionInDatabase": True},
    "preserved": {"storeSessionInDatabase": True, "preserveSessionInDatabase": True},
}
CHANGE_EMAIL: Final = {"enabled": True, "updateEmailWithoutVerification": True}


@contextmanager
def redis_server_of(
    url: str, redis: RedisServer, version: str, session: dict[str, bool]
) -> Iterator[BetterAuthServer]:
    options = {"session": session, "user": {"changeEmail": CHANGE_EMAIL}}
    with server(
        url,
        secret=SECRET,
        version=version,
        redis_url=redis.url,
        redis_prefix="better-auth:",
        # Users may delete their account, and ban others.
        layout="kysely_default",
        migrate="run",
        options=json.dumps(options),
    ) as started:
        yield started


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest, node_modules: None) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=STORED)
async def sides(
    request: pytest.FixtureRequest,
    version: str,
    postgres_18_server: PostgresServer,
    redis_server: RedisServer,
) -> AsyncIterator[SharedSides]:
    with (
        postgres_18_server.database(template="template0") as url,
        redis_server_of(url, redis_server, version, STORED[request.param]) as better_auth,
    ):
        migrate(url, options=LayoutOptions(has_sessions=False))
        async with taskport(
            url,
            better_auth.origin,
            better_auth_jwks_url=NO_KEYS,
            better_auth_sessions=redis_server.url,
        ) as started:
            yield SharedSides(better_auth, started, url)


def signed_up(sides: SharedSides, email: str) -> tuple[Headers, dict[str, Any]]:
    """The cookie and the body of a sign-up at Better Auth."""
    response = sides.better_auth.sign_up(email)
    return cookie_of(response), response.json()


async def assert_rejected(sides: SharedSides, *credentials: Headers) -> None:
    for headers in credentials:
        response = await sides.taskport.create(headers)
        assert response.status_code == 401, response.text


async def test_tables_are_better_auths(sides: SharedSides) -> None:
    found = sides.rows(
        "select tablename as name from pg_tables where schemaname = 'taskport' order by 1"
    )
    assert [row["name"] for row in found] == ["alembic_version", "owners", "tasks"]


async def test_user_is_better_auths(sides: SharedSides, email: str) -> None:
    cookie, body = signed_up(sides, email)
    before = sides.rows('select * from "user" where email = %s', email)
    for headers in (cookie, bearer(body["token"]), sides.jwt(cookie)):
        assert (await sides.taskport.create(headers)).status_code == 201
        assert (await sides.taskport.me(headers)).json()["id"] == body["user"]["id"]
    assert sides.rows('select * from "user" where email = %s', email) == before
    again = cookie_of(sides.better_auth.sign_in(email))
    assert (await sides.taskport.tasks(again)).json()["total"] == 3


async def test_session_ends_on_either_side(sides: SharedSides, email: str) -> None:
    """Better Auth would find a row that is left if there is no text in Redis."""
    for is_here in (True, False):
        response = sides.better_auth.sign_up(f"{is_here}-{email}")
        cookie, token = cookie_of(response), bearer(response.json()["token"])
        assert (await sides.taskport.create(cookie)).status_code == 201
        if is_here:
            assert (await sides.taskport.log_out(cookie)).status_code == 204
        else:
            assert sides.better_auth.sign_out(cookie).is_success
        await assert_rejected(sides, cookie, token)
        assert sides.better_auth.get_session(token).json() is None


async def test_all_sessions_end(sides: SharedSides, email: str) -> None:
    cookie, _ = signed_up(sides, email)
    other = cookie_of(sides.better_auth.sign_in(email))
    assert (await sides.taskport.me(other)).status_code == 200
    assert len((await sides.taskport.sessions(cookie)).json()["data"]) == 2
    assert sides.better_auth.request("POST", "/revoke-sessions", cookie, json={}).is_success
    await assert_rejected(sides, cookie, other)


@pytest.mark.parametrize("is_by_better_auth", [True, False], ids=["by Better Auth", "by SQL"])
async def test_deleted_user(sides: SharedSides, email: str, is_by_better_auth: bool) -> None:
    """SQL leaves the session in Redis, which must not make the user again."""
    cookie, body = signed_up(sides, email)
    user_id = body["user"]["id"]
    jwt = sides.jwt(cookie)
    assert (await sides.taskport.create(cookie)).status_code == 201
    if is_by_better_auth:
        assert sides.better_auth.delete_user(cookie).is_success
    else:
        sides.rows('delete from "user" where id = %s', user_id)
    await assert_rejected(sides, cookie, bearer(body["token"]), jwt)
    assert sides.rows('select id from "user" where id = %s', user_id) == []
    assert sides.rows("select id from taskport.tasks where user_id = %s", user_id) == []


async def test_changes_of_the_user(sides: SharedSides, email: str) -> None:
    cookie, _ = signed_up(sides, email)
    assert (await sides.taskport.me(cookie)).json()["name"] == "Ada"
    change = {"name": "Grace"}
    assert sides.better_auth.request("POST", "/update-user", cookie, json=change).is_success
    change = {"newEmail": f"new-{email}"}
    assert sides.better_auth.request("POST", "/change-email", cookie, json=change).is_success
    user = (await sides.taskport.me(cookie)).json()
    assert (user["name"], user["email"]) == ("Grace", f"new-{email}")


async def test_banned_user(sides: SharedSides, email: str) -> None:
    """Better Auth ends the sessions. One that it did not see is rejected as well."""
    admin, _ = signed_up(sides, f"admin-{email}")
    cookie, body = signed_up(sides, email)
    jwt, user_id = sides.jwt(cookie), body["user"]["id"]
    assert (await sides.taskport.me(cookie)).status_code == 200
    ban = {"userId": user_id}
    assert sides.better_auth.request("POST", "/admin/ban-user", admin, json=ban).is_success
    await assert_rejected(sides, cookie)
    banned = await sides.taskport.me(jwt)
    assert (banned.status_code, banned.json()["error_code"]) == (403, "USER_BANNED")

    other, body = signed_up(sides, f"other-{email}")
    sides.rows('update "user" set banned = true where id = %s', body["user"]["id"])
    banned = await sides.taskport.me(other)
    assert (banned.status_code, banned.json()["error_code"]) == (403, "USER_BANNED")
