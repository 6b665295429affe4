"""Our own access tokens: which are believed, and what they prove."""

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
TOKENS = AccessTokens(SECRET, LIFETIME)
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
    """A good one with changes; a member that is None is left out."""
    said = {"alg": "HS256", "typ": "at+jwt", **(header or {})}
    return signed(
        {name: value for name, value in said.items() if value is not None},
        claims(**changes),
        lambda text: hmac.digest(secret.encode(), text, digest),
    )


def claims(**changes: Any) -> dict[str, Any]:
    said = {
        "iss": "taskport",
        "aud": "taskport",
        "sub": "ann",
        "sid": "s1",
        "iat": AT,
        "exp": AT + WEEK,
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def test_what_is_signed_is_believed_and_proves_a_session() -> None:
    given = TOKENS(SESSION, NOW)
    assert given == AccessToken(given.token, LIFETIME)
    assert TOKENS.verify(given.token, NOW) == (PROOF, AT + WEEK + LEEWAY_SECONDS)


def test_the_form_of_a_token() -> None:
    given = TOKENS(SESSION, NOW).token
    assert jwt.get_unverified_header(given) == {"alg": "HS256", "typ": "at+jwt"}
    assert claims_of(given) == claims()


def test_a_token_tells_nothing_of_what_it_is_made_of() -> None:
    given = TOKENS(SESSION, NOW)
    parts = given.token.split(".")
    assert encoded(SESSION.token.encode()) not in given.token
    assert not any(part in repr(given) for part in parts)
    assert SECRET not in repr(TOKENS)


@pytest.mark.parametrize("header", [{"typ": "AT+JWT"}, {"kid": "whatever"}])
def test_what_else_is_believed(header: dict[str, Any]) -> None:
    """A media type is the same in upper case."""
    assert TOKENS.verify(token(header=header), NOW)[0] == PROOF


def test_a_token_lives_until_its_end() -> None:
    """And half a minute more, for clocks that differ."""
    given, end = TOKENS(SESSION, NOW).token, NOW + LIFETIME + timedelta(seconds=LEEWAY_SECONDS)
    assert TOKENS.verify(given, end - timedelta.resolution)[0] == PROOF
    with pytest.raises(Unauthenticated):
        TOKENS.verify(given, end)
    almost = NOW - timedelta(seconds=LEEWAY_SECONDS)
    assert TOKENS.verify(given, almost)[0] == PROOF
    with pytest.raises(Unauthenticated):
        TOKENS.verify(given, almost - timedelta.resolution)


FORGED: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "no token": lambda: "..",
    "another secret": lambda: token(secret=SECRET + "x"),
    "another algorithm": lambda: token(header={"alg": "HS512"}, digest="sha512"),
    "another algorithm by name": lambda: token(header={"alg": "HS384"}),
    "no algorithm": lambda: signed({"alg": "none", "typ": "at+jwt"}, claims(), lambda _: b""),
    "a public key": lambda: signer("k").token(claims(), typ="at+jwt"),
    "no signature": lambda: token().rpartition(".")[0] + ".",
    "claims of another": lambda: ".".join(
        part if place != 1 else token(sub="bob").split(".")[1]
        for place, part in enumerate(token().split("."))
    ),
    "a critical header": lambda: token(header={"crit": ["b64"], "b64": True}),
    "no type": lambda: token(header={"typ": None}),
    "the usual type": lambda: token(header={"typ": "JWT"}),
    "the type as a media type": lambda: token(header={"typ": "application/at+jwt"}),
    "no issuer": lambda: token(iss=None),
    "another issuer": lambda: token(iss="http://localhost:3000"),
    "no audience": lambda: token(aud=None),
    "another audience": lambda: token(aud="http://localhost:3000"),
    "audiences": lambda: token(aud=["taskport"]),
    "neither": lambda: token(iss=None, aud=None),
    "both another's": lambda: token(iss="other", aud="other"),
    "no user": lambda: token(sub=None),
    "an empty user": lambda: token(sub=""),
    "a number for a user": lambda: token(sub=7),
    "no session": lambda: token(sid=None),
    "a number for a session": lambda: token(sid=7),
    "sessions": lambda: token(sid=["s1"]),
    "a session that nobody can print": lambda: token(sid="s\0"),
    "no end": lambda: token(exp=None),
    "an end that is no number": lambda: token(exp="tomorrow"),
    "over": lambda: token(iat=AT - WEEK, exp=AT - LEEWAY_SECONDS),
    "no beginning": lambda: token(iat=None),
    "a beginning that is yet to come": lambda: token(iat=AT + LEEWAY_SECONDS + 1, exp=AT + 60),
    "not yet": lambda: token(nbf=AT + LEEWAY_SECONDS + 1),
    "a longer life than we give": lambda: token(exp=AT + WEEK + 1),
}


@pytest.mark.parametrize("name", FORGED)
def test_nothing_else_is_believed(name: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.verify(FORGED[name](), NOW)


def test_the_tokens_of_one_secret_are_not_taken_for_each_other() -> None:
    """The front end's own server signs with the same secret (credential 5)."""
    others = SharedSecretTokens(SECRET, "http://localhost:3000", LIFETIME)
    with pytest.raises(Unauthenticated):
        TOKENS.verify(others(user_id="ann", email="ann@example.com", now=NOW), NOW)
    with pytest.raises(Unauthenticated):
        others.verify(TOKENS(SESSION, NOW).token, NOW)


def test_a_shorter_lifetime_counts_at_once() -> None:
    """Also for what was signed before the setting was changed."""
    given = TOKENS(SESSION, NOW).token
    with pytest.raises(Unauthenticated):
        AccessTokens(SECRET, timedelta(days=1)).verify(given, NOW)
