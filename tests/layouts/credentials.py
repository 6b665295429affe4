"""Credentials of a user, made as Better Auth and the server of the front end make them."""

import time
from typing import Any

import jwt

from tests.better_auth.signer import Signer
from tests.http.credentials import signature, signed
from tests.interop.taskport import SECRET
from tests.layouts.better_auth import BetterAuth, Person, now_in_milliseconds

Headers = dict[str, str]


def cookie(person: Person) -> Headers:
    """The session cookie."""
    return {"Cookie": f"better-auth.session_token={signed(person.token, SECRET)}"}


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def signed_bearer(person: Person) -> Headers:
    return bearer(f"{person.token}.{signature(person.token, SECRET)}")


def shared_secret(sub: str, **claims: Any) -> Headers:
    """A token that the server of the front end signed; by default without an address."""
    now = int(time.time())
    return bearer(jwt.encode({"sub": sub, "iat": now, "exp": now + 900, **claims}, SECRET))


class Keys:
    """A key of the `jwt` plugin in its table."""

    def __init__(self, rows: BetterAuth, origin: str) -> None:
        self._origin = origin
        signer = Signer("")
        kid = rows.insert(
            "jwks",
            publicKey=signer.row(),
            privateKey="encrypted",
            createdAt=now_in_milliseconds(),
            alg="EdDSA",
            crv="Ed25519",
        )
        self._signer = Signer(kid, private=signer.private)

    def jwt(self, sub: str, **claims: Any) -> Headers:
        """A token as `GET /token` returns it."""
        now = int(time.time())
        all_claims = {"sub": sub, "iss": self._origin, "aud": self._origin, "iat": now}
        return bearer(self._signer.token({**all_claims, "exp": now + 900, **claims}))
