"""Which names, domains and paths of cookies are ours, and how much of them one response clears."""

import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.better_auth.cookie_options import CookieOption, CookieOptions
from adapters.better_auth.former_cookies import MAX_BYTES, parent_domains
from application.ports.tokens import BrowserCookies
from tests.better_auth.browser import (
    CLOCK,
    EMBEDDED,
    HOST,
    browser,
    cookies,
    session,
    size_of,
    token,
)
from tests.better_auth.cookie_sets import cookies_of
from tests.cookie_jar import CookieJar

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
        # Without a name.
        "__Secure-better-auth.session_data",
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


def test_twins_of_a_name_of_the_settings_are_recognized() -> None:
    """Also of one that does not end as Better Auth's names do."""
    named = {"session_token": CookieOption("sid")}
    ours = cookies(CookieOptions(is_secure=True, cookies=named))
    values = [ours.signatures.sign(token(number)) for number in (1, 2)]
    request = BrowserCookies(f"sid={values[0]}; __Secure-sid={values[1]}", "localhost")
    assert ours.signed_tokens(request) == [token(1), token(2)]
    names = {line.partition("=")[0] for line in ours.expire(request)}
    assert {"sid", "__Secure-sid"} <= names


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
        ("a." * 32_000 + "example.com", []),
    ],
)
def test_domains_of_a_host(host: str, domains: list[str]) -> None:
    assert parent_domains(host) == domains


def test_longest_domain_name_has_parents() -> None:
    longest = "a." * 121 + "example.com"
    assert len(longest) == 253
    assert parent_domains(longest)[-1] == longest
    assert parent_domains(f"a{longest}") == []


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


def test_parts_are_expired_with_the_domain_and_the_path_of_the_settings() -> None:
    """Also if neither `Host` nor the URL is in that domain."""
    options = CookieOptions(domain="example.net", default_attributes={"path": "/api"})
    ours, jar = cookies(options), CookieJar()
    jar.receive(["better-auth.session_data.0=x; Domain=example.net; Path=/api"], "a.example.net")
    request = BrowserCookies(jar.header("a.example.net"), "taskport:8000")
    jar.receive(ours.expire(request), "a.example.net")
    assert jar.names() == []


@pytest.mark.parametrize("is_secure", [False, True])
def test_cookies_with_the_other_prefix_are_expired(is_secure: bool) -> None:
    """Also without a signature that would tell whose they are: the rest of the name is ours."""
    other = cookies(CookieOptions(is_secure=not is_secure)).former.cookies
    shown = [f"{cookie.name}=x" for cookie in other.values()]
    ours = cookies(CookieOptions(is_secure=is_secure))
    lines = ours.expire(BrowserCookies("; ".join(shown), "localhost"))
    assert {f"{line.partition('=')[0]}=x" for line in lines[3:]} == set(shown)


def test_cookie_that_is_replaced_is_not_expired_as_well() -> None:
    ours = cookies(CookieOptions(), "http://localhost:3000")
    request = BrowserCookies(f"{ours.name}=x", "localhost:8000")
    assert ours.replace(session(1), request) == ours.issue(session(1))


def test_twins_of_the_own_name_are_expired_first() -> None:
    """On a host with many labels, not all forms of all names fit into one head."""
    host, jar, ours = "a.b.c.d.e.f.example.com", CookieJar(), cookies(CookieOptions())
    for name in (f"__Secure-{ours.name}", ours.name):
        for domain in ("", *(f"; Domain={domain}" for domain in parent_domains(host))):
            for more in ("", "; SameSite=None; Partitioned"):
                jar.receive([f"{name}=x{domain}; Path=/; Secure{more}"], host)
    assert len(jar.names()) == 32
    jar.receive(ours.replace(session(1), browser(jar, host)), host)
    assert jar.names().count(ours.name) == 1
    assert len(jar.names()) > 1


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
    jar.receive([options.all()["session_data"].set("x", 300)], HOST)
    assert "session_data=" not in jar.header(HOST)
    jar.receive(ours.replace(session(2), BrowserCookies(host=HOST)), HOST)
    assert jar.names() == [ours.name]


def test_former_cookies_are_expired_from_another_site_as_well() -> None:
    """A browser ignores cookies of its responses, unless they are SameSite=None."""
    ours = cookies(CookieOptions(is_secure=True, default_attributes=EMBEDDED))
    lines = ours.expire(BrowserCookies(f"{ours.name}=x", HOST))
    assert len(lines) == 3 + 5
    assert all("; Secure; SameSite=None" in line for line in lines)


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


_PARTS: Final = st.sampled_from(
    ["better-auth", ".session_data", ".session_token", "__Secure-", ".", "=", ";", " ", "\r\n", "a"]
)
_TEXT: Final = st.lists(st.one_of(_PARTS, st.text(max_size=3)), max_size=30).map("".join)


@given(_TEXT, _TEXT)
def test_no_text_of_a_client_breaks_a_header(header: str, host: str) -> None:
    """The names and the host may be any text; each line clears a cookie of ours."""
    request = BrowserCookies(header, host)
    lines = [*OURS.expire(request), *OURS.replace(session(1), request)[:-1]]
    for line in lines:
        name, *attributes = line.split("; ")
        assert line.isascii()
        assert line.isprintable()
        assert re.fullmatch(r"(__Secure-)?better-auth\.(session|account|dont)_[^ =;]+=", name)
        assert attributes[0] == "Max-Age=0"
        assert {a.partition("=")[0] for a in attributes} <= {
            *("Max-Age", "Domain", "Path", "HttpOnly", "Secure", "SameSite", "Partitioned")
        }


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
