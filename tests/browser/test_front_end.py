"""A user works in a Better Auth front end that keeps its tasks in Taskport."""

from pathlib import Path
from typing import Final

from playwright.async_api import BrowserContext, expect

from tests.browser.front_end import FrontEnd
from tests.browser.network import NetworkLog
from tests.browser.stack import Stack
from tests.interop.better_auth import PASSWORD
from tests.waiting import eventually_async

COOKIE: Final = "better-auth.session_token"
SPECIAL_TITLE: Final = "Zwölf Boxkämpfer „jagen“ <b>Viktor</b> &amp; Eva"


async def test_tasks_with_session_cookie(front_end: FrontEnd, stack: Stack, email: str) -> None:
    await front_end.screenshot("1-signed-out")
    await front_end.sign_up(email)
    await front_end.expect_user("Ada Lovelace")
    await front_end.expect_tasks()

    for title in ("Water the plants", "Buy oat milk", SPECIAL_TITLE):
        await front_end.add(title)
    await front_end.expect_tasks("Water the plants", "Buy oat milk", SPECIAL_TITLE)
    await front_end.toggle("Water the plants")
    await front_end.delete("Buy oat milk")
    await front_end.expect_tasks("Water the plants", SPECIAL_TITLE, completed=1)
    await front_end.screenshot("2-by-cookie")

    await front_end.page.reload()
    await front_end.expect_user("Ada Lovelace")
    await front_end.expect_tasks("Water the plants", SPECIAL_TITLE, completed=1)
    await front_end.toggle("Water the plants")
    await front_end.expect_tasks("Water the plants", SPECIAL_TITLE)
    [user_id] = [user_id for user_id, *_ in stack.rows()['"user"'] if email in str(_)]
    assert (await front_end.fetch("/api/auth/me")).body["id"] == user_id


async def test_tasks_with_jwt(front_end: FrontEnd, stack: Stack, email: str) -> None:
    """The requests omit the cookie, though the browser has one, and see the same tasks."""
    await front_end.sign_up(email)
    await front_end.add("By cookie")
    await front_end.expect_tasks("By cookie")
    network = NetworkLog(stack.api_url)
    await network.record(front_end.page)

    await front_end.use_credential("JWT")
    await front_end.add("By JWT")
    await front_end.expect_tasks("By cookie", "By JWT")
    await front_end.toggle("By cookie")
    await front_end.expect_tasks("By cookie", "By JWT", completed=1)
    await front_end.screenshot("3-by-jwt")
    await front_end.delete("By JWT")
    await front_end.expect_tasks("By cookie", completed=1)

    # DevTools may report the last request only after the page has its response.
    await eventually_async(lambda: any(e.method == "DELETE" for e in network.exchanges()))
    requests = [e for e in network.exchanges() if e.method != "OPTIONS"]
    assert {e.method for e in requests} == {"GET", "POST", "PATCH", "DELETE"}
    assert not any("cookie" in e.request_headers for e in requests)
    [token] = {e.request_headers["authorization"].removeprefix("Bearer ") for e in requests}
    assert token.count(".") == 2
    await front_end.use_credential("Cookie")
    await front_end.expect_tasks("By cookie", completed=1)


async def test_sign_out_in_better_auth_ends_the_session_in_taskport(
    front_end: FrontEnd, context: BrowserContext, stack: Stack, email: str
) -> None:
    """The cookie and the access tokens of the session are rejected afterwards."""
    await front_end.sign_up(email)
    await front_end.expect_tasks()
    [cookie] = await context.cookies()
    response = await front_end.fetch("/api/auth/refresh", method="POST")
    token = {"Authorization": f"Bearer {response.body['access_token']}"}
    by_token = {"headers": token, "credentials": "omit"}
    assert (await front_end.fetch("/api/tasks", **by_token)).status == 200

    await front_end.sign_out()
    await front_end.screenshot("4-signed-out-again")

    assert await context.cookies() == []
    await context.add_cookies(
        [{"name": cookie["name"], "value": cookie["value"], "url": stack.api_url}]
    )
    assert (await front_end.fetch("/api/tasks")).status == 401
    assert (await front_end.fetch("/api/tasks", **by_token)).status == 401


async def test_account_created_by_taskport_works_in_better_auth(
    front_end: FrontEnd, context: BrowserContext, email: str
) -> None:
    """Better Auth's client recognizes the session, and its server accepts the password."""
    account = {"email": email, "password": PASSWORD, "name": "Grace Hopper"}
    created = await front_end.fetch("/api/auth/signup", method="POST", json=account)
    assert created.status == 201
    [cookie] = await context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (COOKIE, True, "Lax")

    await front_end.page.reload()
    await front_end.expect_user("Grace Hopper")
    await front_end.use_credential("JWT")
    await front_end.add("Find the moth")
    await front_end.expect_tasks("Find the moth")

    await front_end.sign_out()
    await front_end.sign_in(email)
    await front_end.expect_user("Grace Hopper")
    await front_end.expect_tasks("Find the moth")


async def test_logout_in_taskport_ends_the_session_in_better_auth(
    front_end: FrontEnd, email: str
) -> None:
    """The page shows the sign-in form after its next request."""
    await front_end.sign_up(email)
    await front_end.expect_tasks()

    assert (await front_end.fetch("/api/auth/logout", method="POST")).status == 204

    assert (await front_end.better_auth("/get-session")).body is None
    await front_end.add("Too late")
    await expect(front_end.sign_in_form).to_be_visible()


async def test_errors_are_shown(front_end: FrontEnd, email: str) -> None:
    await front_end.sign_in(email)
    await expect(front_end.alert).to_have_text("Invalid email or password")

    await front_end.sign_up(email)
    await front_end.add("x" * 201)
    await expect(front_end.alert).to_contain_text("title must")
    await front_end.screenshot("5-refused")


async def test_two_tabs_share_the_session_and_do_not_overwrite_each_other(
    front_end: FrontEnd, context: BrowserContext, stack: Stack, tmp_path: Path, email: str
) -> None:
    """A change to a stale version is rejected (no lost update); signing out ends both tabs."""
    await front_end.sign_up(email)
    await front_end.add("Water the plants")
    await front_end.expect_tasks("Water the plants")
    other = FrontEnd(await context.new_page(), stack, tmp_path)
    await other.open()
    await other.toggle("Water the plants")
    await other.expect_tasks("Water the plants", completed=1)

    await front_end.delete("Water the plants")
    await expect(front_end.alert).to_be_visible()
    await front_end.expect_tasks("Water the plants", completed=1)
    await front_end.screenshot("6-changed-elsewhere")

    await other.sign_out()
    await expect(front_end.sign_in_form).to_be_visible()
