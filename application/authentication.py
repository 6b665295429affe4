"""Authentication of requests, and the creation of users from trusted credentials."""

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
from domain.refusals import Reason
from domain.sessions import Session, SessionStore
from domain.users import EmailTaken, UnknownUser, User, UserBanned, UserRepository


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
        primary, *secondary = await self.authenticator(credentials)
        others = [found for proof in secondary if (found := await self._identify_if_valid(proof))]
        # Checked before the primary proof may create or update a user: a rejected request changes
        # nothing.
        if any(primary.user_id not in (None, other.user.id) for other in others):
            raise Unauthenticated(Reason.TWO_USERS)
        identity = await self._identify(primary)
        for other in others:
            if other.user.id != identity.user.id:
                raise Unauthenticated(Reason.TWO_USERS)
            # Only the cookies tell that a session is temporary, also if a bearer proved it.
            is_temporary = other.is_temporary and other.session == identity.session
            identity = replace(
                identity,
                cookie_session=other.session,
                is_temporary=identity.is_temporary or is_temporary,
            )
        if self.sessions.has_foreign_users and identity.session is not None:
            identity = await self._introduce(identity, identity.session)
        if identity.user.banned and identity.user.is_banned(self.clock.now()):
            raise UserBanned
        return identity

    async def _introduce(self, identity: Identity, session: Session) -> Identity:
        """The identity with the user of this service, which a session from elsewhere creates or
        updates.
        """
        found = identity.user
        # The request of a banned user is rejected, so it must not change anything.
        if found.is_banned(self.clock.now()):
            return identity
        claims = Claims(
            email=found.email,
            name=found.name,
            image=found.image,
            email_verified=found.email_verified,
            updated_at=found.updated_at,
        )
        # The session is as old as the last proof that the user signed in.
        proof = UserProof(identity.credential, found.id, session.created_at, claims)
        return replace(identity, user=await self._get_or_create(proof))

    async def _identify_if_valid(self, proof: Proof) -> Identity | None:
        try:
            return await self._identify(proof)
        except Unauthenticated:
            return None

    async def _identify(self, proof: Proof) -> Identity:
        if isinstance(proof, SessionProof):
            return await self._identify_session(proof)
        return Identity(await self._get_or_create(proof), proof.kind)

    async def _identify_session(self, proof: SessionProof) -> Identity:
        if proof.token is not None:
            found = await self.sessions.find_by_token(proof.token)
        else:
            found = await self.sessions.find_by_id(proof.session_id or "")
        if found is None:
            raise Unauthenticated(Reason.NO_SUCH_SESSION)
        session, user = found
        now = self.clock.now()
        if not session.is_alive(now):
            raise Unauthenticated(
                Reason.SESSION_EXPIRED,
                expected=f"expiresAt after {now:%Y-%m-%dT%H:%M:%SZ}",
                seen=f"{session.expires_at:%Y-%m-%dT%H:%M:%SZ}",
            )
        if proof.user_id not in (None, user.id):
            raise Unauthenticated(Reason.SESSION_OF_ANOTHER_USER)
        return Identity(user, proof.kind, session, proof.is_temporary)

    async def _get_or_create(self, proof: UserProof) -> User:
        claims = proof.claims
        try:
            user = await self.users.get(proof.user_id, issued_at=proof.issued_at)
        except UnknownUser:
            if claims is None:
                raise
            return await self._create(proof, claims)
        if not claims or not claims.updated_at or claims.updated_at <= user.updated_at:
            return user
        # The request of a banned user is rejected, so it must not change anything.
        if user.is_banned(self.clock.now()):
            return user
        return await self._update(user, proof, claims, claims.updated_at)

    async def _create(self, proof: UserProof, claims: Claims) -> User:
        user = User.create(
            id=proof.user_id,
            email=claims.email,
            name=claims.name or "",
            email_verified=bool(claims.email_verified),
            image=claims.image,
            now=claims.updated_at or self.clock.now(),
        )
        issued_at = proof.issued_at
        if issued_at is not None:
            # Clocks differ, so a credential may have been issued in the future.
            issued_at = min(issued_at, self.clock.now())
        try:
            await self.users.introduce(user, issued_at=issued_at)
        except EmailTaken:
            if not await self._release_email(proof, user.email):
                raise
            await self.users.introduce(user, issued_at=issued_at)
        return await self.users.get(proof.user_id, issued_at=proof.issued_at)

    async def _release_email(self, proof: UserProof, email: str) -> bool:
        """Release an address that Better Auth proves to be verified, or to be another user's now.

        Otherwise, a stranger could sign up here with the address of somebody who uses the front
        end, and so lock that user out.
        """
        claims = proof.claims
        is_verified = claims is not None and claims.email_verified is True
        return (
            (is_verified or self.sessions.has_foreign_users)
            and proof.kind is not CredentialKind.SHARED_SECRET
            and await self.users.release_email(email)
        )

    async def _update(
        self, user: User, proof: UserProof, claims: Claims, updated_at: datetime
    ) -> User:
        verified = claims.email_verified
        if verified is None:
            # Without the claim the flag stays, but a new address is unverified.
            verified = user.email_verified and claims.email == user.email
        changed = replace(
            user,
            email=claims.email,
            name=user.name if claims.name is None else claims.name,
            image=claims.image if claims.states_image else user.image,
            email_verified=verified,
            updated_at=updated_at,
        )
        try:
            await self.users.save(changed)
        except EmailTaken:
            if not await self._release_email(proof, changed.email):
                raise
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
        """Raises `Invalid`; `EmailTaken` or `UnknownUser` if the user cannot be created."""
        now = self.clock.now()
        new = User.create(id=new_id, email=email, name=email.partition("@")[0], now=now)
        user = await self.users.find_by_email(new.email)
        if user is None:
            user = await self.users.add(new)
        return self.signer(user_id=user.id, email=user.email, now=now)
