"""The page of `page/`, as somebody uses it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from playwright.async_api import Locator, Page, expect

from tests.browser.stage import Stage
from tests.interop.better_auth import PASSWORD

_FETCH: Final = """async ([url, { json, ...options }]) => {
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = { "Content-Type": "application/json", ...options.headers };
  }
  const answer = await fetch(url, { credentials: "include", ...options });
  const text = await answer.text();
  return {
    status: answer.status,
    headers: Object.fromEntries(answer.headers),
    body: text && JSON.parse(text),
  };
}"""


@dataclass(frozen=True)
class Answer:
    """What a script sees of an answer."""

    status: int
    headers: dict[str, str]
    body: Any


class FrontEnd:
    """A tab with the page in it."""

    def __init__(self, page: Page, stage: Stage, pictures: Path) -> None:
        self.page = page
        self.stage = stage
        self._pictures = pictures
        self.complaints: list[str] = []
        """What the page did not get done; that a status was no success is not among it."""
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @property
    def door(self) -> Locator:
        """What somebody sees who is not signed in."""
        return self.page.get_by_role("form", name="Sign in")

    @property
    def alert(self) -> Locator:
        return self.page.get_by_role("alert")

    @property
    def items(self) -> Locator:
        return self.page.get_by_role("list", name="Tasks", exact=True).get_by_role("listitem")

    @property
    def log(self) -> Locator:
        """The requests that it says it made."""
        return self.page.get_by_role("list", name="Requests to Taskport").get_by_role("listitem")

    async def open(self) -> None:
        await self.page.goto(self.stage.page)

    async def sign_up(self, email: str, name: str = "Ada Lovelace") -> None:
        form = self.page.get_by_role("form", name="Create an account")
        await form.get_by_label("Name").fill(name)
        await self._submit(form, email, PASSWORD)

    async def sign_in(self, email: str, password: str = PASSWORD) -> None:
        await self._submit(self.door, email, password)

    async def sign_out(self) -> None:
        await self.page.get_by_role("button", name="Sign out").click()
        await expect(self.door).to_be_visible()

    async def ask_by(self, credential: Literal["Cookie", "JWT"]) -> None:
        await self.page.get_by_role("radio", name=credential).check()

    async def add(self, title: str) -> None:
        await self.page.get_by_role("textbox", name="Title").fill(title)
        await self.page.get_by_role("button", name="Add").click()

    async def toggle(self, title: str) -> None:
        # A `check` would look whether it is checked at once, and not once Taskport has answered.
        await self.page.get_by_role("checkbox", name=title).click()

    async def delete(self, title: str) -> None:
        await self.page.get_by_role("button", name=f"Delete {title}").click()

    async def shows(self, *titles: str, completed: int = 0) -> None:
        """Wait until it shows these tasks, and no others."""
        await expect(self.items).to_have_text([f"{title}Delete" for title in titles])
        summary = f"{completed} of {len(titles)} completed" if titles else "Nothing to do yet."
        await expect(self.page.get_by_role("status")).to_have_text(summary)

    async def is_of(self, name: str) -> None:
        """Wait until it says who is signed in."""
        await expect(self.page.locator("#who")).to_contain_text(name)

    async def fetch(self, path: str, **options: Any) -> Answer:
        """What a script of this page gets from Taskport; `json` and `fetch`'s own options."""
        return await self._fetch(f"{self.stage.api}{path}", options)

    async def better_auth(self, path: str, **options: Any) -> Answer:
        """What it gets from its own server's Better Auth."""
        return await self._fetch(f"{self.stage.page}/api/auth{path}", options)

    async def picture(self, name: str) -> None:
        """Leave a screenshot."""
        await self.page.screenshot(path=self._pictures / f"{name}.png", full_page=True)

    async def _fetch(self, url: str, options: dict[str, Any]) -> Answer:
        return Answer(**await self.page.evaluate(_FETCH, [url, options]))

    async def _submit(self, form: Locator, email: str, password: str) -> None:
        await form.get_by_label("E-mail").fill(email)
        await form.get_by_label("Password").fill(password)
        await form.get_by_role("button").click()
