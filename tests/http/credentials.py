"""Every form of credential, and the cookies of a response.

They are made by hand from the contract, never by the code under test.
"""

import base64
import hmac
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import httpx
import jwt

from application.ports.credentials import CredentialKind
from domain.sessions import Session
from tests.better_auth.signer import signer
from tests.http.client import ORIGIN, SECRET, shared_secret_token
from tests.http.rows import KID

COOKIE: Final = "better-auth.session_token"
WEEK: Final = 604_800
EXPIRED_COOKIES: Final = [
    f"better-auth.{name}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    for name in ("session_token", "session_data", "dont_remember")
]
"""The `Set-Cookie` headers that make a browser forget a session."""

Headers = list[tuple[str, str]]


def signature(value: str, secret: str = SECRET) -> str:
    """Better Auth's signature: standard base64 with padding, 44 characters."""
    return base64.b64encode(hmac.digest(secret.encode(), value.encode(), "sha256")).decode()


def signed(value: str, secret: str = SECRET) -> str:
    """A signed value, in the encoding of a cookie."""
    return quote(f"{value}.{signature(value, secret)}", safe="")


def cookie(value: str, name: str = COOKIE) -> Headers:
    """A cookie as a browser sends it from a page of the front end."""
    return [("Cookie", f"{name}={value}"), ("Origin", ORIGIN)]


def cookie_of(session: Session) -> Headers:
    return cookie(signed(session.token))


def set_cookie(token: str, seconds: int | None = WEEK) -> str:
    """The `Set-Cookie` header of a session token, exactly as Better Auth writes it."""
    max_age = "" if seconds is None else f" Max-Age={seconds};"
    return f"{COOKIE}={signed(token)};{max_age} Path=/; HttpOnly; SameSite=Lax"


def set_cookies_of(response: httpx.Response) -> list[str]:
    return response.headers.get_list("set-cookie")


def bearer(token: str) -> Headers:
    return [("Authorization", f"Bearer {token}")]


def changed(claims: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Claims with changes; a claim that is None is left out."""
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def access_claims(session: Session, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"iss": "taskport", "aud": "taskport", "sub": session.user_id, "sid": session.id}
    return changed({**claims, "iat": now, "exp": now + 7 * 86_400}, changes)


def access_token(session: Session, secret: str = SECRET, **changes: Any) -> str:
    """An access token of this service."""
    return jwt.encode(access_claims(session, **changes), secret, headers={"typ": "at+jwt"})


def plugin_claims(user_id: str = "ann", **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"sub": user_id, "id": user_id, "email": f"{user_id}@example.com", "name": "Plugin"}
    return changed({**claims, "iat": now, "exp": now + 900, "iss": ORIGIN, "aud": ORIGIN}, changes)


def plugin_token(user_id: str = "ann", **changes: Any) -> str:
    """A JWT of the `jwt` plugin, signed with the key that `add_key` puts into the key table."""
    return signer(KID, "EdDSA").token(plugin_claims(user_id, **changes))


CREDENTIALS: Final[dict[str, tuple[CredentialKind, Callable[[Session], Headers]]]] = {
    "cookie": (CredentialKind.COOKIE, cookie_of),
    "raw session token": (CredentialKind.SESSION_TOKEN, lambda s: bearer(s.token)),
    "signed session token": (
        CredentialKind.SESSION_TOKEN,
        lambda s: bearer(f"{s.token}.{signature(s.token)}"),
    ),
    "jwt": (CredentialKind.JWT, lambda s: bearer(plugin_token(s.user_id))),
    "access token": (CredentialKind.ACCESS_TOKEN, lambda s: bearer(access_token(s))),
    "shared secret": (
        CredentialKind.SHARED_SECRET,
        lambda s: bearer(shared_secret_token(s.user_id)),
    ),
}
"""The headers of each form of credential, for the user of a session. Needs the key of `add_key`."""

HEADERS_OF: Final = {name: headers_of for name, (_, headers_of) in CREDENTIALS.items()}
BEARERS: Final = {name: HEADERS_OF[name] for name in CREDENTIALS if name != "cookie"}
SESSIONLESS: Final = ("jwt", "shared secret")
"""Credentials of a user, without a session."""
WITH_SESSION: Final = {name: CREDENTIALS[name] for name in CREDENTIALS if name not in SESSIONLESS}
