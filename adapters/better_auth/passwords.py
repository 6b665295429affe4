"""Password hashes in Better Auth's format: `<salt>:<key>`, both in lower-case hex.

scrypt with N=16384, r=16, p=1 and 64 bytes, over the password in Unicode NFKC; the salt is the
hex text itself, not the bytes that it stands for.
"""

import asyncio
import hashlib
import hmac
import os
import secrets
import sys
import threading
import unicodedata
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from prometheus_client import Gauge

from domain.errors import Unavailable

_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 64
# scrypt needs 128 * N * r bytes and a little; OpenSSL's own limit is exactly that.
_MAX_MEMORY: Final = 64 * 2**20
_NICENESS: Final = 10
_RETRY_SECONDS: Final = 2

_HASHES: Final = Gauge(
    "taskport_password_hashes",
    "Passwords that are being hashed, or wait for it.",
    multiprocess_mode="livesum",
)

WAIT_SECONDS: Final = 3.0
_WAITING: Final = 500


class ScryptPasswords:
    """`Passwords`, hashed in threads of their own: as many as half the cores.

    Who has waited `wait_seconds` for a thread is turned away. Not before: whoever hammers at the
    door would otherwise be answered, and come again, thousands of times a second. Where `waiting`
    of them are at it, nobody else may join.
    """

    def __init__(self, *, wait_seconds: float = WAIT_SECONDS, waiting: int = _WAITING) -> None:
        threads = max(1, (os.cpu_count() or 1) // 2)
        self._threads = ThreadPoolExecutor(threads, "passwords", initializer=_lower_priority)
        self._room = threading.BoundedSemaphore(threads + waiting)
        self._wait_seconds = wait_seconds

    async def hash(self, password: str) -> str:
        salt = secrets.token_hex(_SALT_BYTES)
        return f"{salt}:{await self._derive(password, salt)}"

    async def verify(self, password: str, stored: str | None) -> bool:
        salt, _, expected = (stored or "").partition(":")
        # Whoever has no password, or one in another format, costs as much as everybody else.
        key = await self._derive(password, salt or "0" * 2 * _SALT_BYTES)
        return hmac.compare_digest(key.encode(), expected.encode())

    async def _derive(self, password: str, salt: str) -> str:
        if not self._room.acquire(blocking=False):
            raise Unavailable(_RETRY_SECONDS)
        _HASHES.inc()
        work = self._threads.submit(derive, password, salt)
        work.add_done_callback(self._leave)
        answer = asyncio.wrap_future(work)
        try:
            await asyncio.wait({answer}, timeout=self._wait_seconds)
        finally:
            # What has begun cannot be stopped, and what is done stays done.
            turned_away = work.cancel()
        if turned_away:
            raise Unavailable(_RETRY_SECONDS)
        return await answer

    def _leave(self, _work: Future[str]) -> None:
        self._room.release()
        _HASHES.dec()


def derive(password: str, salt: str) -> str:
    """The key of a password. Unpaired surrogates count as U+FFFD, as they do in JavaScript."""
    readable = password.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return hashlib.scrypt(
        unicodedata.normalize("NFKC", readable).encode(),
        salt=salt.encode("utf-8", "surrogatepass"),
        n=16_384,
        r=16,
        p=1,
        dklen=_KEY_BYTES,
        maxmem=_MAX_MEMORY,
    ).hex()


def _lower_priority() -> None:
    """Leave the cores to whoever answers other requests. Threads have a niceness on Linux only."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
