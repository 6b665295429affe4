"""Sessions that Better Auth keeps outside of the database that it shares with this service, or
without any database."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from adapters.postgres.schema import migrate
from entrypoints.inspection import forget
from entrypoints.settings import Settings
from tests.interop.better_auth import BetterAuthServer, cookie_of, server
from tests.interop.better_auth import Settings as ServerSettings
from tests.interop.sides import bearer, rows
from tests.interop.taskport import SECRET, Headers, Taskport, taskport
from tests.redis_server import RedisServer
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]

VERSIONS: Final = ("1.6.30", "1.7.25")
#: Where Better Auth keeps users and sessions.
KINDS: Final = ("redis", "redis without prefix", "sqlite", "memory", "stateless")


@dataclass(frozen=True)
class Elsewhere:
    """A Better Auth server, and Taskport on a database that it does not know."""

    better_auth: BetterAuthServer
    taskport: Taskport
    url: str
    settings: Settings

    async def credentials(self, cookie: Headers, token: str) -> dict[str, Headers]:
        jwt = self.better_auth.token(cookie).raise_for_status().json()["token"]
        return {"cookie": cookie, "session_token": bearer(token), "jwt": bearer(jwt)}


@asynccontextmanager
async def elsewhere(
    kind: str,
    version: str,
    postgres: PostgresServer,
    redis: RedisServer,
    folder: Path,
    **options_of_server: Any,
) -> AsyncIterator[Elsewhere]:
    settings: ServerSettings = {}
    ours: dict[str, Any] = {"better_auth_secret": None, "better_auth_sessions": "remote"}
    if kind.startswith("redis"):
        prefix = "" if kind.endswith("without prefix") else "better-auth:"
        settings = {"redis_url": redis.url, "redis_prefix": prefix, "database": "memory"}
        ours = {"better_auth_sessions": redis.url, "better_auth_redis_prefix": prefix}
    elif kind == "sqlite":
        settings = {"database": "sqlite", "sqlite_file": str(folder / "db"), "migrate": "run"}
    else:
        settings = {"database": "memory" if kind == "memory" else "none"}
    settings["options"] = json.dumps(options_of_server)
    with (
        postgres.database(template="template0") as url,
        server("", secret=SECRET, version=version, **settings) as better_auth,
    ):
        origin = better_auth.origin
        keys = f"{better_auth.url}/api/auth/jwks"
        options = {"better_auth_jwks_url": keys, "better_auth_session_cache": 0, **ours}
        settings_of_ours = Settings(database_url=url, **{"better_auth_secret": SECRET, **options})
        migrate(url, options=settings_of_ours.layout_options)
        async with taskport(url, origin, **options) as started:
            yield Elsewhere(better_auth, started, url, settings_of_ours)


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest, node_modules: None) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=KINDS)
async def sides(
    request: pytest.FixtureRequest,
    version: str,
    postgres_18_server: PostgresServer,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Elsewhere]:
    folder = tmp_path_factory.mktemp("sqlite")
    async with elsewhere(
        request.param,
        version,
        postgres_18_server,
        redis_server,
        folder,
        user={"deleteUser": {"enabled": True}},
    ) as sides:
        yield sides


async def test_sign_in_there_is_valid_here(sides: Elsewhere, email: str) -> None:
    signed_up = sides.better_auth.sign_up(email)
    cookie, token = cookie_of(signed_up), signed_up.json()["token"]
    for kind, headers in (await sides.credentials(cookie, token)).items():
        assert (await sides.taskport.create(headers)).status_code == 201, kind
        validated = (await sides.taskport.validate(headers)).json()
        assert validated["credential"] == kind
        assert validated["user"]["email"] == email
        assert (validated["session"] is None) is (kind == "jwt")
    assert (await sides.taskport.tasks(cookie)).json()["total"] == 3


async def test_sign_out_there_ends_it_here(sides: Elsewhere, email: str) -> None:
    signed_up = sides.better_auth.sign_up(email)
    cookie, token = cookie_of(signed_up), signed_up.json()["token"]
    assert (await sides.taskport.me(cookie)).status_code == 200
    assert sides.better_auth.sign_out(cookie).is_success
    assert (await sides.taskport.me(bearer(token))).status_code == 401
    session = {"Cookie": cookie["Cookie"].partition(";")[0]}
    assert (await sides.taskport.me(session)).status_code == 401


async def test_log_out_here_ends_it_there(sides: Elsewhere, email: str) -> None:
    signed_up = sides.better_auth.sign_up(email)
    cookie = {"Cookie": cookie_of(signed_up)["Cookie"].partition(";")[0]}
    assert (await sides.taskport.me(cookie)).status_code == 200
    logged_out = await sides.taskport.log_out(cookie)
    assert logged_out.status_code == 204
    assert "session_token=;" in logged_out.headers["set-cookie"]
    assert (await sides.taskport.me(cookie)).status_code == 401
    assert sides.better_auth.get_session(cookie).json() is None


async def test_sessions_are_listed_and_ended(sides: Elsewhere, email: str) -> None:
    signed_up = sides.better_auth.sign_up(email)
    other = sides.better_auth.sign_in(email)
    cookie, others = cookie_of(signed_up), cookie_of(other)
    listed = (await sides.taskport.sessions(cookie)).json()["data"]
    assert len(listed) == 2
    assert [session["current"] for session in listed] == [False, True]
    assert (await sides.taskport.end_session(cookie, listed[0]["id"])).status_code == 204
    assert (await sides.taskport.end_session(cookie, listed[0]["id"])).status_code == 404
    session = {"Cookie": others["Cookie"].partition(";")[0]}
    assert (await sides.taskport.me(session)).status_code == 401
    assert sides.better_auth.get_session(session).json() is None
    assert (await sides.taskport.me(cookie)).status_code == 200


async def test_accounts_are_better_auths(sides: Elsewhere, email: str) -> None:
    cookie = cookie_of(sides.better_auth.sign_up(email))
    for response in (
        await sides.taskport.sign_up(f"new-{email}"),
        await sides.taskport.log_in(email),
        await sides.taskport.refresh(cookie),
        await sides.taskport.request("PATCH", "/users/me", cookie, json={"name": "Eve"}),
        await sides.taskport.delete_account(cookie),
    ):
        assert response.status_code == 403, response.text
        assert response.json()["error_code"] == "SIGN_IN_ELSEWHERE"


async def test_address_of_a_user_who_was_deleted_there(sides: Elsewhere, email: str) -> None:
    """Another user may sign up with it, and has other tasks."""
    former = cookie_of(sides.better_auth.sign_up(email))
    assert (await sides.taskport.create(former)).status_code == 201
    assert sides.better_auth.delete_user(former).is_success
    signed_up = sides.better_auth.sign_up(email)
    cookie = cookie_of(signed_up)
    assert (await sides.taskport.tasks(cookie)).json()["total"] == 0
    assert (await sides.taskport.me(cookie)).json()["id"] == signed_up.json()["user"]["id"]
    token = {"Cookie": former["Cookie"].partition(";")[0]}
    assert (await sides.taskport.me(token)).status_code == 401


async def test_forgotten_user(sides: Elsewhere, email: str) -> None:
    """Sessions and JWTs from before stay invalid, though Better Auth still accepts them. The user
    can sign in again an hour later, as after any deletion.
    """
    signed_up = sides.better_auth.sign_up(email)
    user_id = signed_up.json()["user"]["id"]
    former = await sides.credentials(cookie_of(signed_up), signed_up.json()["token"])
    assert (await sides.taskport.create(former["cookie"])).status_code == 201
    await forget(sides.settings, user_id)
    assert rows(sides.url, "select id from taskport.tasks where user_id = %s", user_id) == []
    for headers in former.values():
        assert (await sides.taskport.create(headers)).status_code == 401
    assert rows(sides.url, 'select id from taskport."user" where id = %s', user_id) == []
    cookie = cookie_of(sides.better_auth.sign_in(email))
    assert (await sides.taskport.tasks(cookie)).status_code == 401
    rows(
        sides.url,
        "update taskport.owners set (deleted_at, last_deleted_at) ="
        " (deleted_at - interval '61 minutes', last_deleted_at - interval '61 minutes')"
        " where id = %s",
        user_id,
    )
    assert (await sides.taskport.tasks(cookie)).json()["total"] == 0


async def test_remote_sessions_are_only_listed_for_a_fresh_one(
    version: str, postgres_18_server: PostgresServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Better Auth's `session.freshAge`, here so short that no session is fresh."""
    session = {"freshAge": 0.001}
    async with elsewhere(
        "memory", version, postgres_18_server, redis_server, tmp_path, session=session
    ) as sides:
        cookie = cookie_of(sides.better_auth.sign_up("ada@example.com"))
        for response in (
            await sides.taskport.sessions(cookie),
            await sides.taskport.end_session(cookie, "another"),
        ):
            assert (response.status_code, response.json()["error_code"]) == (403, "FORBIDDEN")
        assert (await sides.taskport.me(cookie)).status_code == 200


@pytest.mark.parametrize("is_exempt", [True, False])
async def test_rate_limit_of_better_auth_counts_remote_sessions(
    version: str,
    postgres_18_server: PostgresServer,
    redis_server: RedisServer,
    tmp_path: Path,
    is_exempt: bool,
) -> None:
    """All requests of this service have one address."""
    limit = {"enabled": True, "window": 600, "max": 2}
    rules = {"customRules": {"/get-session": False}} if is_exempt else {}
    async with elsewhere(
        "memory", version, postgres_18_server, redis_server, tmp_path, rateLimit={**limit, **rules}
    ) as sides:
        cookie = cookie_of(sides.better_auth.sign_up("ada@example.com"))
        statuses = [(await sides.taskport.me(cookie)).status_code for _ in range(4)]
        assert statuses[-1] == (200 if is_exempt else 503)


async def test_stateless_session_outlives_the_process(
    version: str, postgres_18_server: PostgresServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Without a database, the session is in an encrypted cookie alone."""
    async with elsewhere("stateless", version, postgres_18_server, redis_server, tmp_path) as sides:
        cookie = cookie_of(sides.better_auth.sign_up("ada@example.com"))
        assert (await sides.taskport.create(cookie)).status_code == 201
        sides.better_auth.restart()
        assert (await sides.taskport.tasks(cookie)).json()["total"] == 1
        token_alone = {"Cookie": cookie["Cookie"].partition(";")[0]}
        assert (await sides.taskport.me(token_alone)).status_code == 401


@pytest.mark.parametrize("strategy", ["compact", "jwt", "jwe"])
async def test_cookie_cache_does_not_outlive_its_session(
    strategy: str,
    version: str,
    postgres_18_server: PostgresServer,
    redis_server: RedisServer,
    tmp_path: Path,
) -> None:
    """Better Auth itself accepts the cache for some minutes after the session has ended."""
    arguments = ("memory", version, postgres_18_server, redis_server, tmp_path)
    session = {"cookieCache": {"enabled": True, "strategy": strategy}}
    async with elsewhere(*arguments, session=session) as sides:
        for log_out in (True, False):
            cookie = cookie_of(sides.better_auth.sign_up(f"{log_out}@example.com".lower()))
            assert "session_data" in cookie["Cookie"]
            assert (await sides.taskport.create(cookie)).status_code == 201
            if log_out:
                assert (await sides.taskport.log_out(cookie)).status_code == 204
            else:
                assert sides.better_auth.sign_out(cookie).is_success
            assert (await sides.taskport.me(cookie)).status_code == 401
            assert (await sides.taskport.create(cookie)).status_code == 401


async def test_log_out_ends_sessions_whose_cookies_contradict_each_other(
    version: str, postgres_18_server: PostgresServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Another page can set a second session cookie."""
    arguments = ("memory", version, postgres_18_server, redis_server, tmp_path)
    async with elsewhere(*arguments) as sides:
        cookie = cookie_of(sides.better_auth.sign_up("ada@example.com"))["Cookie"]
        tossed = {"Cookie": f"{cookie}; {cookie.partition('=')[0]}=evil"}
        assert (await sides.taskport.me(tossed)).status_code == 401
        logged_out = await sides.taskport.log_out(tossed)
        assert logged_out.status_code == 204
        assert "session_token=;" in logged_out.headers["set-cookie"]
        assert sides.better_auth.get_session({"Cookie": cookie}).json() is None


async def test_nobody_is_let_in_while_better_auth_is_away(
    version: str,
    postgres_18_server: PostgresServer,
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Frozen, then killed; the first request after that is served again."""
    monkeypatch.setattr("adapters.better_auth.remote_sessions.TIMEOUT_SECONDS", 2.0)
    arguments = ("sqlite", version, postgres_18_server, redis_server, tmp_path)
    async with elsewhere(*arguments) as sides:
        cookie = cookie_of(sides.better_auth.sign_up("ada@example.com"))
        assert (await sides.taskport.create(cookie)).status_code == 201
        sides.better_auth.process.send_signal(signal.SIGSTOP)
        try:
            await _assert_away(sides, cookie)
        finally:
            sides.better_auth.process.send_signal(signal.SIGCONT)
        assert (await sides.taskport.tasks(cookie)).json()["total"] == 1
        sides.better_auth.stop()
        await _assert_away(sides, cookie)
        sides.better_auth.restart()
        assert (await sides.taskport.tasks(cookie)).json()["total"] == 1


async def _assert_away(sides: Elsewhere, cookie: Headers) -> None:
    for response in (await sides.taskport.me(cookie), await sides.taskport.create(cookie)):
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
