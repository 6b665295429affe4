"""Which of the credentials in a request decides, and which piece verifies it."""

from dataclasses import dataclass

from adapters.better_auth.shared_secret import SharedSecretTokens
from adapters.better_auth.tokens import bearer_token
from application.ports import Credentials, Proof
from domain.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class BetterAuthAuthenticator:
    """An `Authenticator`. `shared_secret` is None where such tokens are turned off."""

    shared_secret: SharedSecretTokens | None

    async def __call__(self, credentials: Credentials) -> Proof:
        if credentials.authorization is None or self.shared_secret is None:
            raise Unauthenticated
        return self.shared_secret.verify(bearer_token(credentials.authorization))
