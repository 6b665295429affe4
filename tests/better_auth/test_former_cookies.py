"""After a change of settings, log-in leaves one session cookie in a browser, and log-out none."""

from collections.abc import Sequence
from itertools import count, product
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.better_auth.cookie_options import COOKIE_KEYS, CookieOption, CookieOptions
from adapters.better_auth.cookies import BetterAuthCookies
from adapters.better_auth.former_cookies import MAX_BYTES
from application.ports.tokens import BrowserCookies
from tests.better_auth.browser import EMBEDDED, HOST, browser, cookies, session, size_of, token
from tests.cookie_jar import CookieJar

#: What the settings may have been, on https.
SETTINGS: Final = [
    CookieOptions(prefix, is_secure, domain, attributes, cookies)
    for prefix, is_secure, domain, attributes, cookies in product(
        ("better-auth", "shop"),
        (False, True),
        (None, "example.com", HOST),
        ({}, EMBEDDED),
        ({}, {key: CookieOption(f"own.{key}") for key in COOKIE_KEYS}),
    )
]


def sign_in_of_better_auth(jar: CookieJar, options: CookieOptions, number: int) -> None:
    """Set the cookies that Better Auth sets with a large cookie cache."""
    its, ours = options.all(), cookies(options)
    data, account = (its[key].set(f"of{number}", 300) for key in ("session_data", "account_data"))
    parts = (data.replace("=", f".{part}=", 1) for part in range(2))
    jar.receive([*ours.issue(session(number)), *parts, account], HOST)


def response_to(jar: CookieJar, ours: BetterAuthCookies, *, is_sign_in: bool) -> Sequence[str]:
    """The cookies of a log-in, or of a log-out."""
    return ours.replace(session(50), browser(jar)) if is_sign_in else ours.expire(browser(jar))


def assert_nobody_is_named(jar: CookieJar, ours: BetterAuthCookies, *, is_sign_in: bool) -> None:
    """Neither side reads a session cookie of another user, or a cache of one."""
    assert jar.names().count(ours.name) == is_sign_in
    assert ours.read(jar.header(HOST)).token == (token(50) if is_sign_in else None)
    cache = ours.former.cookies["session_data"].name
    assert not any(name.startswith(cache) for name in jar.names())


@pytest.mark.parametrize("now", SETTINGS, ids=map(str, count()))
def test_each_cookie_of_other_settings_is_expired(now: CookieOptions) -> None:
    """The settings with which a browser got its cookies make no difference."""
    ours = cookies(now)
    for before, is_sign_in in product(SETTINGS, (True, False)):
        jar = CookieJar()
        sign_in_of_better_auth(jar, before, 1)
        jar.receive(response_to(jar, ours, is_sign_in=is_sign_in), HOST)
        assert_nobody_is_named(jar, ours, is_sign_in=is_sign_in)
        # If more settings were changed than fit into one head, the rest goes with the next.
        jar.receive(response_to(jar, ours, is_sign_in=is_sign_in), HOST)
        assert jar.names() == [ours.name] * is_sign_in


@settings(max_examples=150)
@given(st.lists(st.sampled_from(SETTINGS), min_size=2, max_size=6), st.sampled_from(SETTINGS))
def test_no_series_of_settings_is_a_dead_end(
    befores: list[CookieOptions], now: CookieOptions
) -> None:
    ours, jar = cookies(now), CookieJar()
    for number, before in enumerate(befores):
        sign_in_of_better_auth(jar, before, number)
    sent = [pair.partition("=") for pair in jar.header(HOST).split("; ")]
    tokens = {value[: len(token(0))] for name, _, value in sent if name.endswith(".session_token")}
    assert set(ours.signed_tokens(browser(jar))) == tokens
    for _ in range(10):
        lines = response_to(jar, ours, is_sign_in=True)
        assert size_of(lines[:-1]) <= MAX_BYTES
        jar.receive(lines, HOST)
        assert jar.names().count(ours.name) == 1
        assert ours.read(jar.header(HOST)).token == token(50)
    assert jar.names() == [ours.name]


@pytest.mark.parametrize("now", SETTINGS, ids=map(str, count()))
def test_twins_of_the_session_cookie_are_expired_at_once(now: CookieOptions) -> None:
    """With both prefixes, each domain, partitioned or not, and beside everything else."""
    ours, jar = cookies(now), CookieJar()
    bare = ours.name.removeprefix("__Secure-")
    for number, (name, domain, more) in enumerate(
        product(
            (bare, f"__Secure-{bare}"),
            ("", "; Domain=example.com", f"; Domain={HOST}"),
            ("", "; SameSite=None; Partitioned"),
        )
    ):
        value = ours.signatures.sign(token(number))
        jar.receive([f"{name}={value}{domain}; Path=/; Secure{more}"], HOST)
    assert len(jar.names()) == len(ours.signed_tokens(browser(jar))) == 12
    jar.receive(ours.replace(session(20), browser(jar)), HOST)
    assert jar.names() == [ours.name]


def test_cookies_of_https_are_left_alone_on_http() -> None:
    """A page on plain http neither sees them nor may overwrite them."""
    jar, ours = CookieJar(), cookies(CookieOptions(), "http://localhost:3000")
    jar.receive(["better-auth.session_token=x; Path=/"], "localhost", is_https=False)
    header = jar.header("localhost", is_https=False)
    lines = ours.expire(BrowserCookies(header, "localhost:8000"))
    assert not any("Secure" in line or "Partitioned" in line for line in lines)
    jar.receive(lines, "localhost", is_https=False)
    assert jar.names() == []
