"""The public keys that a Better Auth server shows over HTTP, kept at hand."""

import asyncio
import json
import math
import ssl
from dataclasses import dataclass, field
from functools import cache

import httpx
import structlog

from adapters.better_auth.keys import PublicKey, public_key
from domain.errors import Unavailable

_MAX_BYTES = 65_536
_MAX_KEYS = 128
_MAX_ABSENT = 1_024

_log = structlog.get_logger("taskport.better_auth")


class _BadAnswer(Exception):
    """An answer that is no key set. The text is ours, and may be logged."""


@dataclass(slots=True)
class RemoteKeys:
    """The keys of a JWKS endpoint by their `kid`. All times are in seconds.

    A key that is known is found at once. Once the keys are older than `max_age` they are fetched
    anew behind the scenes; as long as that fails the old ones go on. A key that is not known is
    fetched: one fetch at a time, begun at least `interval` after the last one, over within
    `timeout`. What the provider does not show then is taken as absent for `absence`. After a
    failure nothing is fetched for `back_off`, doubled each time up to `max_back_off`.
    """

    url: str
    max_age: float = 300.0
    interval: float = 1.0
    timeout: float = 3.0
    absence: float = 30.0
    back_off: float = 1.0
    max_back_off: float = 5.0
    _client: httpx.AsyncClient = field(init=False, repr=False)
    _keys: dict[str, PublicKey] = field(init=False, repr=False, default_factory=dict)
    _absent: dict[str, float] = field(init=False, repr=False, default_factory=dict)
    _fetch: asyncio.Task[int] | None = field(init=False, repr=False, default=None)
    _begun: int = field(init=False, repr=False, default=0)
    _pause: float = field(init=False, repr=False, default=0.0)
    # Moments of the event loop's clock.
    _stale_at: float = field(init=False, repr=False, default=0.0)
    _next_at: float = field(init=False, repr=False, default=0.0)
    _retry_at: float = field(init=False, repr=False, default=0.0)

    def __post_init__(self) -> None:
        self._client = httpx.AsyncClient(
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            follow_redirects=False,
            verify=_authorities(),
            trust_env=False,
            timeout=self.timeout,
            # A connection that idles for minutes is only there to be found dead.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def find(self, kid: str) -> PublicKey | None:
        """None where the provider does not show such a key. Raises `Unavailable`."""
        begun, fetched = self._begun, 0
        while (key := self._keys.get(kid)) is None:
            if self._absent.get(kid, 0.0) > _now():
                return None
            # One that was under way already may have been answered before there was the key.
            if fetched > begun:
                self._remember_absence(kid)
                return None
            fetched = await self._fetched()
        if _now() > self._stale_at:
            self._begin_fetch()
        return key

    async def close(self) -> None:
        """Whoever still waits gets `Unavailable`."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait((self._fetch,))
        await self._client.aclose()

    async def _fetched(self) -> int:
        """The number of the next fetch that succeeds. Raises `Unavailable`."""
        fetch = self._begin_fetch()
        if fetch is not None:
            # Unlike `await`, this does not cancel what others wait for as well.
            await asyncio.wait((fetch,))
            if not fetch.cancelled() and (number := fetch.result()):
                return number
        raise Unavailable(max(1, math.ceil(self._retry_at - _now())))

    def _begin_fetch(self) -> asyncio.Task[int] | None:
        """The one fetch that there is, or a new one; None while the last failure is too near."""
        if self._fetch is None or self._fetch.done():
            if _now() < self._retry_at:
                return None
            self._fetch = asyncio.create_task(self._run_fetch())
        return self._fetch

    async def _run_fetch(self) -> int:
        """The number of this fetch, counted from 1; 0 where the provider cannot be reached."""
        await asyncio.sleep(self._next_at - _now())
        self._begun += 1
        begun_at = _now()
        self._next_at = begun_at + self.interval
        try:
            async with asyncio.timeout(self.timeout):
                self._keys = _key_set(await self._download())
        # Whatever it is, we have no new keys, and those who wait must learn it.
        except Exception as error:
            self._fail(error)
            return 0
        self._stale_at = begun_at + self.max_age
        if self._pause:
            self._pause = 0.0
            _log.info("jwks_fetched_again")
        return self._begun

    def _fail(self, error: Exception) -> None:
        if not self._pause:
            reason = str(error) if isinstance(error, _BadAnswer) else type(error).__name__
            _log.warning("jwks_unavailable", reason=reason)
        self._pause = min(self._pause * 2 or self.back_off, self.max_back_off)
        self._retry_at = _now() + self._pause

    async def _download(self) -> bytes:
        body = bytearray()
        async with self._client.stream("GET", self.url) as answer:
            if answer.status_code != httpx.codes.OK:
                raise _BadAnswer(f"status {answer.status_code}")
            # Raw: nothing is unpacked, so that what was packed all the same is no JSON.
            async for part in answer.aiter_raw():
                body += part
                if len(body) > _MAX_BYTES:
                    raise _BadAnswer("too long")
        return bytes(body)

    def _remember_absence(self, kid: str) -> None:
        if len(self._absent) >= _MAX_ABSENT:
            del self._absent[next(iter(self._absent))]
        self._absent[kid] = _now() + self.absence


@cache
def _authorities() -> ssl.SSLContext:
    """Those whom httpx trusts, or `SSL_CERT_FILE` names.

    To read them takes longer than all the rest here.
    """
    return httpx.create_ssl_context()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _key_set(text: bytes) -> dict[str, PublicKey]:
    document = json.loads(text)
    jwks = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(jwks, list):
        raise _BadAnswer("no key set")
    if len(jwks) > _MAX_KEYS:
        raise _BadAnswer("too many keys")
    keys = {}
    for jwk in jwks:
        key = public_key(jwk)
        if key is not None and isinstance(kid := jwk.get("kid"), str):
            keys[kid] = key
    return keys
