"""Credentials during a rotation of the secret: `BETTER_AUTH_SECRETS`."""

import json
import time
from collections.abc import Callable
from typing import Final

import jwt
import pytest

from domain.sessions import Session
from tests.http.api import LOG_IN, LOGIN, ME, REFRESH, SIGN_UP
from tests.http.backend import Backend, build_backend
from tests.http.client import client_of
from tests.http.credentials import (
    Headers,
    access_token,
    bearer,
    cookie,
    set_cookies_of,
    signature,
    signed,
)
from tests.http.rows import add_session, add_user

NEW: Final = "new-secret-0123456789abcdef-012345"
OLD: Final = "old-secret-0123456789abcdef-012345"
OLDEST: Final = "oldest-secret-0123456789abcdef-0123"
OTHER: Final = "another-secret-0123456789abcdef-012"


def shared_secret_token(session: Session, secret: str) -> str:
    now = int(time.time())
    return jwt.encode({"sub": session.user_id, "iat": now, "exp": now + 60}, secret)


Credential = Callable[[Session, str], Headers]
#: Better Auth, too, verifies these with the current secret alone.
CURRENT_ONLY: Final[dict[str, Credential]] = {
    "cookie": lambda session, secret: cookie(signed(session.token, secret)),
    "signed session token": lambda session, secret: bearer(
        f"{session.token}.{signature(session.token, secret)}"
    ),
}
EVERY_SECRET: Final[dict[str, Credential]] = {
    "access token": lambda session, secret: bearer(access_token(session, secret)),
    "shared secret": lambda session, secret: bearer(shared_secret_token(session, secret)),
}
CREDENTIALS: Final = {**CURRENT_ONLY, **EVERY_SECRET}


@pytest.fixture(scope="module")
def rotating() -> Backend:
    return build_backend(better_auth_secrets=f"3:{NEW},2:{OLD},1:{OLDEST}")


@pytest.mark.parametrize("secret", [NEW, OLD, OLDEST, OTHER])
@pytest.mark.parametrize("name", CREDENTIALS)
async def test_which_secrets_verify_a_credential(rotating: Backend, name: str, secret: str) -> None:
    rotating.store.clear()
    session = add_session(rotating.store, add_user(rotating.store).id)
    is_valid = secret == NEW or (name in EVERY_SECRET and secret in (OLD, OLDEST))
    async with client_of(rotating.app) as client:
        response = await client.get(ME, headers=CREDENTIALS[name](session, secret))
    assert response.status_code == (200 if is_valid else 401)


async def test_expired_token_of_an_old_secret_is_rejected(rotating: Backend) -> None:
    rotating.store.clear()
    session = add_session(rotating.store, add_user(rotating.store).id)
    past = int(time.time()) - 3600
    token = access_token(session, OLD, iat=past - 60, exp=past)
    async with client_of(rotating.app) as client:
        assert (await client.get(ME, headers=bearer(token))).status_code == 401


async def test_current_secret_signs(rotating: Backend) -> None:
    rotating.store.clear()
    async with client_of(rotating.app) as client:
        for path in (SIGN_UP, LOG_IN):
            response = await client.post(path, json=LOGIN)
            body = response.json()
            assert signed(body["session_token"], NEW) in set_cookies_of(response)[0]
            jwt.decode(body["access_token"], NEW, ["HS256"], audience="taskport")
            client.cookies.clear()
        token = bearer(body["access_token"])
        refreshed = (await client.post(REFRESH, headers=token)).json()["access_token"]
        jwt.decode(refreshed, NEW, ["HS256"], audience="taskport")


@pytest.mark.parametrize("claim", ["iss", "aud"])
async def test_issuer_of_a_shared_secret_token_is_one_text(rotating: Backend, claim: str) -> None:
    """`aud` may be a list (RFC 7519, 4.1.3), `iss` may not."""
    rotating.store.clear()
    add_user(rotating.store)
    now = int(time.time())
    claims = {"sub": "ann", "iat": now, "exp": now + 60, claim: ["http://localhost:3000"]}
    async with client_of(rotating.app) as client:
        # PyJWT refuses to encode such an issuer.
        token = jwt.api_jws.encode(_json(claims), NEW, algorithm="HS256")
        response = await client.get(ME, headers=bearer(token))
    assert response.status_code == (200 if claim == "aud" else 401)


def _json(claims: dict[str, object]) -> bytes:
    return json.dumps(claims).encode()
