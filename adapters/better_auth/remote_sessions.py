"""Sessions that only the Better Auth server can find, asked over HTTP.

A credential is passed on as it came: one header line, which is the "token" of its session here.
"""

import asyncio
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import httpx
import structlog
from cachetools import TTLCache

from adapters.better_auth.http_client import HttpClient, InvalidResponse, NotPermitted, Unauthorized
from adapters.better_auth.session_json import (
    InvalidJson,
    SessionAndUser,
    session_and_user,
    sessions,
)
from application.sign_in import SignInElsewhere
from domain.errors import Forbidden, Unauthenticated, Unavailable
from domain.refusals import Reason
from domain.sessions import Session, SessionNotFound
from domain.users import User

#: Deadline of a request in seconds.
TIMEOUT_SECONDS: Final = 3.0
_MAX_CACHED: Final = 10_000
#: Requests that wait for the server, beyond which others are refused at once.
_MAX_PENDING: Final = 1_000
_MAX_CONNECTIONS: Final = 100
_MAX_BYTES: Final = 262_144
#: The beginning of an encrypted cookie cache: a JWE whose second part is empty (RFC 7516, `dir`).
_JWE_CACHE: Final = re.compile(r"=[\w-]+\.\.[\w-]+\.", re.ASCII)

# Task requests never write a session.
_GET_SESSION: Final = "/get-session?disableRefresh=true"
_LIST_SESSIONS: Final = "/list-sessions"

_log = structlog.get_logger("taskport.better_auth")


@dataclass(slots=True)
class RemoteSessions:
    """A `SessionStore`. All durations are in seconds.

    The server's response is remembered for `max_age` from before the request was sent, and never
    used longer. Concurrent callers with the same credential share one request, if it is not older
    for any of them.
    """

    #: The URL of Better Auth's API, without a trailing slash.
    url: str
    #: The origin that Better Auth trusts.
    origin: str
    #: For how long a response is remembered. 0: not at all.
    max_age: float = 5.0
    _client: HttpClient = field(init=False, repr=False)
    #: By digest of the credential: the session, or None if there is none.
    _cache: TTLCache[bytes, tuple[float, SessionAndUser | None]] = field(init=False, repr=False)
    #: By credential: requests under way, each with the time before it was sent.
    _requests: dict[str, tuple[float, asyncio.Task[SessionAndUser | None]]] = field(
        init=False, repr=False, default_factory=dict
    )
    _is_known_down: bool = field(init=False, repr=False, default=False)

    def __post_init__(self) -> None:
        self._cache = TTLCache(_MAX_CACHED, self.max_age, timer=_now)
        self._client = HttpClient(
            _MAX_BYTES, TIMEOUT_SECONDS, _MAX_CONNECTIONS, max_idle_connections=_MAX_CONNECTIONS
        )

    @property
    def has_foreign_users(self) -> bool:
        return True

    async def ping(self) -> None:
        """Raises `Unavailable` if the server cannot be asked."""
        await self._ask("Cookie: ")

    async def find_by_token(self, token: str) -> tuple[Session, User] | None:
        begun_at, found = self._cache.get(_key(token), (-math.inf, None))
        if _now() >= begun_at + self.max_age:
            found = await self._find(token)
        if found is None:
            return None
        return replace(found.session, token=token), replace(found.user)

    async def find_by_id(self, session_id: str) -> tuple[Session, User] | None:
        """None: Better Auth finds a session by its credential alone."""
        return None

    async def list(
        self, user_id: str, *, now: datetime, caller: Session | None = None
    ) -> Sequence[Session]:
        found = [s for s in await self._list(user_id, caller) if s.is_alive(now)]
        found.sort(key=lambda session: (session.created_at, session.id), reverse=True)
        return found

    async def add(self, session: Session) -> Session:
        raise SignInElsewhere

    async def save(self, session: Session) -> None:
        """Does nothing: Better Auth alone prolongs sessions."""

    async def remove(self, session_id: str, user_id: str, *, caller: Session | None = None) -> None:
        if caller is not None and (caller.id, caller.user_id) == (session_id, user_id):
            ended, path, body = caller, "/sign-out", b""
        else:
            listed = await self._list(user_id, caller)
            session = next((each for each in listed if each.id == session_id), None)
            if session is None or caller is None:
                raise SessionNotFound
            ended, path = session, "/revoke-session"
            body = json.dumps({"token": session.token}).encode()
        try:
            await self._send_for(caller, "POST", path, body)
        finally:
            # Also if there is no response: the session may have ended.
            self._forget(ended.id)

    async def close(self) -> None:
        """Cancel all requests; callers that wait for one get `Unavailable`."""
        tasks = {request for _, request in self._requests.values()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._client.close()

    def _forget(self, session_id: str) -> None:
        """Forget responses with an ended session, also those of requests under way."""
        self._requests.clear()
        for token, (_, found) in [*self._cache.items()]:
            if found is not None and found.session.id == session_id:
                del self._cache[token]

    async def _list(self, user_id: str, caller: Session | None) -> Sequence[Session]:
        if caller is None:
            raise Forbidden(Reason.SESSION_REQUIRED)
        text = await self._send_for(caller, "GET", _LIST_SESSIONS)
        try:
            found = sessions(text)
        except InvalidJson:
            raise self._unavailable("no list of sessions") from None
        return [session for session in found if session.user_id == user_id]

    async def _find(self, token: str) -> SessionAndUser | None:
        """The result of a request that this caller shares with others."""
        called_at = _now()
        while True:
            begun_at, request = self._requests.get(token) or self._begin(token)
            # Unlike `await`, this does not cancel the request for other callers.
            await asyncio.wait((request,))
            if request.cancelled():
                raise Unavailable
            if called_at <= begun_at + self.max_age or request.exception() is not None:
                return request.result()

    def _begin(self, token: str) -> tuple[float, asyncio.Task[SessionAndUser | None]]:
        if len(self._requests) >= _MAX_PENDING:
            raise Unavailable
        begun_at = _now()
        request = asyncio.create_task(self._request(token, begun_at))
        # If all callers are cancelled, nobody else retrieves its exception.
        request.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._requests[token] = begun_at, request
        return begun_at, request

    async def _request(self, token: str, begun_at: float) -> SessionAndUser | None:
        try:
            found = await self._ask(token)
            # Not if a session has ended meanwhile.
            if self._is_current(token) and self.max_age:
                self._cache[_key(token)] = begun_at, found
            return found
        finally:
            if self._is_current(token):
                del self._requests[token]

    def _is_current(self, token: str) -> bool:
        """Whether the current task is the request that new callers share."""
        _, request = self._requests.get(token, (0.0, None))
        return request is asyncio.current_task()

    async def _ask(self, token: str) -> SessionAndUser | None:
        try:
            # Better Auth's cookie cache may be older than the end of a session.
            text = await self._send("GET", f"{_GET_SESSION}&disableCookieCache=true", token)
            if text == b"null" and await self._is_stateless(token):
                text = await self._send("GET", _GET_SESSION, token)
        except (Unauthorized, NotPermitted) as error:
            # Not of Better Auth: it responds with null.
            raise self._unavailable(str(error)) from None
        try:
            found = None if text == b"null" else session_and_user(text)
        except InvalidJson:
            raise self._unavailable("no session") from None
        self._is_known_down = False
        return found

    async def _is_stateless(self, token: str) -> bool:
        """Whether Better Auth has no session but that in an encrypted cookie, and accepts it.

        It ends no session with an empty token, but believes a cookie for that only if it has no
        other place of sessions: then the cookie is no cache that might be older than a sign-out.
        """
        if not _JWE_CACHE.search(token):
            return False
        try:
            await self._send("POST", "/revoke-session", token, b'{"token":""}')
        except Unauthorized:
            return False
        return True

    async def _send_for(self, caller: Session, method: str, path: str, body: bytes = b"") -> bytes:
        """Raises `Unauthenticated` if the caller's session has ended, `Forbidden` if it is too old
        for a list.
        """
        try:
            return await self._send(method, path, caller.token, body)
        except Unauthorized:
            self._forget(caller.id)
            raise Unauthenticated(Reason.NO_SUCH_SESSION) from None
        except NotPermitted as error:
            if path != _LIST_SESSIONS:
                raise self._unavailable(str(error)) from None
            # Older than Better Auth's `session.freshAge`, a day by default.
            raise Forbidden(Reason.SESSION_REQUIRED, seen="a session that is not fresh") from None

    async def _send(self, method: str, path: str, token: str, body: bytes = b"") -> bytes:
        """Raises `Unauthorized`, `NotPermitted`, `Unavailable`."""
        name, _, value = token.partition(": ")
        headers = {name: value}
        if method != "GET":
            headers |= {"Origin": self.origin, "Content-Type": "application/json"}
            body = body or b"{}"
        try:
            return await self._client.send(method, f"{self.url}{path}", headers, body)
        except (Unauthorized, NotPermitted):
            raise
        except InvalidResponse as error:
            raise self._unavailable(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise self._unavailable(type(error).__name__) from None

    def _unavailable(self, reason: str) -> Unavailable:
        if not self._is_known_down:
            #: Better Auth cannot be asked for sessions; logged for the first of consecutive
            #: failures.
            _log.warning("sessions_unavailable", reason=reason)
        self._is_known_down = True
        return Unavailable()


def _key(token: str) -> bytes:
    """A client chooses how long a credential is, and the cache keeps thousands."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _now() -> float:
    return asyncio.get_running_loop().time()
