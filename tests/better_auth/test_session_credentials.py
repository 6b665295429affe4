"""Which credentials are passed on to Better Auth, as one header line."""

from typing import Final

import pytest

from adapters.better_auth.cookie_options import CookieOptions
from adapters.better_auth.session_credentials import ForwardedSessionCredentials
from application.ports.credentials import CredentialKind
from domain.errors import Unauthenticated
from domain.refusals import Reason

TOKEN: Final = "better-auth.session_token"
DATA: Final = "better-auth.session_data"


def credentials(
    prefix: str = "better-auth", *, is_secure: bool = False
) -> ForwardedSessionCredentials:
    return ForwardedSessionCredentials(CookieOptions(prefix=prefix, is_secure=is_secure).all())


def line_of(header: str) -> str | None:
    return credentials().line_of(header)


def test_only_cookies_of_the_session_are_passed_on() -> None:
    own = (
        f"{TOKEN}=abc.def%3D; better-auth.dont_remember=true.sig; {DATA}=x..y; {DATA}.0=a;"
        f" {DATA}.12=b"
    )
    others = "theme=dark; other.session_token=x; better-auth.state=s; better-auth.account_data=a"
    others += f"; {DATA}.=x; {DATA}.x=1; {DATA}.0.1=2; {DATA}x=3; {DATA}.-1=4; x{TOKEN}=5"
    others += f"; {TOKEN.upper()}=6; __Secure-{TOKEN}=7"
    assert line_of(f"{others}; {own}; {others}") == f"Cookie: {own}"
    assert line_of(others) is None


def test_names_are_those_of_the_settings() -> None:
    secure = credentials("mine", is_secure=True)
    name = "__Secure-mine.session_token"
    assert secure.line_of(f"{TOKEN}=a; mine.session_token=b; {name}=c") == f"Cookie: {name}=c"
    assert secure.line_of(f"{TOKEN}=a; mine.session_token=b") is None


@pytest.mark.parametrize("header", ["", ";", TOKEN, f"{TOKEN}=", f"{DATA}=x", "a=b"])
def test_no_session_cookie(header: str) -> None:
    assert line_of(header) is None
    assert credentials().of_cookie(header) is None
    assert credentials().error_of_cookie(header).refusal.reason is not None


def test_two_session_cookies_contradict_each_other() -> None:
    with pytest.raises(Unauthenticated) as caught:
        credentials().of_cookie(f"{TOKEN}=a; {TOKEN}=b")
    assert caught.value.refusal.reason is Reason.TWO_COOKIES
    proof = credentials().of_cookie(f"{TOKEN}=a; {TOKEN}=a")
    assert proof is not None
    assert proof.kind is CredentialKind.COOKIE


@pytest.mark.parametrize(
    "character", ["\r", "\n", "\0", "\x7f", "é", "\ud800", " ", ",", "\\", '"']
)
def test_value_that_is_no_cookie_is_not_passed_on(character: str) -> None:
    """It could begin another header, or another cookie."""
    assert line_of(f"{TOKEN}=a{character}X") is None
    assert line_of(f"{TOKEN}=a; {DATA}=b{character}X: y") == f"Cookie: {TOKEN}=a"


@pytest.mark.parametrize("token", ["abc", "abc.def%3D", "a" * 512])
def test_bearer_is_passed_on(token: str) -> None:
    proof = credentials().of_bearer(token)
    assert (proof.kind, proof.token) == (
        CredentialKind.SESSION_TOKEN,
        f"Authorization: Bearer {token}",
    )


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "a\n", "a,b", "a;b", "é", "a" * 513])
def test_bearer_that_is_no_token_is_malformed(token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        credentials().of_bearer(token)
    assert caught.value.refusal.reason is Reason.TOKEN_MALFORMED
