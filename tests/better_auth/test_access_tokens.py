"""Our own access tokens: which are accepted, and what they prove."""

import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from adapters.better_auth.access_tokens import AccessTokens
from adapters.better_auth.shared_secret import SharedSecretTokens
from adapters.better_auth.tokens import LEEWAY_SECONDS
from application.ports.credentials import CredentialKind, SessionProof
from application.ports.tokens import AccessToken
from domain.errors import Unauthenticated
from domain.sessions import Session
from tests.better_auth.signer import claims_of, encoded, signed, signer

SECRET = "a-secret-of-the-tests-0123456789abcdef"
NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
AT = int(NOW.timestamp())
LIFETIME = timedelta(days=7)
WEEK = int(LIFETIME.total_seconds())
TOKENS = AccessTokens((SECRET,), LIFETIME)
SESSION = Session.create(
    id="s1", user_id="ann", token="never shown", ip_address=None, user_agent=None, now=NOW
)
PROOF = SessionProof(CredentialKind.ACCESS_TOKEN, session_id="s1", user_id="ann")


def token(
    *,
    header: dict[str, Any] | None = None,
    secret: str = SECRET,
    digest: str = "sha256",
    **changes: Any,
) -> str:
    """A valid token with changes; members that are None are left out."""
    changed = {"alg": "HS256", "typ": "at+jwt", **(header or {})}
    return signed(
        {name: value for name, value in changed.items() if value is not None},
        claims(**changes),
        lambda text: hmac.digest(secret.encode(), text, digest),
    )


def claims(**changes: Any) -> dict[str, Any]:
    changed = {
        "iss": "taskport",
        "aud": "taskport",
        "sub": "ann",
        "sid": "s1",
        "iat": AT,
        "exp": AT + WEEK,
        **changes,
    }
    return {name: value for name, value in changed.items() if value is not None}


def test_signed_token_proves_its_session() -> None:
    signed_token = TOKENS(SESSION, NOW)
    assert signed_token == AccessToken(signed_token.token, LIFETIME)
    assert TOKENS.verify(signed_token.token, NOW) == (PROOF, AT + WEEK + LEEWAY_SECONDS)


def test_header_and_claims_of_a_token() -> None:
    signed_token = TOKENS(SESSION, NOW).token
    assert jwt.get_unverified_header(signed_token) == {"alg": "HS256", "typ": "at+jwt"}
    assert claims_of(signed_token) == claims()


def test_token_reveals_no_secret() -> None:
    """Neither the session token in the access token, nor either of them in a `repr`."""
    signed_token = TOKENS(SESSION, NOW)
    parts = signed_token.token.split(".")
    assert encoded(SESSION.token.encode()) not in signed_token.token
    assert not any(part in repr(signed_token) for part in parts)
    assert SECRET not in repr(TOKENS)


@pytest.mark.parametrize("header", [{"typ": "AT+JWT"}, {"kid": "whatever"}])
def test_other_valid_headers_are_accepted(header: dict[str, Any]) -> None:
    """Media types are case-insensitive."""
    assert TOKENS.verify(token(header=header), NOW)[0] == PROOF


def test_token_is_valid_until_it_expires() -> None:
    """With half a minute of leeway at both ends, for clock skew."""
    valid, end = TOKENS(SESSION, NOW).token, NOW + LIFETIME + timedelta(seconds=LEEWAY_SECONDS)
    assert TOKENS.verify(valid, end - timedelta.resolution)[0] == PROOF
    with pytest.raises(Unauthenticated):
        TOKENS.verify(valid, end)
    begin = NOW - timedelta(seconds=LEEWAY_SECONDS)
    assert TOKENS.verify(valid, begin)[0] == PROOF
    with pytest.raises(Unauthenticated):
        TOKENS.verify(valid, begin - timedelta.resolution)


FORGED: dict[str, Callable[[], str]] = {
    "an empty token": lambda: "",
    "empty parts": lambda: "..",
    "another secret": lambda: token(secret=SECRET + "x"),
    "another algorithm": lambda: token(header={"alg": "HS512"}, digest="sha512"),
    "another algorithm by name": lambda: token(header={"alg": "HS384"}),
    "no algorithm": lambda: signed({"alg": "none", "typ": "at+jwt"}, claims(), lambda _: b""),
    "a public key": lambda: signer("k").token(claims(), typ="at+jwt"),
    "no signature": lambda: token().rpartition(".")[0] + ".",
    "claims of another user": lambda: ".".join(
        part if place != 1 else token(sub="bob").split(".")[1]
        for place, part in enumerate(token().split("."))
    ),
    "a critical header": lambda: token(header={"crit": ["b64"], "b64": True}),
    "no type": lambda: token(header={"typ": None}),
    "the type JWT": lambda: token(header={"typ": "JWT"}),
    "the type as a full media type": lambda: token(header={"typ": "application/at+jwt"}),
    "no issuer": lambda: token(iss=None),
    "another issuer": lambda: token(iss="http://localhost:3000"),
    "no audience": lambda: token(aud=None),
    "another audience": lambda: token(aud="http://localhost:3000"),
    "a list of audiences": lambda: token(aud=["taskport"]),
    "neither issuer nor audience": lambda: token(iss=None, aud=None),
    "another issuer and audience": lambda: token(iss="other", aud="other"),
    "no user": lambda: token(sub=None),
    "an empty user": lambda: token(sub=""),
    "a number for a user": lambda: token(sub=7),
    "no session": lambda: token(sid=None),
    "a number for a session": lambda: token(sid=7),
    "a list of sessions": lambda: token(sid=["s1"]),
    "an unprintable session": lambda: token(sid="s\0"),
    "no exp": lambda: token(exp=None),
    "an exp that is no number": lambda: token(exp="tomorrow"),
    "expired": lambda: token(iat=AT - WEEK, exp=AT - LEEWAY_SECONDS),
    "no iat": lambda: token(iat=None),
    "issued in the future": lambda: token(iat=AT + LEEWAY_SECONDS + 1, exp=AT + 60),
    "not yet valid": lambda: token(nbf=AT + LEEWAY_SECONDS + 1),
    "too long a lifetime": lambda: token(exp=AT + WEEK + 1),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_token_is_rejected(name: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.verify(FORGED[name](), NOW)


def test_tokens_of_one_secret_are_not_confused() -> None:
    """The front end's own server signs with the same secret (shared-secret tokens)."""
    shared_secret = SharedSecretTokens((SECRET,), "http://localhost:3000", LIFETIME)
    with pytest.raises(Unauthenticated):
        TOKENS.verify(shared_secret(user_id="ann", email="ann@example.com", now=NOW), NOW)
    with pytest.raises(Unauthenticated):
        shared_secret.verify(TOKENS(SESSION, NOW).token, NOW)


def test_shorter_lifetime_applies_to_earlier_tokens() -> None:
    signed_token = TOKENS(SESSION, NOW).token
    with pytest.raises(Unauthenticated):
        AccessTokens((SECRET,), timedelta(days=1)).verify(signed_token, NOW)
