"""The settings that tests give a Better Auth server take effect."""

from typing import Final, get_args

import jwt
import psycopg
import pytest

from tests.interop.better_auth import KeyAlgorithm, cookie_of, server

pytestmark = [
    pytest.mark.node,
    pytest.mark.postgres,
    pytest.mark.usefixtures("node_modules"),
]

SECRET: Final = "a-secret-of-the-tests-0123456789abcdef"
EMAIL: Final = "ada@example.com"


@pytest.mark.parametrize("algorithm", get_args(KeyAlgorithm))
def test_key_algorithm(database_url: str, algorithm: KeyAlgorithm) -> None:
    with server(database_url, secret=SECRET, key_algorithm=algorithm) as running:
        token = running.token(cookie_of(running.sign_up(EMAIL))).json()["token"]

        assert jwt.get_unverified_header(token)["alg"] == algorithm
        assert running.claims(token)["email"] == EMAIL


def test_cookie_settings(database_url: str) -> None:
    with server(
        database_url,
        secret=SECRET,
        base_url="https://app.example.com",
        cookie_prefix="shop",
        cookie_domain="example.com",
        cookie_cache="jwe",
        expires_in=120,
    ) as running:
        signed_up = running.sign_up(EMAIL)
        [session, cache] = signed_up.headers.get_list("set-cookie")

        assert session.startswith("__Secure-shop.session_token=")
        assert "; Max-Age=120; Domain=example.com; Path=/; HttpOnly; Secure;" in session
        assert cache.startswith("__Secure-shop.session_data=")
        assert running.get_session(cookie_of(signed_up)).json()["user"]["email"] == EMAIL


def test_insecure_cookies_behind_https(database_url: str) -> None:
    with server(
        database_url, secret=SECRET, base_url="https://app.example.com", use_secure_cookies=False
    ) as running:
        assert cookie_of(running.sign_up(EMAIL))["Cookie"].startswith("better-auth.session_token=")


def test_session_lifetime_and_update_age(database_url: str) -> None:
    with server(database_url, secret=SECRET, expires_in=60, update_age=0) as running:
        session = cookie_of(running.sign_up(EMAIL))

        assert cookie_of(running.get_session(session)) == session


def test_key_rotation_and_grace_period(database_url: str) -> None:
    """A replaced key stays in the key set for the tokens that it signed."""
    with server(database_url, secret=SECRET, rotation_interval=60, grace_period=3600) as running:
        session = cookie_of(running.sign_up(EMAIL))
        first = running.token(session).json()["token"]
        with psycopg.connect(database_url) as connection:
            connection.execute("""update jwks set "expiresAt" = "expiresAt" - interval '2 min'""")
        second = running.token(session).json()["token"]

        assert kid_of(first) != kid_of(second)
        assert running.claims(first)["sub"] == running.claims(second)["sub"]
        running.restart(grace_period=1)
        assert [key["kid"] for key in running.jwks().json()["keys"]] == [kid_of(second)]


def test_trusted_origins(database_url: str) -> None:
    trusted, other = {"Origin": "https://app.example.com"}, {"Origin": "https://evil.example"}
    with server(database_url, secret=SECRET, trusted_origins=trusted["Origin"]) as running:
        session = cookie_of(running.sign_up(EMAIL))

        assert running.sign_out({**session, **other}).json()["code"] == "INVALID_ORIGIN"
        assert running.sign_out({**session, **trusted}).is_success


def test_required_email_verification(database_url: str) -> None:
    with server(database_url, secret=SECRET, require_email_verification=True) as running:
        assert running.sign_up(EMAIL).json()["token"] is None
        assert running.sign_in(EMAIL).json()["code"] == "EMAIL_NOT_VERIFIED"


def kid_of(token: str) -> str:
    kid = jwt.get_unverified_header(token)["kid"]
    assert isinstance(kid, str)
    return kid
