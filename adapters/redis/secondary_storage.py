"""Better Auth's `secondaryStorage` in Redis."""

from collections.abc import Sequence
from typing import Any, Final

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from domain.errors import Unavailable

#: Seconds for a connection, and for each response.
TIMEOUT_SECONDS: Final = 1.0
_MAX_CONNECTIONS: Final = 32
# One key, so that it works in a cluster as well.
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
                timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                socket_timeout=TIMEOUT_SECONDS,
                # By default the client retries for seconds before it raises.
                retry=Retry(NoBackoff(), 0),
            )
        )

    async def ping(self) -> None:
        """Raises `Unavailable` if values cannot be read."""
        await self.get("")

    async def get(self, *keys: str) -> Sequence[str | None]:
        values = await self._run("MGET", *map(self._name, keys))
        return [_text(value) for value in values]

    async def replace(self, key: str, expected: str, value: str | None, *, seconds: int) -> bool:
        return bool(
            await self._run("EVAL", _REPLACE, 1, self._name(key), expected, value or "", seconds)
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def _run(self, *command: Any) -> Any:
        try:
            reply = await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except (RedisError, OSError, UnicodeError) as error:
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


def _text(value: bytes | None) -> str | None:
    """A value that is no text in UTF-8 is one that nothing can be read from."""
    return None if value is None else value.decode("utf-8", "replace")
