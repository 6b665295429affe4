"""The official client signs in and out, wherever Better Auth keeps its sessions."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import BrowserContext, expect

from tests.browser.front_end import FrontEnd
from tests.browser.stack import Stack, running_stack
from tests.interop.nodejs import node_modules
from tests.redis_server import RedisServer
from tests.servers import PostgresServer
from tests.waiting import eventually_async

VERSIONS: Final = ("1.6.30", "1.7.25")
#: Remembered for a second, so that the tests also see the end of that.
REMOTE: Final = {
    "BETTER_AUTH_SECRET": "",
    "BETTER_AUTH_SESSIONS": "remote",
    "BETTER_AUTH_SESSION_CACHE": "1",
}
#: Settings of Better Auth and of Taskport.
Settings = tuple[Mapping[str, str], Mapping[str, str]]
KINDS: Final = ("database", "redis", "remote memory", "remote sqlite", "remote stateless")


@dataclass(frozen=True)
class Deployment:
    """The servers, with Better Auth's sessions at a place of this kind."""

    kind: str
    stack: Stack


def _settings(kind: str, redis: RedisServer, folder: Path) -> Settings:
    match kind:
        case "database":
            return {"MIGRATE": "run"}, {}
        case "redis":
            storage = {"REDIS_URL": redis.url, "REDIS_PREFIX": "better-auth:"}
            return {"MIGRATE": "run", **storage}, {"BETTER_AUTH_SESSIONS": redis.url}
        case "remote memory":
            return {"DATABASE": "memory"}, REMOTE
        case "remote sqlite":
            file = str(folder / "db")
            return {"DATABASE": "sqlite", "SQLITE_FILE": file, "MIGRATE": "run"}, REMOTE
        case _:
            return {"DATABASE": "none", "COOKIE_CACHE": "jwe"}, REMOTE


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=KINDS)
def deployment(
    request: pytest.FixtureRequest,
    version: str,
    chromium: Path,
    postgres_18_server: PostgresServer,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    node_modules()
    better_auth, taskport = _settings(
        request.param, redis_server, tmp_path_factory.mktemp("sqlite")
    )
    with (
        postgres_18_server.database(template="template0") as url,
        running_stack(url, version=version, better_auth=better_auth, taskport=taskport) as stack,
    ):
        yield Deployment(request.param, stack)


@pytest.fixture
async def front_end(
    context: BrowserContext, deployment: Deployment, screenshots: Path
) -> AsyncIterator[FrontEnd]:
    front_end = FrontEnd(await context.new_page(), deployment.stack, screenshots)
    await front_end.open()
    yield front_end
    assert front_end.page_errors == []


async def test_session_ends_on_either_side(
    front_end: FrontEnd, context: BrowserContext, deployment: Deployment, email: str
) -> None:
    await front_end.sign_up(email)
    await front_end.add("Water the plants")
    await front_end.expect_tasks("Water the plants")
    cookies = await context.cookies()

    await front_end.sign_out()
    assert (await front_end.fetch("/api/tasks")).status == 401
    if deployment.kind != "remote stateless":
        # Not even with a copy of the cookies. A stateless session is nowhere else.
        await context.add_cookies([_with_url(cookie, deployment.stack) for cookie in cookies])
        await _expect_rejection(front_end, deployment)
        await context.clear_cookies()

    await front_end.page.reload()
    await front_end.sign_in(email)
    await front_end.expect_tasks("Water the plants")
    assert (await front_end.fetch("/api/auth/logout", method="POST")).status == 204
    assert (await front_end.better_auth("/get-session")).body is None
    assert (await front_end.fetch("/api/tasks")).status == 401
    await front_end.add("Too late")
    await expect(front_end.sign_in_form).to_be_visible()


async def _expect_rejection(front_end: FrontEnd, deployment: Deployment) -> None:
    """At the next request, or if a remote session is remembered no longer."""

    async def is_rejected() -> bool:
        return (await front_end.fetch("/api/tasks")).status == 401

    if deployment.kind.startswith("remote"):
        await eventually_async(is_rejected)
    else:
        assert await is_rejected()


def _with_url(cookie: Mapping[str, Any], stack: Stack) -> Any:
    return {"name": cookie["name"], "value": cookie["value"], "url": stack.api_url}
