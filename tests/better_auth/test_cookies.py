"""Better Auth's cookies: given as it gives them, and read as it reads them or more strictly."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.better_auth.cookies import BetterAuthCookies, VerifiedCookies
from adapters.better_auth.signatures import Signatures
from domain.errors import Unauthenticated
from domain.sessions import Session
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
    return BetterAuthCookies(Signatures(VECTORS["secret"]), "better-auth", False, None, clock)


@pytest.fixture
def elsewhere(cookies: BetterAuthCookies) -> BetterAuthCookies:
    """On https, with a prefix and a domain."""
    return replace(cookies, prefix=ELSEWHERE["prefix"], is_secure=True, domain=ELSEWHERE["domain"])


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
    """What a browser sends back of a cookie."""
    return set_cookie.partition(";")[0]


def test_a_session_is_given_as_better_auth_gives_it(cookies: BetterAuthCookies) -> None:
    assert cookies.name == NAME
    assert cookies.issue(a_session(cookies, TOKEN)) == [SESSION["set_cookie"]]


def test_a_temporary_session_is_given_as_better_auth_gives_it(cookies: BetterAuthCookies) -> None:
    """For as long as the browser runs, with a mark beside it that says so."""
    given = cookies.issue(a_session(cookies, TEMPORARY["token"]), is_temporary=True)
    assert given == TEMPORARY["set_cookie"]


def test_prefix_domain_and_secure_are_better_auths(elsewhere: BetterAuthCookies) -> None:
    assert elsewhere.name == "__Secure-shop.session_token"
    assert elsewhere.issue(a_session(elsewhere, ELSEWHERE["token"])) == ELSEWHERE["set_cookie"]
    temporary = a_session(elsewhere, ELSEWHERE["temporary_token"])
    assert elsewhere.issue(temporary, is_temporary=True) == ELSEWHERE["temporary_set_cookie"]


def test_cookies_are_taken_as_better_auth_takes_them(
    cookies: BetterAuthCookies, elsewhere: BetterAuthCookies
) -> None:
    """By the same name, domain and path, or the browser would keep them."""
    assert cookies.expire() == VECTORS["sign_out"]
    taken = elsewhere.expire()
    assert taken[:3] == ELSEWHERE["sign_out"]
    # And those of this host alone, from before there was a domain.
    domain = f"; Domain={elsewhere.domain}"
    assert taken[3:] == [cookie.replace(domain, "") for cookie in ELSEWHERE["sign_out"]]
    assert domain in taken[0]


@pytest.mark.parametrize(
    ("seconds", "max_age"), [(0, 604_800), (86_400, 518_400), (604_800, 0), (0.4, 604_800)]
)
def test_a_cookie_lasts_as_long_as_its_session(
    cookies: BetterAuthCookies, clock: FixedClock, seconds: float, max_age: int
) -> None:
    session = a_session(cookies, TOKEN)
    clock.advance(seconds)
    [given] = cookies.issue(session)
    assert f"; Max-Age={max_age};" in given


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
    ],
)
def test_a_session_is_read(cookies: BetterAuthCookies, header: str) -> None:
    """Encoded or not, in quotes or not, and with whatever stands beside it."""
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
def test_a_session_that_is_not_proven_is_none(cookies: BetterAuthCookies, header: str) -> None:
    """A raw token among them: who can read the table cannot make a cookie."""
    assert cookies.read(header) == VerifiedCookies()


def test_a_server_on_https_reads_the_secure_name_only(elsewhere: BetterAuthCookies) -> None:
    """Anybody on plain http can toss in the bare one."""
    [given] = ELSEWHERE["set_cookie"]
    secure = pair(given)
    bare = secure.removeprefix("__Secure-")
    assert elsewhere.read(secure) == VerifiedCookies(ELSEWHERE["token"])
    assert elsewhere.read(bare) == VerifiedCookies()
    assert elsewhere.read(f"{bare}; {secure}; {bare}x") == VerifiedCookies(ELSEWHERE["token"])


@pytest.mark.parametrize("space", ["\xa0", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_name_in_foreign_white_space_is_another_name(
    elsewhere: BetterAuthCookies, space: str
) -> None:
    """To a browser it has no prefix, so that plain http may set it: trimmed, it would be ours."""
    [given] = ELSEWHERE["set_cookie"]
    assert elsewhere.read(f"a=b;{space}{pair(given)}") == VerifiedCookies()
    assert elsewhere.read(pair(given).replace("=", f"{space}=", 1)) == VerifiedCookies()
    assert elsewhere.read(f"{pair(given)}{space}") == VerifiedCookies()


@pytest.mark.parametrize("other", [TEMPORARY["set_auth_token"], VALUE[:-3], ""])
def test_two_sessions_are_nobodys(cookies: BetterAuthCookies, other: str) -> None:
    """Which of them counts would be for whoever set the other one to say."""
    for header in (f"{COOKIE}; {NAME}={other}", f"{NAME}={other}; a=b; {COOKIE}"):
        with pytest.raises(Unauthenticated):
            cookies.read(header)


def test_the_mark_of_a_temporary_session_is_read(cookies: BetterAuthCookies) -> None:
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


def test_a_signed_mark_is_no_session(cookies: BetterAuthCookies) -> None:
    """The signature does not bind the name of its cookie: the token is what no table holds."""
    _, mark = (pair(line) for line in TEMPORARY["set_cookie"])
    assert cookies.read(mark.replace(MARK, NAME)) == VerifiedCookies("true")


def test_what_is_given_is_read(cookies: BetterAuthCookies, elsewhere: BetterAuthCookies) -> None:
    for jar in (cookies, elsewhere):
        for is_temporary in (False, True):
            given = jar.issue(a_session(jar, TOKEN), is_temporary=is_temporary)
            header = "; ".join(map(pair, given))
            assert jar.read(header) == VerifiedCookies(TOKEN, is_temporary)


def test_cookies_live_for_a_week_from_when_they_are_given_anew(
    cookies: BetterAuthCookies, clock: FixedClock
) -> None:
    session = a_session(cookies, TOKEN)
    clock.advance(timedelta(days=3).total_seconds())
    assert session.prolong(clock.now())
    assert cookies.issue(session) == [SESSION["set_cookie"]]
