"""Password hashing in Better Auth's format: `<salt>:<key>`, both in lower-case hex.

scrypt with N=16384, r=16, p=1 and 64 bytes, over the password in Unicode NFKC. The salt is the
hex text itself, not the bytes that it encodes.
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
#: The regular expression of a hash that a password may match.
STORED_HASH: Final = f"[^:]+:[0-9a-f]{{{2 * _KEY_BYTES}}}"
#: scrypt needs a little more than 128 * N * r bytes, which is OpenSSL's default limit.
_MAX_MEMORY: Final = 64 * 2**20
_NICENESS: Final = 10
_RETRY_SECONDS: Final = 2
WAIT_SECONDS: Final = 3.0
_MAX_WAITING: Final = 500

_HASHES: Final = Gauge(
    "taskport_password_hashes",
    "Passwords that are being hashed, or wait for a thread.",
    multiprocess_mode="livesum",
)


class ScryptPasswords:
    """`Passwords`, hashed in a thread pool of their own: half as many threads as cores.

    Callers queue up to `WAIT_SECONDS` for a thread, then get `Unavailable`: an immediate rejection
    would let an attacker retry thousands of times a second. At most `max_waiting` callers queue;
    further ones are rejected at once.
    """

    def __init__(self, *, max_waiting: int = _MAX_WAITING) -> None:
        threads = max(1, (os.cpu_count() or 1) // 2)
        self._threads = ThreadPoolExecutor(threads, "passwords", initializer=_lower_priority)
        self._slots = threading.BoundedSemaphore(threads + max_waiting)

    async def hash(self, password: str) -> str:
        salt = secrets.token_hex(_SALT_BYTES)
        return f"{salt}:{await self._derive(password, salt)}"

    async def verify(self, password: str, stored: str | None) -> bool:
        salt, _, expected = (stored or "").partition(":")
        # Hash also without a stored hash, so that the response time does not reveal it.
        key = await self._derive(password, salt or "0" * 2 * _SALT_BYTES)
        return hmac.compare_digest(key.encode(), expected.encode())

    async def _derive(self, password: str, salt: str) -> str:
        if not self._slots.acquire(blocking=False):
            raise Unavailable(_RETRY_SECONDS)
        _HASHES.inc()
        work = self._threads.submit(derive, password, salt)
        work.add_done_callback(self._release_slot)
        key = asyncio.wrap_future(work)
        try:
            await asyncio.wait({key}, timeout=WAIT_SECONDS)
        finally:
            # Without effect once a thread has begun.
            is_cancelled = work.cancel()
        if is_cancelled:
            raise Unavailable(_RETRY_SECONDS)
        return await key

    def _release_slot(self, _work: Future[str]) -> None:
        self._slots.release()
        _HASHES.dec()


def derive(password: str, salt: str) -> str:
    """The key of a password. Unpaired surrogates count as U+FFFD, as they do in JavaScript."""
    well_formed = password.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return hashlib.scrypt(
        unicodedata.normalize("NFKC", well_formed).encode(),
        salt=salt.encode("utf-8", "surrogatepass"),
        n=16_384,
        r=16,
        p=1,
        dklen=_KEY_BYTES,
        maxmem=_MAX_MEMORY,
    ).hex()


def _lower_priority() -> None:
    """Give other threads priority over this one. Only on Linux do threads have a niceness."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
