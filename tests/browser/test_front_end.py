"""Somebody uses a front end of Better Auth that keeps its tasks in Taskport."""

from pathlib import Path
from typing import Final

from playwright.async_api import BrowserContext, expect

from tests.browser.front_end import FrontEnd
from tests.browser.stage import Stage
from tests.browser.wire import Wire
from tests.interop.better_auth import PASSWORD
from tests.waiting import eventually_async

COOKIE: Final = "better-auth.session_token"
STRANGE: Final = "Zwölf Boxkämpfer „jagen“ <b>Viktor</b> &amp; Eva"


async def test_tasks_by_cookie(front_end: FrontEnd, stage: Stage, email: str) -> None:
    await front_end.picture("1-signed-out")
    await front_end.sign_up(email)
    await front_end.is_of("Ada Lovelace")
    await front_end.shows()

    for title in ("Water the plants", "Buy oat milk", STRANGE):
        await front_end.add(title)
    await front_end.shows("Water the plants", "Buy oat milk", STRANGE)
    await front_end.toggle("Water the plants")
    await front_end.delete("Buy oat milk")
    await front_end.shows("Water the plants", STRANGE, completed=1)
    await front_end.picture("2-by-cookie")

    await front_end.page.reload()
    await front_end.is_of("Ada Lovelace")
    await front_end.shows("Water the plants", STRANGE, completed=1)
    await front_end.toggle("Water the plants")
    await front_end.shows("Water the plants", STRANGE)
    [user_id] = [user_id for user_id, *_ in stage.rows()['"user"'] if email in str(_)]
    assert (await front_end.fetch("/api/auth/me")).body["id"] == user_id


async def test_the_same_tasks_by_jwt(front_end: FrontEnd, stage: Stage, email: str) -> None:
    """Without the cookie, which the browser has all the same."""
    await front_end.sign_up(email)
    await front_end.add("By cookie")
    await front_end.shows("By cookie")
    wire = Wire(stage.api)
    await wire.watch(front_end.page)

    await front_end.ask_by("JWT")
    await front_end.add("By JWT")
    await front_end.shows("By cookie", "By JWT")
    await front_end.toggle("By cookie")
    await front_end.shows("By cookie", "By JWT", completed=1)
    await front_end.picture("3-by-jwt")
    await front_end.delete("By JWT")
    await front_end.shows("By cookie", completed=1)

    # What a browser reports of the last request may come later than the response.
    await eventually_async(lambda: any(e.method == "DELETE" for e in wire.exchanges()))
    asked = [e for e in wire.exchanges() if e.method != "OPTIONS"]
    assert {e.method for e in asked} == {"GET", "POST", "PATCH", "DELETE"}
    assert not any("cookie" in e.headers for e in asked)
    [token] = {e.headers["authorization"].removeprefix("Bearer ") for e in asked}
    assert token.count(".") == 2
    await front_end.ask_by("Cookie")
    await front_end.shows("By cookie", completed=1)


async def test_signing_out(
    front_end: FrontEnd, context: BrowserContext, stage: Stage, email: str
) -> None:
    """It ends the session for Taskport, too, and what hangs on it."""
    await front_end.sign_up(email)
    await front_end.shows()
    [cookie] = await context.cookies()
    refreshed = await front_end.fetch("/api/auth/refresh", method="POST")
    token = {"Authorization": f"Bearer {refreshed.body['access_token']}"}
    by_token = {"headers": token, "credentials": "omit"}
    assert (await front_end.fetch("/api/tasks", **by_token)).status == 200

    await front_end.sign_out()
    await front_end.picture("4-signed-out-again")

    assert await context.cookies() == []
    await context.add_cookies(
        [{"name": cookie["name"], "value": cookie["value"], "url": stage.api}]
    )
    assert (await front_end.fetch("/api/tasks")).status == 401
    assert (await front_end.fetch("/api/tasks", **by_token)).status == 401


async def test_an_account_that_taskport_made(
    front_end: FrontEnd, context: BrowserContext, email: str
) -> None:
    """Better Auth's client knows the session, and its server the password."""
    account = {"email": email, "password": PASSWORD, "name": "Grace Hopper"}
    made = await front_end.fetch("/api/auth/signup", method="POST", json=account)
    assert made.status == 201
    [cookie] = await context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (COOKIE, True, "Lax")

    await front_end.page.reload()
    await front_end.is_of("Grace Hopper")
    await front_end.ask_by("JWT")
    await front_end.add("Find the moth")
    await front_end.shows("Find the moth")

    await front_end.sign_out()
    await front_end.sign_in(email)
    await front_end.is_of("Grace Hopper")
    await front_end.shows("Find the moth")


async def test_taskport_signs_out_of_better_auth(front_end: FrontEnd, email: str) -> None:
    """The other way round; the page learns of it when it asks for something."""
    await front_end.sign_up(email)
    await front_end.shows()

    assert (await front_end.fetch("/api/auth/logout", method="POST")).status == 204

    assert (await front_end.better_auth("/get-session")).body is None
    await front_end.add("Too late")
    await expect(front_end.door).to_be_visible()


async def test_what_goes_wrong_is_said(front_end: FrontEnd, email: str) -> None:
    await front_end.sign_in(email)
    await expect(front_end.alert).to_have_text("Invalid email or password")

    await front_end.sign_up(email)
    await front_end.add("x" * 201)
    await expect(front_end.alert).to_contain_text("title must")
    await front_end.picture("5-refused")


async def test_two_tabs(
    front_end: FrontEnd, context: BrowserContext, stage: Stage, tmp_path: Path, email: str
) -> None:
    """What one has changed, the other cannot undo unseen; and both sign out at once."""
    await front_end.sign_up(email)
    await front_end.add("Water the plants")
    await front_end.shows("Water the plants")
    other = FrontEnd(await context.new_page(), stage, tmp_path)
    await other.open()
    await other.toggle("Water the plants")
    await other.shows("Water the plants", completed=1)

    await front_end.delete("Water the plants")
    await expect(front_end.alert).to_be_visible()
    await front_end.shows("Water the plants", completed=1)
    await front_end.picture("6-changed-elsewhere")

    await other.sign_out()
    await expect(front_end.door).to_be_visible()
