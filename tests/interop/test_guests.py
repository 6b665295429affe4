"""Guests of Better Auth's plugin `anonymous`, who become users and keep their tasks."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.interop.better_auth import PASSWORD, VERSIONS_OF_OPTIONS, cookie_of
from tests.interop.sides import Sides, both_sides
from tests.interop.taskport import Headers
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]


@pytest.fixture(scope="module", params=VERSIONS_OF_OPTIONS)
async def guests(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Better Auth with guests, for each of its versions."""
    async with both_sides(postgres_18_server, request.param, guests=True) as sides:
        yield sides


def new_guest(sides: Sides) -> tuple[Headers, str]:
    """The cookie and the id of a new guest."""
    response = sides.better_auth.request("POST", "/sign-in/anonymous", json={})
    return cookie_of(response), response.json()["user"]["id"]


def link(sides: Sides, guest: Headers, way: str, email: str) -> httpx.Response:
    """Let a guest sign up, or sign in to an account that exists."""
    body = {"email": email, "password": PASSWORD, "name": "Ada"}
    return sides.better_auth.request("POST", f"/{way}/email", guest, json=body).raise_for_status()


async def titles(sides: Sides, cookie: Headers) -> list[str]:
    tasks = (await sides.taskport.tasks(cookie)).raise_for_status().json()
    return [task["title"] for task in tasks["data"]]


@pytest.mark.parametrize("way", ["sign-up", "sign-in"])
@pytest.mark.parametrize("count", [0, 1, 3])
async def test_guest_who_becomes_a_user_keeps_the_tasks(
    guests: Sides, email: str, way: str, count: int
) -> None:
    cookie, guest_id = new_guest(guests)
    own = 0
    if way == "sign-in":
        earlier = cookie_of(guests.better_auth.sign_up(email))
        await guests.taskport.create(earlier)
        own = 1
    for _ in range(count):
        assert (await guests.taskport.create(cookie)).status_code == 201
    credentials = {
        "cookie": cookie,
        "jwt": guests.jwt(cookie),
    }

    linked = link(guests, cookie, way, email)

    user = cookie_of(linked)
    assert len(await titles(guests, user)) == count + own
    data = (await guests.taskport.tasks(user)).json()["data"]
    assert {task["user_id"] for task in data} <= {linked.json()["user"]["id"]}
    assert guests.better_auth.get_session(user).json()["user"]["email"] == email
    assert guests.rows('select 1 from "user" where id = %s', guest_id) == []
    await guests.assert_rejected(credentials)
    assert (await guests.taskport.create(user)).status_code == 201


async def test_guest_who_writes_while_becoming_a_user(guests: Sides, email: str) -> None:
    """Every task that was acknowledged is the user's; later ones are rejected."""
    cookie, _ = new_guest(guests)
    acknowledged = [(await guests.taskport.create(cookie)).json()["id"]]

    async def write() -> None:
        while (created := await guests.taskport.create(cookie)).status_code == 201:
            acknowledged.append(created.json()["id"])
        assert created.status_code == 401

    linking = asyncio.to_thread(link, guests, cookie, "sign-up", email)
    linked, _ = await asyncio.gather(linking, asyncio.gather(*(write() for _ in range(4))))

    moved = guests.rows("select id, user_id from taskport.tasks where id = any(%s)", acknowledged)
    assert {row["user_id"] for row in moved} == {linked.json()["user"]["id"]}
    assert len(moved) == len(acknowledged)


async def test_guest_who_stays_a_guest_keeps_the_tasks(guests: Sides, email: str) -> None:
    """Also if another guest becomes a user."""
    cookie, other = new_guest(guests)[0], new_guest(guests)[0]
    await guests.taskport.create(cookie)
    link(guests, other, "sign-up", email)
    assert len(await titles(guests, cookie)) == 1
