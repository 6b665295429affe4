"""Page object for `page/`: what a user does in it and sees."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from playwright.async_api import Locator, Page, expect

from tests.browser.stack import Stack
from tests.interop.better_auth import PASSWORD

_FETCH: Final = """async ([url, { json, ...options }]) => {
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = { "Content-Type": "application/json", ...options.headers };
  }
  const response = await fetch(url, { credentials: "include", ...options });
  const text = await response.text();
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: text && JSON.parse(text),
  };
}"""


@dataclass(frozen=True)
class FetchResponse:
    """A response as `fetch` returns it to a script."""

    status: int
    headers: dict[str, str]
    body: Any


class FrontEnd:
    """A browser tab that shows the page."""

    def __init__(self, page: Page, stack: Stack, screenshots: Path) -> None:
        self.page = page
        self.stack = stack
        self._screenshots = screenshots
        #: Uncaught errors of the page's scripts. An HTTP error status is not one of them.
        self.page_errors: list[str] = []
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))

    @property
    def sign_in_form(self) -> Locator:
        """Visible while no user is signed in."""
        return self.page.get_by_role("form", name="Sign in")

    @property
    def alert(self) -> Locator:
        return self.page.get_by_role("alert")

    @property
    def items(self) -> Locator:
        return self.page.get_by_role("list", name="Tasks", exact=True).get_by_role("listitem")

    async def open(self) -> None:
        await self.page.goto(self.stack.front_end_url)

    async def sign_up(self, email: str, name: str = "Ada Lovelace") -> None:
        form = self.page.get_by_role("form", name="Create an account")
        await form.get_by_label("Name").fill(name)
        await self._submit(form, email, PASSWORD)

    async def sign_in(self, email: str, password: str = PASSWORD) -> None:
        await self._submit(self.sign_in_form, email, password)

    async def sign_out(self) -> None:
        await self.page.get_by_role("button", name="Sign out").click()
        await expect(self.sign_in_form).to_be_visible()

    async def use_credential(self, credential: Literal["Cookie", "JWT"]) -> None:
        await self.page.get_by_role("radio", name=credential).check()

    async def add(self, title: str) -> None:
        await self.page.get_by_role("textbox", name="Title").fill(title)
        await self.page.get_by_role("button", name="Add").click()

    async def toggle(self, title: str) -> None:
        # `check()` would assert the new state at once, before Taskport has responded.
        await self.page.get_by_role("checkbox", name=title).click()

    async def delete(self, title: str) -> None:
        await self.page.get_by_role("button", name=f"Delete {title}").click()

    async def expect_tasks(self, *titles: str, completed: int = 0) -> None:
        """Wait until the page shows exactly these tasks, in this order."""
        await expect(self.items).to_have_text([f"{title}Delete" for title in titles])
        summary = f"{completed} of {len(titles)} completed" if titles else "Nothing to do yet."
        await expect(self.page.get_by_role("status")).to_have_text(summary)

    async def expect_user(self, name: str) -> None:
        """Wait until the page shows the name of the signed-in user."""
        await expect(self.page.locator("#user")).to_contain_text(name)

    async def fetch(self, path: str, **options: Any) -> FetchResponse:
        """Call Taskport from a script of the page; options are those of `fetch`, and `json`."""
        return await self._fetch(f"{self.stack.api_url}{path}", options)

    async def better_auth(self, path: str, **options: Any) -> FetchResponse:
        """Call Better Auth, on the page's own origin, from a script of the page."""
        return await self._fetch(f"{self.stack.front_end_url}/api/auth{path}", options)

    async def screenshot(self, name: str) -> None:
        """Save a screenshot of the whole page."""
        await self.page.screenshot(path=self._screenshots / f"{name}.png", full_page=True)

    async def _fetch(self, url: str, options: dict[str, Any]) -> FetchResponse:
        return FetchResponse(**await self.page.evaluate(_FETCH, [url, options]))

    async def _submit(self, form: Locator, email: str, password: str) -> None:
        await form.get_by_label("E-mail").fill(email)
        await form.get_by_label("Password").fill(password)
        await form.get_by_role("button").click()
