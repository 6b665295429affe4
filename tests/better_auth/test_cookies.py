"""Better Auth's cookies: issued as it issues them, and read as it reads them or more strictly."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.better_auth.cookie_options import CookieOptions
from adapters.better_auth.cookies import BetterAuthCookies, VerifiedCookies
from application.ports.tokens import BrowserCookies
from domain.errors import Unauthenticated
from domain.sessions import Session
from tests.better_auth.cookie_sets import cookies_of
from tests.conftest import FixedClock

VECTORS = json.loads((Path(__file__).parent / "vectors_identity.json").read_text())
NAME, MARK = "better-auth.session_token", "better-auth.dont_remember"
SESSION, TEMPORARY, ELSEWHERE = (
    VECTORS[name] for name in ("session", "temporary_session", "elsewhere")
)
TOKEN, VALUE = SESSION["token"], SESSION["cookie"]
COOKIE = f"{NAME}={VALUE}"


@pytest.fixture
def cookies(clock: FixedClock) -> BetterAuthCookies:
    clock.time = datetime.fromtimestamp(VECTORS["frozen_now_ms"] / 1000, UTC)
    return cookies_of(CookieOptions(), VECTORS["secret"], clock)


@pytest.fixture
def elsewhere(cookies: BetterAuthCookies, clock: FixedClock) -> BetterAuthCookies:
    """Cookies of a server on https, with a prefix and a domain."""
    options = CookieOptions(prefix=ELSEWHERE["prefix"], is_secure=True, domain=ELSEWHERE["domain"])
    return cookies_of(options, VECTORS["secret"], clock)


def a_session(cookies: BetterAuthCookies, token: str) -> Session:
    return Session.create(
        id="s",
        user_id="ann",
        token=token,
        ip_address=None,
        user_agent=None,
        now=cookies.clock.now(),
    )


def pair(set_cookie: str) -> str:
    """The part of a `Set-Cookie` value that a browser sends back."""
    return set_cookie.partition(";")[0]


def test_session_cookie_is_issued_like_better_auths(cookies: BetterAuthCookies) -> None:
    assert cookies.name == NAME
    assert cookies.issue(a_session(cookies, TOKEN)) == [SESSION["set_cookie"]]


def test_temporary_session_is_issued_like_better_auths(cookies: BetterAuthCookies) -> None:
    """Without an expiry, and with a second cookie that marks the session as temporary."""
    issued = cookies.issue(a_session(cookies, TEMPORARY["token"]), is_temporary=True)
    assert issued == TEMPORARY["set_cookie"]


def test_prefix_domain_and_secure_are_like_better_auths(elsewhere: BetterAuthCookies) -> None:
    assert elsewhere.name == "__Secure-shop.session_token"
    assert elsewhere.issue(a_session(elsewhere, ELSEWHERE["token"])) == ELSEWHERE["set_cookie"]
    temporary = a_session(elsewhere, ELSEWHERE["temporary_token"])
    assert elsewhere.issue(temporary, is_temporary=True) == ELSEWHERE["temporary_set_cookie"]


def test_cookies_are_expired_like_better_auths(
    cookies: BetterAuthCookies, elsewhere: BetterAuthCookies
) -> None:
    """With the same name, domain and path, or the browser would keep them."""
    assert cookies.expire(BrowserCookies()) == VECTORS["sign_out"]
    assert elsewhere.expire(BrowserCookies()) == ELSEWHERE["sign_out"]


@pytest.mark.parametrize(
    ("seconds", "max_age"), [(0, 604_800), (86_400, 518_400), (604_800, 0), (0.4, 604_800)]
)
def test_cookie_expires_with_its_session(
    cookies: BetterAuthCookies, clock: FixedClock, seconds: float, max_age: int
) -> None:
    session = a_session(cookies, TOKEN)
    clock.advance(seconds)
    [cookie] = cookies.issue(session)
    assert f"; Max-Age={max_age};" in cookie


@pytest.mark.parametrize(
    "header",
    [
        COOKIE,
        f" {COOKIE} ",
        f"a=b; {COOKIE};c=d",
        f"a=b;\t{COOKIE}\t;",
        f'{NAME}="{VALUE}"',
        f"{NAME} = {VALUE}",
        f"{NAME}={SESSION['set_auth_token']}",
        f"{COOKIE}; {COOKIE}",
        f'{COOKIE}; {NAME}="{VALUE}"',
        f"{COOKIE}; __Secure-{NAME}={TEMPORARY['set_auth_token']}",
        f"{COOKIE}; other.session_token={TEMPORARY['set_auth_token']}",
        f"{COOKIE}; {NAME}.0=x; {NAME.upper()}=x; {NAME}2=x; x{NAME}=x",
        f"; ;=;=x; {COOKIE}; x",
        # A cookie without a name is sent as its value.
        f"{NAME}; {COOKIE}",
    ],
)
def test_session_cookie_is_read(cookies: BetterAuthCookies, header: str) -> None:
    """Percent-encoded or not, in quotes or not, and among other cookies."""
    assert cookies.read(header) == VerifiedCookies(TOKEN)


@pytest.mark.parametrize(
    "header",
    [
        "",
        ";",
        NAME,
        f"{NAME}=",
        f"{NAME}={TOKEN}",
        f"{NAME}={TOKEN}.{'A' * 43}=",
        f"{NAME}={VALUE[:-3]}",
        f"{NAME}={VALUE.replace('%2F', '_')}",
        f"{NAME}={VALUE.replace('%', '%25')}",
        f"{NAME}={VALUE.replace('.', ' . ')}",
        f"{NAME}='{VALUE}'",
        f"__Secure-{COOKIE}",
        f"__Host-{COOKIE}",
        f"{NAME.upper()}={VALUE}",
        f"better-auth.session_data={VALUE}",
        f"session_token={VALUE}",
        f"x={COOKIE}",
        f'"{COOKIE}"',
        f"x={COOKIE.replace('=', '%3D')}",
    ],
)
def test_invalid_session_cookie_is_ignored(cookies: BetterAuthCookies, header: str) -> None:
    """Also an unsigned token: read access to the table is not enough to forge a cookie."""
    assert cookies.read(header) == VerifiedCookies()


def test_only_the_secure_name_is_read_on_https(elsewhere: BetterAuthCookies) -> None:
    """A page on plain http can set the bare name."""
    [set_cookie] = ELSEWHERE["set_cookie"]
    secure = pair(set_cookie)
    bare = secure.removeprefix("__Secure-")
    assert elsewhere.read(secure) == VerifiedCookies(ELSEWHERE["token"])
    assert elsewhere.read(bare) == VerifiedCookies()
    assert elsewhere.read(f"{bare}; {secure}; {bare}x") == VerifiedCookies(ELSEWHERE["token"])


@pytest.mark.parametrize("space", ["\xa0", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_space_and_tab_are_trimmed(elsewhere: BetterAuthCookies, space: str) -> None:
    """To a browser such a name has no `__Secure-` prefix, so that plain http may set it."""
    [set_cookie] = ELSEWHERE["set_cookie"]
    assert elsewhere.read(f"a=b;{space}{pair(set_cookie)}") == VerifiedCookies()
    assert elsewhere.read(pair(set_cookie).replace("=", f"{space}=", 1)) == VerifiedCookies()
    assert elsewhere.read(f"{pair(set_cookie)}{space}") == VerifiedCookies()


@pytest.mark.parametrize("other", [TEMPORARY["set_auth_token"], VALUE[:-3], ""])
def test_two_session_cookies_are_rejected(cookies: BetterAuthCookies, other: str) -> None:
    """Otherwise an attacker who set one of them could choose the order, and so the session."""
    for header in (f"{COOKIE}; {NAME}={other}", f"{NAME}={other}; a=b; {COOKIE}"):
        with pytest.raises(Unauthenticated):
            cookies.read(header)


def test_mark_of_a_temporary_session_is_read(cookies: BetterAuthCookies) -> None:
    session, mark = (pair(line) for line in TEMPORARY["set_cookie"])
    token = TEMPORARY["token"]
    assert cookies.read(f"{session}; {mark}") == VerifiedCookies(token, is_temporary=True)
    assert cookies.read(f"{mark}; x=y; {session}; {mark}x").is_temporary
    for header in (
        session,
        f"{session}; {MARK}=true",
        f"{session}; {MARK}=true.{'A' * 43}=",
        f"{session}; {MARK}={VALUE}",
        f"{session}; {MARK}={cookies.signatures.sign('false')}",
        f"{session}; __Secure-{mark}",
    ):
        assert cookies.read(header) == VerifiedCookies(token)


def test_signed_mark_is_read_as_a_token_that_no_session_has(cookies: BetterAuthCookies) -> None:
    """The signature does not cover the name of the cookie."""
    _, mark = (pair(line) for line in TEMPORARY["set_cookie"])
    assert cookies.read(mark.replace(MARK, NAME)) == VerifiedCookies("true")


def test_issued_cookies_are_read(cookies: BetterAuthCookies, elsewhere: BetterAuthCookies) -> None:
    for issuer in (cookies, elsewhere):
        for is_temporary in (False, True):
            issued = issuer.issue(a_session(issuer, TOKEN), is_temporary=is_temporary)
            header = "; ".join(map(pair, issued))
            assert issuer.read(header) == VerifiedCookies(TOKEN, is_temporary)


def test_prolonged_session_gets_a_cookie_for_a_week(
    cookies: BetterAuthCookies, clock: FixedClock
) -> None:
    session = a_session(cookies, TOKEN)
    clock.advance(timedelta(days=3).total_seconds())
    assert session.prolong(clock.now())
    assert cookies.issue(session) == [SESSION["set_cookie"]]
