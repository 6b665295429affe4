"""Better Auth with a `secondaryStorage` that also stores sessions in the database: what the rows
tell this service, and what they cannot."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.interop.better_auth import VERSIONS_OF_OPTIONS, cookie_of
from tests.interop.sides import OF_A_SESSION, TO_BE_PROLONGED, Sides, both_sides
from tests.redis_server import RedisServer
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]

STORED = {"session": {"storeSessionInDatabase": True}}
PRESERVED = {"session": {**STORED["session"], "preserveSessionInDatabase": True}}
ENDS = 'select "expiresAt" from session where token = %s'


@pytest.fixture(scope="module", params=VERSIONS_OF_OPTIONS)
async def stored(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    async with both_sides(
        postgres_18_server, request.param, secondary_storage=True, options=json.dumps(STORED)
    ) as sides:
        yield sides


@pytest.fixture(scope="module", params=VERSIONS_OF_OPTIONS)
async def preserved(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[tuple[str, Sides]]:
    async with both_sides(
        postgres_18_server, request.param, secondary_storage=True, options=json.dumps(PRESERVED)
    ) as sides:
        yield request.param, sides


async def test_sessions_of_both_sides_are_accepted(stored: Sides, email: str) -> None:
    """Also one that began here: Better Auth looks for it in the database."""
    for signed_in in (stored.better_auth.sign_up(email), await stored.taskport.log_in(email)):
        await stored.assert_accepted(await stored.credentials(signed_in))


async def test_session_ended_by_better_auth_is_rejected(stored: Sides, email: str) -> None:
    for signed_in in (stored.better_auth.sign_up(email), await stored.taskport.log_in(email)):
        credentials = await stored.credentials(signed_in)
        assert stored.better_auth.sign_out(credentials["cookie"]).is_success
        await stored.assert_rejected(credentials, *OF_A_SESSION)


async def test_session_ended_here_lives_on_in_the_storage(stored: Sides, email: str) -> None:
    """A session that began at Better Auth must end there."""
    cookie = cookie_of(stored.better_auth.sign_up(email))
    assert (await stored.taskport.log_out(cookie)).status_code == 204
    assert (await stored.taskport.me(cookie)).status_code == 401
    assert stored.better_auth.get_session(cookie).json()["user"]["email"] == email


async def test_session_prolonged_here_ends_earlier_in_the_storage(
    stored: Sides, email: str
) -> None:
    """So that this service should not prolong it: `DISABLE_SESSION_REFRESH`."""
    signed_up = stored.better_auth.sign_up(email)
    cookie, token = cookie_of(signed_up), signed_up.json()["token"]
    before = stored.better_auth.get_session(cookie).json()["session"]["expiresAt"]
    stored.rows(TO_BE_PROLONGED, token)
    assert "set-cookie" in (await stored.taskport.me(cookie)).headers
    assert stored.better_auth.get_session(cookie).json()["session"]["expiresAt"] == before


async def test_preserved_row_of_an_ended_session(preserved: tuple[str, Sides], email: str) -> None:
    """1.6.30 leaves the row as it was: nothing in it tells that the session has ended."""
    version, sides = preserved
    signed_up = sides.better_auth.sign_up(email)
    token = signed_up.json()["token"]
    credentials = await sides.credentials(signed_up)
    before = sides.rows("select * from session where token = %s", token)

    assert sides.better_auth.sign_out(credentials["cookie"]).is_success

    after = sides.rows("select * from session where token = %s", token)
    if version == "1.6.30":
        assert after == before
        assert (await sides.taskport.me(credentials["cookie"])).status_code == 200
    else:
        assert after[0]["expiresAt"] < before[0]["expiresAt"]
        await sides.assert_rejected(credentials, *OF_A_SESSION)


@pytest.mark.parametrize("options", [STORED, PRESERVED], ids=["stored", "preserved"])
@pytest.mark.parametrize("version", ["1.6.30", "1.7.25"])
async def test_session_in_redis_and_in_a_row(
    version: str,
    options: dict[str, Any],
    node_modules: None,
    postgres_18_server: PostgresServer,
    redis_server: RedisServer,
    email: str,
) -> None:
    """`BETTER_AUTH_SESSIONS` decides: no row revives a session that either side has ended."""
    ours = {"better_auth_sessions": redis_server.url}
    async with both_sides(
        postgres_18_server,
        version,
        ours=ours,
        options=json.dumps(options),
        redis_url=redis_server.url,
        redis_prefix="better-auth:",
    ) as sides:
        cookie, other = (
            cookie_of(signed_in)
            for signed_in in (sides.better_auth.sign_up(email), sides.better_auth.sign_in(email))
        )
        assert (await sides.taskport.log_out(cookie)).status_code == 204
        assert len(sides.rows("select * from session")) == 1
        assert sides.better_auth.get_session(cookie).json() is None
        assert (await sides.taskport.me(cookie)).status_code == 401
        assert (await sides.taskport.me(other)).status_code == 200
        assert sides.better_auth.sign_out(other).is_success
        assert (await sides.taskport.me(other)).status_code == 401
