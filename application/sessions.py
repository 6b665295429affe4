"""Use cases of existing sessions."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.authentication import Identity
from application.ports.clock import Clock
from application.ports.tokens import AccessTokenSigner
from application.sign_in import SignedIn, SignInElsewhere, SignInPolicy
from domain.errors import Forbidden, Unauthenticated
from domain.refusals import Reason
from domain.sessions import Session, SessionNotFound, SessionStore


@dataclass(frozen=True)
class FindSessions:
    """Find the valid sessions of these tokens, except those of the identity."""

    sessions: SessionStore
    clock: Clock

    async def __call__(
        self, tokens: Sequence[str], identity: Identity | None = None
    ) -> Sequence[Session]:
        known = {session.token for session in _sessions_of(identity)}
        found = [await self.sessions.find_by_token(t) for t in tokens if t not in known]
        now = self.clock.now()
        return [pair[0] for pair in found if pair is not None and pair[0].is_alive(now)]


@dataclass(frozen=True)
class LogOut:
    """End the sessions of the request, by bearer and by cookie, and these others.

    An ended session is no error.
    """

    sessions: SessionStore

    async def __call__(self, identity: Identity | None, others: Sequence[Session] = ()) -> None:
        for session in (*_sessions_of(identity), *others):
            try:
                await self.sessions.remove(session.id, session.user_id, caller=session)
            except (SessionNotFound, Unauthenticated):
                continue


@dataclass(frozen=True)
class ProlongSession:
    """Prolong the session by Better Auth's sliding rule, unless it is temporary.

    Returns whether it did.
    """

    sessions: SessionStore
    clock: Clock
    policy: SignInPolicy

    async def __call__(self, identity: Identity) -> bool:
        """Raises `Unauthenticated` if the session has ended meanwhile."""
        session = identity.session
        if session is None or identity.is_temporary:
            return False
        if not session.prolong(self.clock.now(), self.policy.sessions):
            return False
        try:
            await self.sessions.save(session)
        except SessionNotFound:
            raise Unauthenticated(Reason.NO_SUCH_SESSION) from None
        return True


@dataclass(frozen=True)
class RefreshSession:
    """Prolong the session and sign a new access token.

    The previous one stays valid: two tabs may refresh at once.
    """

    prolong: ProlongSession
    signer: AccessTokenSigner
    clock: Clock
    policy: SignInPolicy

    async def __call__(self, identity: Identity) -> SignedIn:
        """Raises `Forbidden` if the credential has no session; `SignInElsewhere`,
        `Unauthenticated`.
        """
        if self.policy.is_elsewhere:
            raise SignInElsewhere
        if identity.session is None:
            raise Forbidden(Reason.SESSION_REQUIRED, seen=identity.credential)
        await self.prolong(identity)
        token = self.signer(identity.session, self.clock.now())
        return SignedIn(identity.user, identity.session, token)


@dataclass(frozen=True)
class ListSessions:
    """List the user's valid sessions, newest first."""

    sessions: SessionStore
    clock: Clock

    async def __call__(self, identity: Identity) -> Sequence[Session]:
        """Raises `Forbidden` if the store needs a session, and the credential has none."""
        now = self.clock.now()
        return await self.sessions.list(identity.user.id, now=now, caller=identity.session)


@dataclass(frozen=True)
class EndSession:
    """End one of the user's sessions.

    A session of another user does not exist.
    """

    sessions: SessionStore

    async def __call__(self, identity: Identity, session_id: str) -> None:
        """Raises `SessionNotFound`; `Forbidden` as `ListSessions` does."""
        await self.sessions.remove(session_id, identity.user.id, caller=identity.session)


def _sessions_of(identity: Identity | None) -> Sequence[Session]:
    if identity is None:
        return ()
    found = (identity.session, identity.cookie_session)
    return [session for session in found if session is not None]
