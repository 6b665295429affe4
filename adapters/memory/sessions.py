"""Sessions in a dictionary."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime

from adapters.memory.store import MemoryStore
from domain.sessions import Session, SessionNotFound
from domain.users import UnknownUser, User


@dataclass(frozen=True, slots=True)
class MemorySessions:
    """A `SessionStore`. No method awaits, so each is atomic."""

    store: MemoryStore

    @property
    def has_foreign_users(self) -> bool:
        return False

    async def find_by_token(self, token: str) -> tuple[Session, User] | None:
        found = (s for s in self.store.sessions.values() if s.token == token)
        return self._with_user(next(found, None))

    async def find_by_id(self, session_id: str) -> tuple[Session, User] | None:
        return self._with_user(self.store.sessions.get(session_id))

    async def list(
        self, user_id: str, *, now: datetime, caller: Session | None = None
    ) -> Sequence[Session]:
        own = [s for s in self.store.sessions.values() if s.user_id == user_id and s.is_alive(now)]
        own.sort(key=lambda session: (session.created_at, session.id), reverse=True)
        return [copy(session) for session in own]

    async def add(self, session: Session) -> Session:
        if session.user_id not in self.store.users:
            raise UnknownUser
        self.store.sessions[session.id] = copy(session)
        return session

    async def save(self, session: Session) -> None:
        stored = self._own(session.id, session.user_id)
        if stored.expires_at < session.expires_at:
            changed = copy(stored)
            changed.expires_at, changed.updated_at = session.expires_at, session.updated_at
            self.store.sessions[session.id] = changed

    async def remove(self, session_id: str, user_id: str, *, caller: Session | None = None) -> None:
        del self.store.sessions[self._own(session_id, user_id).id]

    def _own(self, session_id: str, user_id: str) -> Session:
        stored = self.store.sessions.get(session_id)
        if stored is None or stored.user_id != user_id:
            raise SessionNotFound
        return stored

    def _with_user(self, session: Session | None) -> tuple[Session, User] | None:
        user = None if session is None else self.store.users.get(session.user_id)
        return None if session is None or user is None else (copy(session), copy(user))
