"""What a browser really sends and gets, whatever it lets the scripts of a page see."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Error, Page, Response

from tests.waiting import eventually_async


@dataclass(frozen=True)
class Exchange:
    """A request, and its answer; None for a status where the preflight kept it from being sent."""

    method: str
    path: str
    status: int | None
    headers: dict[str, str]
    """Of the request, by names in lower case."""
    answer_headers: dict[str, str]


class Wire:
    """The exchanges of a page, its frames included, with one origin. Preflights count."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._notes: set[asyncio.Task[None]] = set()
        self.forget()

    async def watch(self, page: Page) -> None:
        """From now on."""
        # Playwright follows a navigation into whatever process it leads, but it lacks the answers
        # that a script is not shown.
        page.on("response", self._pending_records)
        session = await page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.requestWillBeSentExtraInfo", self._sent)
        session.on("Network.responseReceivedExtraInfo", self._received)
        session.on("Network.loadingFailed", self._failed)
        await session.send("Network.enable")

    def forget(self) -> None:
        """Begin anew."""
        self._navigations: list[Exchange] = []
        # By the browser's id of a request; redirections share one.
        self._requests: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._senders: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._unsent: set[str] = set()

    def exchanges(self) -> list[Exchange]:
        """Those that are over."""
        of_scripts = [exchange for id_ in self._requests for exchange in self._of(id_)]
        return self._navigations + of_scripts

    async def exchange(self, method: str, path: str) -> Exchange:
        """The only one of a method and a path, once it is over."""

        def found() -> list[Exchange]:
            return [e for e in self.exchanges() if (e.method, e.path) == (method, path)]

        [exchange] = await eventually_async(found, f"{method} {path} at {self._origin}")
        return exchange

    def _of(self, id_: str) -> Iterator[Exchange]:
        # What was sent may be told before what was asked for.
        for number, request in enumerate(self._requests[id_]):
            sent, answer = _nth(self._senders[id_], number), _nth(self._answers[id_], number)
            is_over = (sent and answer) or id_ in self._unsent
            if is_over and self._concerns(request["url"]):
                yield Exchange(
                    request["method"],
                    urlsplit(request["url"]).path,
                    answer.get("statusCode"),
                    _headers(sent),
                    _headers(answer),
                )

    def _concerns(self, url: str) -> bool:
        return url.startswith(f"{self._origin}/")

    def _pending_records(self, response: Response) -> None:
        if response.request.is_navigation_request() and self._concerns(response.url):
            note = asyncio.ensure_future(_note(response, self._navigations))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)

    def _asked(self, event: dict[str, Any]) -> None:
        if event.get("type") != "Document":
            self._requests[event["requestId"]].append(event["request"])

    def _sent(self, event: dict[str, Any]) -> None:
        self._senders[event["requestId"]].append(event)

    def _received(self, event: dict[str, Any]) -> None:
        self._answers[event["requestId"]].append(event)

    def _failed(self, event: dict[str, Any]) -> None:
        # Of any other failure the answer is known, if not yet.
        if "Preflight" in event.get("corsErrorStatus", {}).get("corsError", ""):
            self._unsent.add(event["requestId"])


async def _note(response: Response, navigations: list[Exchange]) -> None:
    request = response.request
    # The page may be closed meanwhile.
    with suppress(Error):
        sent, answer = await request.all_headers(), await response.all_headers()
        path = urlsplit(response.url).path
        navigations.append(Exchange(request.method, path, response.status, sent, answer))


def _nth(events: list[dict[str, Any]], number: int) -> dict[str, Any]:
    """Empty where there are fewer."""
    return events[number] if number < len(events) else {}


def _headers(event: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in event.get("headers", {}).items()}
