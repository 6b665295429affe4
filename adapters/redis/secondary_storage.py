"""Better Auth's `secondaryStorage` in Redis."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from domain.errors import Unavailable

#: Deadline of a command in seconds, with the wait for a connection.
TIMEOUT_SECONDS: Final = 1.0
_MAX_CONNECTIONS: Final = 32
# A comparison in the client would lose a change between its read and its write.
_REPLACE: Final = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('del', KEYS[1])
else
  redis.call('setex', KEYS[1], ARGV[3], ARGV[2])
end
return 1
"""

T = TypeVar("T")

_log = structlog.get_logger("taskport.redis")


class RedisSecondaryStorage:
    """A `SecondaryStorage`, with the keys of `@better-auth/redis-storage`.

    A connection is made when it is needed, so that a Redis that is back is used at once.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._prefix = prefix
        self._is_known_down = False
        self._client = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url,
                max_connections=_MAX_CONNECTIONS,
                # Each would allow for a response that comes in pieces, however slowly.
                timeout=None,
                socket_connect_timeout=None,
                socket_timeout=None,
                # By default the client retries for seconds before it raises.
                retry=Retry(NoBackoff(), 0),
            )
        )

    async def ping(self) -> None:
        """Raises `Unavailable` if values cannot be read."""
        await self.get("")

    async def get(self, *keys: str) -> Sequence[str | None]:
        names = map(self._name, keys)
        if len(keys) == 1:
            # Unlike MGET, this fails for a value that is no text.
            return [await self._run(_text, "GET", *names)]
        return await self._run(partial(_texts, len(keys)), "MGET", *names)

    async def replace(self, key: str, expected: str, value: str | None, *, seconds: int) -> bool:
        values = (self._name(key), expected, value or "", seconds)
        return await self._run(bool, "EVAL", _REPLACE, 1, *values)

    async def close(self) -> None:
        await self._client.aclose()

    async def _run(self, read: Callable[[Any], T], *command: Any) -> T:
        """Run a command, and read its reply. `read` raises `TypeError` for one of another type."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                reply = read(await self._client.execute_command(*command))  # type: ignore[no-untyped-call]
        except (RedisError, OSError, UnicodeError, TypeError) as error:
            if not self._is_known_down:
                #: Sessions cannot be read from Redis; logged for the first of consecutive failures.
                #: `error` is the type of the exception.
                _log.warning("session_storage_unavailable", error=type(error).__name__)
            self._is_known_down = True
            raise Unavailable from None
        self._is_known_down = False
        return reply

    def _name(self, key: str) -> bytes:
        return f"{self._prefix}{key}".encode("utf-8", "surrogatepass")


def _text(value: Any) -> str | None:
    """A value that is no text in UTF-8 is one that nothing can be read from."""
    if value is not None and not isinstance(value, bytes):
        raise TypeError
    return None if value is None else value.decode("utf-8", "replace")


def _texts(count: int, values: Any) -> Sequence[str | None]:
    if not isinstance(values, list) or len(values) != count:
        raise TypeError
    return [_text(value) for value in values]
