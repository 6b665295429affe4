"""What a browser really sends and gets, whatever it lets the scripts of a page see."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Page

_PATIENCE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01


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
        self.forget()

    async def watch(self, page: Page) -> None:
        """From now on."""
        session = await page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.requestWillBeSentExtraInfo", self._sent)
        session.on("Network.responseReceivedExtraInfo", self._received)
        session.on("Network.loadingFailed", self._failed)
        await session.send("Network.enable")

    def forget(self) -> None:
        """Begin anew."""
        # By the browser's id of a request; redirections share one.
        self._requests: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._senders: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._unsent: set[str] = set()

    def exchanges(self) -> list[Exchange]:
        """Those that are over."""
        return [
            Exchange(
                request["method"],
                urlsplit(request["url"]).path,
                answer["statusCode"] if answer else None,
                _lower(sent),
                _lower(answer),
            )
            for id_, requests in self._requests.items()
            for request, sent, answer in zip_longest(
                requests, self._senders[id_], self._answers[id_][: len(requests)]
            )
            if request["url"].startswith(f"{self._origin}/")
            and ((sent and answer) or id_ in self._unsent)
        ]

    async def exchange(self, method: str, path: str) -> Exchange:
        """The only one of a method and a path, once it is over."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _PATIENCE_SECONDS
        while loop.time() < give_up:
            found = [e for e in self.exchanges() if (e.method, e.path) == (method, path)]
            if found:
                assert len(found) == 1
                return found[0]
            await asyncio.sleep(_POLL_SECONDS)
        raise AssertionError(f"{method} {path} was not answered: {self.exchanges()}")

    def _asked(self, event: dict[str, Any]) -> None:
        self._requests[event["requestId"]].append(event["request"])

    def _sent(self, event: dict[str, Any]) -> None:
        self._senders[event["requestId"]].append(event)

    def _received(self, event: dict[str, Any]) -> None:
        self._answers[event["requestId"]].append(event)

    def _failed(self, event: dict[str, Any]) -> None:
        # Of any other failure the answer is known, if not yet.
        if "Preflight" in event.get("corsErrorStatus", {}).get("corsError", ""):
            self._unsent.add(event["requestId"])


def _lower(event: dict[str, Any] | None) -> dict[str, str]:
    return {} if event is None else {n.lower(): value for n, value in event["headers"].items()}
