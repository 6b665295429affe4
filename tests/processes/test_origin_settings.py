"""Origins and hosts in settings: in the form in which browsers send them."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.origins import origin, web_origin
from entrypoints.settings import Settings

#: Apps, and the origin that their pages send.
APPS = {
    "capacitor://localhost": "capacitor://localhost",
    "Tauri://localhost/": "tauri://localhost",
    "exp://192.168.0.1:8081": "exp://192.168.0.1:8081",
    "myapp://": "myapp://",
    "myapp:///": "myapp://",
    "app://.": "app://.",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop": (
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop"
    ),
    "moz-extension://0e6a1f8c-0f3b-4f6e-9d0c-3a1b2c3d4e5f": (
        "moz-extension://0e6a1f8c-0f3b-4f6e-9d0c-3a1b2c3d4e5f"
    ),
}
LETTERS = string.ascii_letters + string.digits
LABELS = st.one_of(
    st.text(LETTERS + "-_", min_size=1, max_size=12),
    st.text("äöüßéÑжЖ日本語ابج☕" + LETTERS, min_size=1, max_size=12),
)
HOSTS = st.lists(LABELS, min_size=2, max_size=4).map(
    # The last label is never a number, which would make the host an address.
    lambda labels: ".".join([*labels[:-1], f"{labels[-1]}z"])
)
PORTS = st.one_of(st.just(""), st.integers(1, 65_535).map(lambda port: f":{port}"))
PATHS = st.sampled_from(["", "/", "/api/auth", "/a?b=c#d"])


@pytest.mark.parametrize(("text", "expected"), APPS.items())
def test_apps_have_origins(text: str, expected: str) -> None:
    assert Settings(cors_origins=f" {text} ,http://a.example").cors_origins == (
        expected,
        "http://a.example",
    )
    with pytest.raises(ValueError, match="must be a URL such as https://"):
        web_origin(text)


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "file://",
        "file:///index.html",
        "data:text/html,x",
        "javascript:alert(1)",
        "javascript://x",
        "about:blank",
        "blob:https://app.example.com",
        "ws://app.example.com",
        "myapp://host/path",
        "myapp://user@host",
        "myapp://hößt",
        "my app://host",
        "1app://host",
        "myapp",
        "://host",
        "https://a b.example",
        "https://a%62.example",
        "https://@app.example.com",
        "https://127.1",
        "https://0x7f.0.0.1",
        "https://1.2.3.400",
        "https://[::1%25eth0]",
        "https://a..b",
        "https://\u202e.example",
    ],
)
def test_what_is_no_origin_is_rejected(text: str) -> None:
    """`null` is the origin of every sandboxed frame and of every local file."""
    with pytest.raises(ValueError, match="must be"):
        origin(text)


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "*.example.com",
        "https://*.example.com",
        "https://app?.example.com",
        "https://app-*.vercel.app",
        "http://192.168.*.*",
        "exp://192.168.*.*:*/**",
        "myapp://*",
    ],
)
def test_wildcards_of_better_auth_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="must name each origin"):
        origin(text)


@given(st.sampled_from(["http", "https", "HTTPS"]), HOSTS, PORTS, PATHS)
def test_normalized_origin(scheme: str, host: str, port: str, path: str) -> None:
    """It is ASCII in lower case, the same for any spelling, and normalized only once."""
    found = origin(f"{scheme}://{host}{port}{path}")
    assert found.isascii()
    assert found == found.lower()
    assert origin(found) == found == web_origin(found)
    assert origin(f" {scheme.upper()}://{host.lower()}{port} ") == found
    assert not found.endswith({"http": ":80", "https": ":443"}[scheme.lower()])
    assert found.partition("://")[0] == scheme.lower()


@given(st.from_regex(r"\A[a-z][a-z0-9+.-]{0,9}://[A-Za-z0-9._-]{0,20}(:[0-9]{1,5})?/?\Z"))
def test_normalized_origin_is_unchanged(text: str) -> None:
    try:
        found = origin(text)
    except ValueError:
        return
    assert origin(found) == found


def test_hosts_are_converted_to_punycode() -> None:
    """As the header `Host` has them."""
    settings = Settings(allowed_hosts="API.münchen.example,*.Bücher.example,[::1],*.example.com")
    assert settings.allowed_hosts == (
        "api.xn--mnchen-3ya.example",
        "*.xn--bcher-kva.example",
        "[::1]",
        "*.example.com",
    )
    with pytest.raises(ValueError, match="must be names such as"):
        Settings(allowed_hosts="a.\u202e.example")
