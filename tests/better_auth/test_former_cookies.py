"""After a change of settings, log-in leaves one session cookie in a browser, and log-out none."""

from collections.abc import Sequence
from itertools import count, product
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.better_auth.cookie_options import COOKIE_KEYS, CookieOption, CookieOptions
from adapters.better_auth.cookies import BetterAuthCookies
from adapters.better_auth.former_cookies import MAX_BYTES, parent_domains
from application.ports.tokens import BrowserCookies
from domain.sessions import Session
from tests.better_auth.cookie_sets import cookies_of
from tests.conftest import FixedClock
from tests.cookie_jar import CookieJar

SECRET: Final = "a-secret-of-the-tests-0123456789abcdef"
HOST: Final = "api.example.com"
URL: Final = "https://app.example.com"
CLOCK: Final = FixedClock()
EMBEDDED: Final = {"sameSite": "None", "secure": True, "partitioned": True}
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


def token(number: int) -> str:
    return f"Token{number:02}".ljust(32, "0")


def session(number: int) -> Session:
    return Session.create(
        id=f"s{number}",
        user_id="ann",
        token=token(number),
        ip_address=None,
        user_agent=None,
        now=CLOCK.now(),
    )


def cookies(options: CookieOptions, url: str = URL) -> BetterAuthCookies:
    return cookies_of(options, SECRET, CLOCK, url)


def sign_in_of_better_auth(jar: CookieJar, options: CookieOptions, number: int) -> None:
    """Set the cookies that Better Auth sets with a large cookie cache."""
    its, ours = options.all(), cookies(options)
    data, account = (its[key].set(f"of{number}", 300) for key in ("session_data", "account_data"))
    parts = (data.replace("=", f".{part}=", 1) for part in range(2))
    jar.receive([*ours.issue(session(number)), *parts, account], HOST)


def browser(jar: CookieJar, host: str = HOST) -> BrowserCookies:
    return BrowserCookies(jar.header(host.partition(":")[0]), host)


def response_to(jar: CookieJar, ours: BetterAuthCookies, *, is_sign_in: bool) -> Sequence[str]:
    """The cookies of a log-in, or of a log-out."""
    return ours.replace(session(50), browser(jar)) if is_sign_in else ours.expire(browser(jar))


def assert_nobody_is_named(jar: CookieJar, ours: BetterAuthCookies, *, is_sign_in: bool) -> None:
    """Nobody but the new user: neither side reads another session cookie or a cache of one."""
    assert jar.names().count(ours.name) == is_sign_in
    assert ours.read(jar.header(HOST)).token == (token(50) if is_sign_in else None)
    cache = ours.former.cookies["session_data"].name
    assert not any(name.startswith(cache) for name in jar.names())


def size_of(lines: Sequence[str]) -> int:
    return sum(len(f"set-cookie: {line}\r\n") for line in lines)


@pytest.mark.parametrize("now", SETTINGS, ids=map(str, count()))
def test_each_cookie_of_other_settings_is_expired(now: CookieOptions) -> None:
    """Whatever the settings were when a browser got its cookies."""
    ours = cookies(now)
    for before, is_sign_in in product(SETTINGS, (True, False)):
        jar = CookieJar()
        sign_in_of_better_auth(jar, before, 1)
        jar.receive(response_to(jar, ours, is_sign_in=is_sign_in), HOST)
        assert_nobody_is_named(jar, ours, is_sign_in=is_sign_in)
        # If more settings were changed than fit into one head, the rest goes with the next.
        jar.receive(response_to(jar, ours, is_sign_in=is_sign_in), HOST)
        assert jar.names() == [ours.name] * is_sign_in


@settings(deadline=None, max_examples=150)
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


OURS: Final = cookies(CookieOptions(is_secure=True))
OTHER_APP: Final = cookies_of(CookieOptions("other"), "another-secret-of-32-characters!", CLOCK)


def test_cookies_of_another_application_are_not_touched() -> None:
    """Its prefix and its secret are others."""
    value = OTHER_APP.signatures.sign(token(1))
    shown = [
        f"other.session_token={value}",
        f"__Secure-other.session_token={value}",
        "other.session_data=x",
        "other.session_data.0=x",
        "other.dont_remember=x",
        "other.account_data=x",
        f"session_token={OURS.signatures.sign(token(2))}",
        f"other-session_token={OURS.signatures.sign(token(2))}",
        f"other.session_token_multi-x={OURS.signatures.sign(token(2))}",
        f"other.session_tokens={OURS.signatures.sign(token(2))}",
        "other.=x",
        "theme=dark",
        "better-auth.two_factor=x",
        "better-auth.session_datas=x",
        "better-auth.dont_remember.0=x",
        "xbetter-auth.session_data=x",
    ]
    request = BrowserCookies("; ".join(shown), HOST)
    assert OURS.signed_tokens(request) == []
    assert OURS.expire(request) == OURS.expire(BrowserCookies())
    assert OURS.replace(session(3), request) == OURS.issue(session(3))


def test_former_prefix_is_recognized_by_its_signature() -> None:
    """Then the cookies beside it are ours as well."""
    value = OURS.signatures.sign(token(1))
    request = BrowserCookies(
        f"old.session_data=x; a=b; old.session_token={value}; old.session_data.3=y", HOST
    )
    assert OURS.signed_tokens(request) == [token(1)]
    names = {line.partition("=")[0] for line in OURS.expire(request)[3:]}
    assert names == {"old.session_token", "old.session_data", "old.session_data.3"}


def test_badly_signed_twin_is_expired_but_ends_no_session() -> None:
    """It would be 401 for ever, whoever set it."""
    ours = cookies(CookieOptions())
    good, bad = ours.signatures.sign(token(1)), OTHER_APP.signatures.sign(token(2))
    jar = CookieJar()
    jar.receive([f"{ours.name}={good}; Path=/"], HOST)
    jar.toss(ours.name, bad, "example.com")
    assert ours.signed_tokens(browser(jar)) == [token(1)]
    jar.receive(ours.expire(browser(jar)), HOST)
    assert jar.names() == []


@pytest.mark.parametrize("value", ["", "true", "x\0y", "a b", "t" * 256, "ä"])
def test_signed_value_that_is_no_token_is_none(value: str) -> None:
    signed = OURS.signatures.sign(value)
    tokens = OURS.signed_tokens(BrowserCookies(f"old.session_token={signed}", HOST))
    assert tokens == (["true"] if value == "true" else [])


@pytest.mark.parametrize(
    "name",
    [
        "better-auth.session_data.\r\nX-Injected: 1",
        "better-auth.session_data.0\r",
        "better-auth.session_data.a b",
        "better-auth.session_data.,",
        'better-auth.session_data."',
        "better-auth.session_data.ä",
        "better-auth.session_data." + "x" * 300,
        "\xa0better-auth.session_data",
    ],
)
def test_no_other_name_is_sent_back(name: str) -> None:
    request = BrowserCookies(f"{name}=x", HOST)
    assert OURS.expire(request) == OURS.expire(BrowserCookies())


def test_cookies_that_better_auth_1_6_would_join_are_expired() -> None:
    names = [f"__Secure-better-auth.session_data.{part}" for part in ("12", "x.3", "1a")]
    lines = OURS.expire(BrowserCookies("; ".join(f"{name}=x" for name in names), HOST))
    assert {line.partition("=")[0] for line in lines[3:]} == set(names)


@pytest.mark.parametrize(
    ("host", "domains"),
    [
        ("example.com", ["example.com"]),
        ("a.b.example.com:8443", ["example.com", "b.example.com", "a.b.example.com"]),
        ("API.Example.COM.", ["example.com", "api.example.com"]),
        ("xn--bcher-kva.example.com:", ["example.com", "xn--bcher-kva.example.com"]),
        ("a_b.example.com", ["example.com", "a_b.example.com"]),
        ("localhost", []),
        ("localhost:8000", []),
        ("taskport.", []),
        ("127.0.0.1", []),
        ("127.0.0.1:8000", []),
        ("1.2.3.0x4", []),
        ("[::1]:8000", []),
        ("[::ffff:1.2.3.4]", []),
        ("", []),
        (".example.com", []),
        ("a..com", []),
        ("example.com; Path=/x", []),
        ("example.com\r\nX: 1.example.com", []),
        ("exämple.com", []),
        ("a.example.com, b.example.com", []),
        ("x" * 64 + ".example.com", []),
    ],
)
def test_domains_of_a_host(host: str, domains: list[str]) -> None:
    assert parent_domains(host) == domains


def test_public_suffix_is_ignored_by_the_browser() -> None:
    """So it needs no list of them, and the parent of any other host is expired."""
    jar, host = CookieJar(), "api.example.co.uk"
    jar.receive([f"{OURS.name}=x; Path=/; Secure; Domain=example.co.uk"], host)
    jar.receive([f"{OURS.name}=x; Path=/; Secure; Domain=co.uk"], host)
    assert jar.names() == [OURS.name]
    jar.receive(OURS.expire(browser(jar, host)), host)
    assert jar.names() == []


@pytest.mark.parametrize("host", ["taskport:8000", "127.0.0.1:8000", "api.internal.test"])
def test_hosts_of_the_url_count_behind_a_rewrite(host: str) -> None:
    """The browser's host is the one of the Better Auth server's URL then."""
    jar = CookieJar()
    for domain in ("", "; Domain=example.com", "; Domain=app.example.com"):
        jar.receive([f"{OURS.name}=x{domain}; Path=/; Secure"], "app.example.com")
    header = jar.header("app.example.com")
    assert header.count(OURS.name) == 3
    jar.receive(OURS.expire(BrowserCookies(header, host)), "app.example.com")
    assert jar.names() == []


def test_only_the_browsers_host_counts_if_it_is_known() -> None:
    lines = OURS.expire(BrowserCookies(f"{OURS.name}=x", "api.example.com"))
    domains = {part for line in lines for part in line.split("; ") if part.startswith("Domain=")}
    assert domains == {"Domain=example.com", "Domain=api.example.com"}


def test_new_cookie_is_last() -> None:
    """On a host that is a public suffix, a cookie of its domain is the one of this host alone."""
    jar, host = CookieJar(), "co.uk"
    jar.receive(OURS.issue(session(1)), host)
    jar.receive(OURS.replace(session(2), browser(jar, host)), host)
    assert jar.names() == [OURS.name]


def test_cookie_of_another_path_is_a_twin() -> None:
    """A browser sends it first."""
    options = CookieOptions(default_attributes={"path": "/api"})
    for first, second in ((CookieOptions(), options), (options, options)):
        jar, ours = CookieJar(), cookies(second)
        jar.receive(cookies(first).issue(session(1)), HOST)
        jar.receive(ours.replace(session(2), browser(jar)), HOST)
        assert jar.names() == [ours.name]
        assert jar.header(HOST, "/elsewhere") == ""


def test_companion_on_another_path_is_expired_unseen() -> None:
    """A session cache of the former user must not stay, also if this path does not show it."""
    options = CookieOptions(cookies={"session_data": CookieOption(None, {"path": "/elsewhere"})})
    jar, ours = CookieJar(), cookies(options)
    sign_in_of_better_auth(jar, options, 1)
    assert "session_data=" not in jar.header(HOST)
    jar.receive(ours.replace(session(2), BrowserCookies(host=HOST)), HOST)
    assert f"{ours.name[:-14]}.session_data" not in jar.names()


HOST_PREFIX: Final[dict[str, Any]] = {
    "cookies": {"session_token": CookieOption("__Host-sid", {"secure": True})}
}


def test_host_prefix_has_no_domain() -> None:
    ours = cookies(CookieOptions(**HOST_PREFIX))
    jar = CookieJar()
    jar.receive(ours.issue(session(1)), HOST)
    assert jar.names() == ["__Host-sid"]
    lines = ours.expire(browser(jar))
    assert not any("Domain=" in line for line in lines if line.startswith("__Host-"))
    jar.receive(lines, HOST)
    assert jar.names() == []


def test_many_cookies_are_bounded() -> None:
    """In bytes, in sessions, and in time."""
    value = OURS.signatures.sign(token(1))
    header = "; ".join(
        f"p{n}.session_token={value if n % 2 else OURS.signatures.sign(token(n))}"
        for n in range(150)
    )
    dots = "; ".join("better-auth." + "." * 200 for _ in range(60))
    request = BrowserCookies(f"{header}; {dots}; {'a=;' * 3000}", "a." * 100 + "example.com")
    assert len(OURS.signed_tokens(request)) == 16
    assert size_of(OURS.expire(request)) <= MAX_BYTES
    # A host with many labels cannot keep the cookies of the settings from being expired.
    assert OURS.expire(request)[:3] == OURS.expire(BrowserCookies())
