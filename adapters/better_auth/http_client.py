"""Requests to the Better Auth server."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from adapters.better_auth.plain_http import Network, network_of

_NETWORK_SECONDS: Final = 60.0


class InvalidResponse(Exception):
    """There is no response, or not one of Better Auth. The message quotes nothing of it, and may be
    logged.
    """


class Unauthorized(InvalidResponse):
    """The response has the status 401."""


class NotPermitted(InvalidResponse):
    """The response has the status 403."""


@dataclass(slots=True)
class HttpClient:
    """Sends requests, each with a deadline, and follows no redirect."""

    #: The longest body of a response.
    max_bytes: int
    #: Deadline of a request in seconds.
    timeout: float
    max_connections: int = 100
    #: Connections that are kept. After minutes without a request, they would mostly be dead.
    max_idle_connections: int = 0
    _client: httpx.AsyncClient = field(init=False, repr=False)
    #: By host: where it is, and until when that is believed (of the event loop's clock).
    _networks: dict[str, tuple[Network, float]] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self._client = httpx.AsyncClient(
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            follow_redirects=False,
            verify=_ssl_context(),
            trust_env=False,
            # The cookies of one user must not be sent with the requests of another.
            cookies=_no_cookies(),
            timeout=self.timeout,
            limits=httpx.Limits(
                max_connections=self.max_connections,
                max_keepalive_connections=self.max_idle_connections,
                keepalive_expiry=self.timeout,
            ),
        )

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> bytes:
        """The body of the response. Raises `InvalidResponse`, `httpx.HTTPError`, `OSError`,
        `TimeoutError`.
        """
        async with asyncio.timeout(self.timeout):
            await self._check_network(httpx.URL(url))
            return await self._send(method, url, headers, body)

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        received = bytearray()
        async with self._client.stream(
            method, url, headers=headers, content=body or None
        ) as response:
            if response.status_code == httpx.codes.UNAUTHORIZED:
                raise Unauthorized("status 401")
            if response.status_code == httpx.codes.FORBIDDEN:
                raise NotPermitted("status 403")
            if response.status_code != httpx.codes.OK:
                raise InvalidResponse(f"status {response.status_code}")
            # Raw: a compressed body is not decompressed, and then fails to parse.
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) > self.max_bytes:
                    raise InvalidResponse("too long")
        return bytes(received)

    async def _check_network(self, url: httpx.URL) -> None:
        """Refuse plain http to a public address: anybody on the way could read and replace it."""
        if url.scheme != "http":
            return
        now = asyncio.get_running_loop().time()
        network, until = self._networks.get(url.host, (Network.PUBLIC, now))
        if now >= until:
            network = await network_of(url.host)
            self._networks[url.host] = network, now + _NETWORK_SECONDS
        if network is Network.PUBLIC:
            raise InvalidResponse("plain http to a public address")


def _no_cookies() -> CookieJar:
    """A jar that accepts no cookie from any host."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


@cache
def _ssl_context() -> ssl.SSLContext:
    """The certificate authorities of httpx, or of `SSL_CERT_FILE`. Cached: loading them is slow."""
    return httpx.create_ssl_context()
