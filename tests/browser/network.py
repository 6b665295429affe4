"""Records what a browser sends and receives, including what CORS hides from scripts."""

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
    """A request and its response."""

    method: str
    path: str
    #: None if the preflight failed, so that the browser did not send the request.
    status: int | None
    #: By name in lower case.
    request_headers: dict[str, str]
    #: By name in lower case.
    response_headers: dict[str, str]


class NetworkLog:
    """The exchanges of a page and its frames with one origin, preflights included."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._recordings: set[asyncio.Task[None]] = set()
        self.clear()

    async def record(self, page: Page) -> None:
        """Record the requests of a page from now on."""
        # Navigations come from Playwright, which follows them into other renderer processes.
        # Requests of scripts come from DevTools: Playwright lacks responses that CORS blocks.
        page.on("response", self._on_navigation_response)
        session = await page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", self._on_request)
        session.on("Network.requestWillBeSentExtraInfo", self._on_request_headers)
        session.on("Network.responseReceivedExtraInfo", self._on_response_headers)
        session.on("Network.loadingFailed", self._on_failure)
        await session.send("Network.enable")

    def clear(self) -> None:
        """Drop what was recorded so far."""
        self._navigations: list[Exchange] = []
        # By DevTools' request id, which all requests of a redirect chain share.
        self._requests: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._request_headers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._response_headers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._blocked_by_preflight: set[str] = set()

    def exchanges(self) -> list[Exchange]:
        """The completed exchanges."""
        of_scripts = [e for id_ in self._requests for e in self._completed(id_)]
        return self._navigations + of_scripts

    async def exchange(self, method: str, path: str) -> Exchange:
        """Wait for the one exchange with this method and path, and return it."""

        def found() -> list[Exchange]:
            return [e for e in self.exchanges() if (e.method, e.path) == (method, path)]

        [exchange] = await eventually_async(found, f"{method} {path} at {self._origin}")
        return exchange

    def _completed(self, id_: str) -> Iterator[Exchange]:
        # DevTools may report the headers of a request before the request itself.
        for number, request in enumerate(self._requests[id_]):
            sent = _nth(self._request_headers[id_], number)
            received = _nth(self._response_headers[id_], number)
            is_complete = (sent and received) or id_ in self._blocked_by_preflight
            if is_complete and self._is_to_origin(request["url"]):
                yield Exchange(
                    request["method"],
                    urlsplit(request["url"]).path,
                    received.get("statusCode"),
                    _headers(sent),
                    _headers(received),
                )

    def _is_to_origin(self, url: str) -> bool:
        return url.startswith(f"{self._origin}/")

    def _on_navigation_response(self, response: Response) -> None:
        if response.request.is_navigation_request() and self._is_to_origin(response.url):
            recording = asyncio.ensure_future(_record_navigation(response, self._navigations))
            self._recordings.add(recording)
            recording.add_done_callback(self._recordings.discard)

    def _on_request(self, event: dict[str, Any]) -> None:
        if event.get("type") != "Document":
            self._requests[event["requestId"]].append(event["request"])

    def _on_request_headers(self, event: dict[str, Any]) -> None:
        self._request_headers[event["requestId"]].append(event)

    def _on_response_headers(self, event: dict[str, Any]) -> None:
        self._response_headers[event["requestId"]].append(event)

    def _on_failure(self, event: dict[str, Any]) -> None:
        # After any other failure DevTools still reports a response.
        if "Preflight" in event.get("corsErrorStatus", {}).get("corsError", ""):
            self._blocked_by_preflight.add(event["requestId"])


async def _record_navigation(response: Response, navigations: list[Exchange]) -> None:
    request = response.request
    # The page may have been closed in the meantime.
    with suppress(Error):
        sent, received = await request.all_headers(), await response.all_headers()
        path = urlsplit(response.url).path
        navigations.append(Exchange(request.method, path, response.status, sent, received))


def _nth(events: list[dict[str, Any]], number: int) -> dict[str, Any]:
    """The event at an index; empty if there are fewer."""
    return events[number] if number < len(events) else {}


def _headers(event: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in event.get("headers", {}).items()}
