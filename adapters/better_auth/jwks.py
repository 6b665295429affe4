"""The public keys that a Better Auth server publishes over HTTP, cached."""

import asyncio
import json
import math
from dataclasses import dataclass, field
from typing import Final

import structlog
from cachetools import TTLCache

from adapters.better_auth.http_client import HttpClient, InvalidResponse
from adapters.better_auth.keys import PublicKey, public_key
from domain.errors import Unavailable

_MAX_BYTES: Final = 65_536
_MAX_KEYS: Final = 128
_MAX_ABSENT: Final = 1_024

_log = structlog.get_logger("taskport.better_auth")


@dataclass(slots=True)
class RemoteKeys:
    """The keys of a JWKS endpoint by their `kid`. All durations are in seconds.

    A cached key is returned at once. If the key set is older than `max_age`, it is refreshed in the
    background; while that fails, the cached keys remain valid, up to `max_stale_age`. For an
    unknown `kid` (key rotation), the key set is fetched, by one fetch at a time for all callers.
    """

    #: None: there are no remote keys.
    url: str | None
    #: Age at which the key set is refreshed.
    max_age: float = 300.0
    #: Age from which cached keys are not believed.
    max_stale_age: float = 3600.0
    #: Shortest time between the starts of two fetches.
    min_interval: float = 1.0
    #: Deadline of a fetch.
    timeout: float = 3.0
    #: How long a `kid` that was not in the key set is rejected without another fetch.
    absence_ttl: float = 30.0
    #: Pause after a failed fetch; doubled with each further failure, up to `max_backoff`.
    backoff: float = 1.0
    max_backoff: float = 5.0
    _client: HttpClient = field(init=False, repr=False)
    _keys: dict[str, PublicKey] = field(init=False, repr=False, default_factory=dict)
    #: Every `kid` that was not in the key set lately.
    _absent: TTLCache[str, None] = field(init=False, repr=False)
    _fetch: asyncio.Task[int] | None = field(init=False, repr=False, default=None)
    _fetches_begun: int = field(init=False, repr=False, default=0)
    #: The pause after the last failure; 0 after a success.
    _current_backoff: float = field(init=False, repr=False, default=0.0)
    # Times of the event loop's clock.
    _stale_at: float = field(init=False, repr=False, default=0.0)
    _expires_at: float = field(init=False, repr=False, default=0.0)
    _next_fetch_at: float = field(init=False, repr=False, default=0.0)
    _retry_at: float = field(init=False, repr=False, default=0.0)

    def __post_init__(self) -> None:
        self._absent = TTLCache(_MAX_ABSENT, self.absence_ttl, timer=_now)
        self._client = HttpClient(_MAX_BYTES, self.timeout)

    async def find(self, kid: str) -> PublicKey | None:
        """The key, or None if the server does not publish it. Raises `Unavailable`."""
        if self.url is None:
            return None
        begun, fetched = self._fetches_begun, 0
        while (key := self._cached(kid)) is None:
            if kid in self._absent:
                return None
            # A fetch that was under way before this call may be older than the key.
            if fetched > begun:
                self._absent[kid] = None
                return None
            fetched = await self._fetched()
        if _now() > self._stale_at:
            self._begin_fetch()
        return key

    async def close(self) -> None:
        """Cancel the fetch; callers that wait for it get `Unavailable`."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait((self._fetch,))
        await self._client.close()

    def _cached(self, kid: str) -> PublicKey | None:
        return self._keys.get(kid) if _now() < self._expires_at else None

    async def _fetched(self) -> int:
        """Wait for a fetch, and return its number. Raises `Unavailable` if it fails."""
        fetch = self._begin_fetch()
        if fetch is not None:
            # Unlike `await`, this does not cancel the fetch for other callers.
            await asyncio.wait((fetch,))
            if not fetch.cancelled() and (number := fetch.result()):
                return number
        raise Unavailable(max(1, math.ceil(self._retry_at - _now())))

    def _begin_fetch(self) -> asyncio.Task[int] | None:
        """The running fetch, or a new one; None during the backoff after a failure."""
        if self._fetch is None or self._fetch.done():
            if _now() < self._retry_at:
                return None
            self._fetch = asyncio.create_task(self._run_fetch())
        return self._fetch

    async def _run_fetch(self) -> int:
        """Fetch the key set. Returns the number of this fetch, from 1; 0 if it failed."""
        await asyncio.sleep(self._next_fetch_at - _now())
        self._fetches_begun += 1
        begun_at = _now()
        self._next_fetch_at = begun_at + self.min_interval
        try:
            assert self.url is not None
            self._keys = _parse_key_set(await self._client.send("GET", self.url, {}))
        # Any error: the callers that wait must get a result.
        except Exception as error:
            self._fail(error)
            return 0
        self._stale_at = begun_at + self.max_age
        self._expires_at = begun_at + self.max_stale_age
        if self._current_backoff:
            self._current_backoff = 0.0
            #: The keys of Better Auth can be fetched again.
            _log.info("jwks_fetched_again")
        return self._fetches_begun

    def _fail(self, error: Exception) -> None:
        if not self._current_backoff:
            reason = str(error) if isinstance(error, InvalidResponse) else type(error).__name__
            #: The keys of Better Auth cannot be fetched; logged for the first of consecutive
            #: failures.
            _log.warning("jwks_unavailable", reason=reason)
        self._current_backoff = min(self._current_backoff * 2 or self.backoff, self.max_backoff)
        self._retry_at = _now() + self._current_backoff


def _now() -> float:
    return asyncio.get_running_loop().time()


def _parse_key_set(text: bytes) -> dict[str, PublicKey]:
    document = json.loads(text)
    jwks = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(jwks, list):
        raise InvalidResponse("no key set")
    if len(jwks) > _MAX_KEYS:
        raise InvalidResponse("too many keys")
    keys = {}
    for jwk in jwks:
        key = public_key(jwk)
        if key is not None and isinstance(kid := jwk.get("kid"), str):
            keys[kid] = key
    return keys
