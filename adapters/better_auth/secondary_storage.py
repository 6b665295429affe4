"""Sessions in Better Auth's `secondaryStorage`, such as Redis.

A session is a JSON text `{"session": …, "user": …}` under its token. `active-sessions-<user id>`
lists the tokens of a user, and sessions that began before `revoked-sessions-before-<user id>`
(milliseconds since the epoch) have ended, even if their texts are still there.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from adapters.better_auth.session_json import InvalidJson, SessionAndUser, session_and_user
from application.ports.clock import Clock
from application.ports.secondary_storage import SecondaryStorage
from application.sign_in import SignInElsewhere
from domain.errors import Unavailable
from domain.sessions import Session, SessionNotFound, SessionStore
from domain.users import User

#: How often a change is tried again, if another process changed the same text meanwhile.
_ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True)
class SecondaryStorageSessions:
    """A `SessionStore`. Sessions begin at Better Auth, and are not found by their ids."""

    storage: SecondaryStorage
    #: The database's rows, which Better Auth has as well with `storeSessionInDatabase`. It reads
    #: one if the text is gone, so a session must end in both.
    rows: SessionStore | None
    clock: Clock

    @property
    def has_foreign_users(self) -> bool:
        return True

    async def find_by_token(self, token: str) -> tuple[Session, User] | None:
        [text] = await self.storage.get(token)
        found = _parse(text, token)
        if found is None:
            return None
        [revoked_before] = await self.storage.get(f"revoked-sessions-before-{found.user.id}")
        if _is_revoked(found.session, revoked_before):
            return None
        return found.session, found.user

    async def find_by_id(self, session_id: str) -> tuple[Session, User] | None:
        """None: only the tokens are keys."""
        return None

    async def list(
        self, user_id: str, *, now: datetime, caller: Session | None = None
    ) -> Sequence[Session]:
        listed, revoked_before = await self.storage.get(
            f"active-sessions-{user_id}", f"revoked-sessions-before-{user_id}"
        )
        tokens = list(dict.fromkeys(entry["token"] for entry in _entries(listed)))
        texts = await self.storage.get(*tokens) if tokens else ()
        found = [_parse(text, token) for text, token in zip(texts, tokens, strict=True)]
        sessions = [
            each.session
            for each in found
            if each is not None
            and each.user.id == user_id
            and each.session.is_alive(now)
            and not _is_revoked(each.session, revoked_before)
        ]
        sessions.sort(key=lambda session: (session.created_at, session.id), reverse=True)
        return sessions

    async def add(self, session: Session) -> Session:
        raise SignInElsewhere

    async def save(self, session: Session) -> None:
        for _ in range(_ATTEMPTS):
            [text] = await self.storage.get(session.token)
            found = _parse(text, session.token)
            if text is None or found is None or _key(found.session) != _key(session):
                raise SessionNotFound
            if found.session.expires_at >= session.expires_at:
                return
            value = json.loads(text)
            value["session"] |= {
                "expiresAt": _json_time(session.expires_at),
                "updatedAt": _json_time(session.updated_at),
            }
            seconds = self._seconds_until(_milliseconds(session.expires_at))
            if await self.storage.replace(session.token, text, _dump(value), seconds=seconds):
                await self._update_list(session, _milliseconds(session.expires_at))
                await self._save_row(session)
                return
        raise Unavailable

    async def remove(self, session_id: str, user_id: str, *, caller: Session | None = None) -> None:
        session = caller
        if session is None or session.id != session_id:
            listed = await self.list(user_id, now=self.clock.now())
            session = next((each for each in listed if each.id == session_id), None)
        if session is None or session.user_id != user_id:
            raise SessionNotFound
        # The row first: if the text cannot be deleted then, another attempt still finds it.
        await self._remove_row(session)
        await self._remove_text(session)

    async def _remove_text(self, session: Session) -> None:
        for _ in range(_ATTEMPTS):
            [text] = await self.storage.get(session.token)
            if text is None or _parse(text, session.token) is None:
                raise SessionNotFound
            if await self.storage.replace(session.token, text, None, seconds=0):
                await self._update_list(session, None)
                return
        raise Unavailable

    async def _update_list(self, session: Session, expires_at: int | None) -> None:
        """Change the end of a session in the list of the user, or remove it with None."""
        key, now = f"active-sessions-{session.user_id}", _milliseconds(self.clock.now())
        for _ in range(_ATTEMPTS):
            [text] = await self.storage.get(key)
            if text is None:
                return
            before = _entries(text)
            entries = [
                entry
                for entry in before
                if entry["token"] != session.token and entry["expiresAt"] > now
            ]
            # Only if it is there: it must not come back after the session has ended.
            if expires_at is not None and any(e["token"] == session.token for e in before):
                entries.append({"token": session.token, "expiresAt": expires_at})
            entries.sort(key=lambda entry: entry["expiresAt"])
            seconds = self._seconds_until(entries[-1]["expiresAt"]) if entries else 0
            value = _dump(entries) if seconds else None
            if await self.storage.replace(key, text, value, seconds=seconds):
                return

    async def _save_row(self, session: Session) -> None:
        if self.rows is not None:
            try:
                await self.rows.save(session)
            except SessionNotFound:
                return

    async def _remove_row(self, session: Session) -> None:
        if self.rows is not None:
            try:
                await self.rows.remove(session.id, session.user_id)
            except SessionNotFound:
                return

    def _seconds_until(self, milliseconds: int) -> int:
        """Whole seconds, as Better Auth rounds them."""
        return max(0, (milliseconds - _milliseconds(self.clock.now())) // 1000)


def _parse(text: str | None, token: str) -> SessionAndUser | None:
    """The session in a text; None if the text is not that of this token.

    A token is any text that a client sends, and so the key of any value.
    """
    try:
        found = None if text is None else session_and_user(text)
    except InvalidJson:
        return None
    return found if found is not None and found.session.token == token else None


def _is_revoked(session: Session, revoked_before: str | None) -> bool:
    if revoked_before is None:
        return False
    # With a text that is no number, or NaN, the session is not known to be valid.
    try:
        return not _milliseconds(session.created_at) >= float(revoked_before)
    except ValueError:
        return True


def _key(session: Session) -> tuple[str, str]:
    return session.id, session.user_id


def _entries(text: str | None) -> list[dict[str, Any]]:
    """The tokens of a list, each with its end in milliseconds since the epoch."""
    try:
        entries = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return []
    return [
        entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        and isinstance(entry.get("token"), str)
        and isinstance(entry.get("expiresAt"), int)
    ]


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _json_time(time: datetime) -> str:
    """As JavaScript's `toJSON` has it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dump(value: object) -> str:
    """In ASCII: JavaScript escapes half a character as well, which UTF-8 cannot have."""
    return json.dumps(value, separators=(",", ":"))
