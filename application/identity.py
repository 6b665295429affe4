"""Who is asking, and how a user whom the front end vouches for comes to exist here."""

from dataclasses import dataclass, replace
from datetime import datetime

from application.ports import Authenticator, Claims, Clock, Credentials, Proof, TokenSigner
from domain.users import UnknownUser, User, UserRepository


@dataclass(frozen=True)
class Authenticate:
    """From what a request shows to a user whose row exists.

    A credential that may introduce a user creates the row at first sight, and updates it when it
    knows something newer.
    """

    authenticator: Authenticator
    users: UserRepository
    clock: Clock

    async def __call__(self, credentials: Credentials) -> User:
        """Raises `Unauthenticated`, `UnknownUser`, `EmailTaken`, `Unavailable`."""
        proof = await self.authenticator(credentials)
        claims = proof.claims
        try:
            user = await self.users.get(proof.user_id, issued_at=proof.issued_at)
        except UnknownUser:
            if claims is None:
                raise
            return await self._introduce(proof, claims)
        if claims and claims.updated_at and claims.updated_at > user.updated_at:
            return await self._update(user, claims, claims.updated_at)
        return user

    async def _introduce(self, proof: Proof, claims: Claims) -> User:
        user = User.create(
            id=proof.user_id,
            email=claims.email,
            name=claims.name,
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
            name=claims.name,
            image=claims.image,
            email_verified=verified,
            updated_at=updated_at,
        )
        await self.users.save(changed)
        return changed


@dataclass(frozen=True)
class IssueDevelopmentToken:
    """A token for whoever has this e-mail address; the user is created where missing."""

    users: UserRepository
    signer: TokenSigner
    clock: Clock

    async def __call__(self, email: str, *, new_id: str) -> str:
        """Raises `Invalid`."""
        now = self.clock.now()
        wanted = User.create(id=new_id, email=email, name=email.partition("@")[0], now=now)
        user = await self.users.find_by_email(wanted.email)
        if user is None:
            user = wanted
            await self.users.add(user, issued_at=now)
        return self.signer(user_id=user.id, email=user.email, now=now)
