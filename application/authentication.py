"""Who is asking, and how a user whom the front end vouches for comes to exist here."""

from dataclasses import dataclass, replace
from datetime import datetime

from application.ports.clock import Clock
from application.ports.credentials import (
    Authenticator,
    Claims,
    CredentialKind,
    Credentials,
    Proof,
    SessionProof,
    UserProof,
)
from application.ports.tokens import TokenSigner
from domain.errors import Unauthenticated
from domain.sessions import Session, SessionStore
from domain.users import UnknownUser, User, UserBanned, UserRepository


@dataclass(frozen=True, slots=True)
class Identity:
    """A user whose row exists, and the credential that proved it."""

    user: User
    credential: CredentialKind
    #: None if the credential has no session: a JWT or a shared-secret token.
    session: Session | None = None
    #: Better Auth's `dont_remember`: the browser drops the cookie when it ends.
    is_temporary: bool = False
    #: A second session of the same user, proven by a cookie beside a bearer.
    cookie_session: Session | None = None


@dataclass(frozen=True)
class Authenticate:
    """Identify the user of a request.

    The bearer decides; a valid cookie beside it must name the same user. The session must be valid
    and its user exist. Some credentials create their user, and update it with newer claims. Bans
    are checked last, and a banned user is not updated.
    """

    authenticator: Authenticator
    users: UserRepository
    sessions: SessionStore
    clock: Clock

    async def __call__(self, credentials: Credentials) -> Identity:
        """Raises `Unauthenticated`, `UnknownUser`, `UserBanned`, `EmailTaken`, `Unavailable`."""
        deciding, *others = await self.authenticator(credentials)
        beside = [found for proof in others if (found := await self._identify_if_alive(proof))]
        # Before the one that decides may write anything: what is refused leaves no trace.
        if any(deciding.user_id not in (None, other.user.id) for other in beside):
            raise Unauthenticated
        identity = await self._identify(deciding)
        for other in beside:
            if other.user.id != identity.user.id:
                raise Unauthenticated
            # What the cookies say of a session holds for whatever else stands for the same one.
            forgets = other.is_temporary and other.session == identity.session
            identity = replace(
                identity,
                cookie_session=other.session,
                is_temporary=identity.is_temporary or forgets,
            )
        if identity.user.banned and identity.user.is_banned(self.clock.now()):
            raise UserBanned
        return identity

    async def _identify_if_alive(self, proof: Proof) -> Identity | None:
        try:
            return await self._identify(proof)
        except Unauthenticated:
            return None

    async def _identify(self, proof: Proof) -> Identity:
        if isinstance(proof, SessionProof):
            return await self._holder(proof)
        return Identity(await self._user(proof), proof.kind)

    async def _holder(self, proof: SessionProof) -> Identity:
        if proof.token is not None:
            found = await self.sessions.find_by_token(proof.token)
        else:
            found = await self.sessions.find_by_id(proof.session_id or "")
        if found is None:
            raise Unauthenticated
        session, user = found
        if not session.is_alive(self.clock.now()) or proof.user_id not in (None, user.id):
            raise Unauthenticated
        return Identity(user, proof.kind, session, proof.is_temporary)

    async def _user(self, proof: UserProof) -> User:
        claims = proof.claims
        try:
            user = await self.users.get(proof.user_id, issued_at=proof.issued_at)
        except UnknownUser:
            if claims is None:
                raise
            return await self._introduce(proof, claims)
        if not claims or not claims.updated_at or claims.updated_at <= user.updated_at:
            return user
        # Who is banned is about to be refused, and what is refused leaves no trace.
        if user.is_banned(self.clock.now()):
            return user
        return await self._update(user, claims, claims.updated_at)

    async def _introduce(self, proof: UserProof, claims: Claims) -> User:
        user = User.create(
            id=proof.user_id,
            email=claims.email,
            name=claims.name or "",
            email_verified=bool(claims.email_verified),
            image=claims.image,
            now=claims.updated_at or self.clock.now(),
        )
        await self.users.add(user, issued_at=proof.issued_at)
        return await self.users.get(proof.user_id, issued_at=proof.issued_at)

    async def _update(self, user: User, claims: Claims, updated_at: datetime) -> User:
        verified = claims.email_verified
        if verified is None:
            # A source that cannot say leaves the flag alone, but a new address starts unproven.
            verified = user.email_verified and claims.email == user.email
        changed = replace(
            user,
            email=claims.email,
            name=user.name if claims.name is None else claims.name,
            image=claims.image if claims.says_image else user.image,
            email_verified=verified,
            updated_at=updated_at,
        )
        await self.users.save(changed)
        return changed


@dataclass(frozen=True)
class IssueDevelopmentToken:
    """Sign a token for an e-mail address; create the user if missing.

    The command decides whether that is allowed.
    """

    users: UserRepository
    signer: TokenSigner
    clock: Clock

    async def __call__(self, email: str, *, new_id: str) -> str:
        """Raises `Invalid`; `EmailTaken` or `UnknownUser` where the user cannot be made."""
        now = self.clock.now()
        wanted = User.create(id=new_id, email=email, name=email.partition("@")[0], now=now)
        user = await self.users.find_by_email(wanted.email)
        if user is None:
            user = wanted
            await self.users.add(user, issued_at=now)
        return self.signer(user_id=user.id, email=user.email, now=now)
