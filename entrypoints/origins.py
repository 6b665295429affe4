"""Origins in settings, in the form in which browsers send them (RFC 6454, the URL standard)."""

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

import idna

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_EXAMPLE: Final = "must be a URL such as https://app.example.com"
_HOST: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_NUMBER: Final = re.compile(r"\d+|0x[\da-f]*")
#: The origin of a page in an application, which is no website: its scheme, and mostly a host.
_OF_APP: Final = re.compile(r"([a-z][a-z0-9+.-]*://([A-Za-z0-9._-]+(:\d{1,5})?)?)/?")
#: Schemes whose pages have no origin of their own, or that are no pages.
_WITHOUT_ORIGIN: Final = frozenset(
    {"about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"}
)


def ascii_host(host: str) -> str:
    """A host name in lower case, and in Punycode if it is not ASCII, as browsers send it.

    Raises `ValueError`.
    """
    try:
        labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
    except idna.IDNAError as error:
        raise ValueError("must be a host name") from error
    # Not `idna.encode`: browsers also accept names that registries do not allow, such as emoji.
    host = ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels
    )
    if not _HOST.fullmatch(host):
        raise ValueError("must be a host name")
    return host


def web_origin(url: str) -> str:
    """The origin of an http(s) URL as a browser sends it: no path, no default port, ASCII.

    Raises `ValueError`.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
            raise ValueError
        host = _host(parts.hostname)
    except ValueError:
        raise ValueError(_EXAMPLE) from None
    is_default = port in (None, _DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" + ("" if is_default else f":{port}")


def origin(text: str) -> str:
    """The origin of a URL, or that of an application, such as `capacitor://localhost`.

    Raises `ValueError`.
    """
    text = text.strip()
    # Better Auth has wildcards in origins; `?` would otherwise begin the query of a URL.
    scheme, separator, rest = text.partition("://")
    if "*" in text or "?" in rest.partition("/")[0]:
        raise ValueError("must name each origin: credentials are allowed, so `*` is rejected")
    scheme = scheme.lower()
    if not separator or scheme in _DEFAULT_PORTS or scheme in _WITHOUT_ORIGIN:
        return web_origin(text)
    found = _OF_APP.fullmatch(f"{scheme}://{rest}")
    if found is None:
        raise ValueError("must be, for an application, an origin such as myapp://localhost")
    # The host as it was written: whether it is lowered differs between browsers.
    return found[1]


def _host(host: str) -> str:
    if ":" in host:
        address = ipaddress.IPv6Address(host)
        # Python writes the former in another form than browsers, and these reject the latter.
        if address.ipv4_mapped is not None or address.scope_id is not None:
            raise ValueError(host)
        return f"[{address.compressed}]"
    host = ascii_host(host)
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        # A browser would read 127.1 as an address.
        return str(ipaddress.IPv4Address(host))
    return host


def without_query(url: str) -> str:
    """A URL that may be printed: a query may have a key of an API gateway."""
    return url.partition("?")[0]
