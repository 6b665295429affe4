"""The cookies of a browser (RFC 6265bis), for the rules that tests depend on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: As far as tests have hosts below them.
_PUBLIC_SUFFIXES: Final = frozenset({"com", "uk", "co.uk", "net"})

_Identity = tuple[str, str, bool, str, bool]


@dataclass(frozen=True)
class _Stored:
    """A stored cookie."""

    name: str
    value: str
    domain: str
    is_host_only: bool
    path: str
    is_secure: bool
    is_partitioned: bool
    same_site: str

    @property
    def identity(self) -> _Identity:
        return self.name, self.domain, self.is_host_only, self.path, self.is_partitioned


class CookieJar:
    """The cookies of a browser that shows pages of one site."""

    def __init__(self) -> None:
        # In the order of creation, which a replacement keeps.
        self._cookies: dict[_Identity, _Stored] = {}

    def receive(
        self, lines: Iterable[str], host: str, *, path: str = "/api/auth/x", is_https: bool = True
    ) -> None:
        """Process the `Set-Cookie` headers of a response."""
        for line in lines:
            self._receive(line, host, path, is_https=is_https)

    def header(self, host: str, path: str = "/api/auth/x", *, is_https: bool = True) -> str:
        """The `Cookie` header of a request; longer paths first, then older cookies."""
        sent = [
            cookie
            for cookie in self._cookies.values()
            if (host == cookie.domain if cookie.is_host_only else _matches(host, cookie.domain))
            and _is_below(path, cookie.path)
            and (is_https or not cookie.is_secure)
        ]
        sent.sort(key=lambda cookie: -len(cookie.path))
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in sent)

    def names(self) -> list[str]:
        """The names of all cookies; of one that is stored twice, twice."""
        return [cookie.name for cookie in self._cookies.values()]

    def toss(self, name: str, value: str, domain: str) -> None:
        """Store a cookie as a page of another host below the domain can set it."""
        cookie = _Stored(name, value, domain, False, "/", False, False, "lax")
        self._cookies[cookie.identity] = cookie

    def _receive(self, line: str, host: str, path: str, *, is_https: bool) -> None:
        pair, *parts = line.split(";")
        name, _, value = (text.strip() for text in pair.partition("="))
        attributes = {
            key.strip().lower(): value.strip()
            for key, _, value in (part.partition("=") for part in parts)
        }
        domain = attributes.get("domain", "").lower().removeprefix(".")
        if domain in _PUBLIC_SUFFIXES and domain != host:
            return
        if domain and not _matches(host, domain):
            return
        is_host_only = not domain or domain in _PUBLIC_SUFFIXES or _is_address(host)
        cookie = _Stored(
            name,
            value,
            host if is_host_only else domain,
            is_host_only,
            attributes.get("path") or path.rpartition("/")[0] or "/",
            "secure" in attributes,
            "partitioned" in attributes,
            attributes.get("samesite", "lax").lower(),
        )
        if not _is_acceptable(cookie, is_https=is_https) or self._is_protected(cookie, is_https):
            return
        if int(attributes.get("max-age", 1)) <= 0:
            self._cookies.pop(cookie.identity, None)
        else:
            self._cookies[cookie.identity] = cookie

    def _is_protected(self, new: _Stored, is_https: bool) -> bool:
        """Whether a page on plain http may not overlay a secure cookie with this one."""
        return not is_https and any(
            old.name == new.name
            and old.is_secure
            and (_matches(old.domain, new.domain) or _matches(new.domain, old.domain))
            and _is_below(new.path, old.path)
            for old in self._cookies.values()
        )


def _is_acceptable(cookie: _Stored, *, is_https: bool) -> bool:
    name = cookie.name.lower()
    needs_secure = (
        cookie.same_site == "none"
        or cookie.is_partitioned
        or name.startswith(("__secure-", "__host-"))
    )
    if needs_secure and not cookie.is_secure:
        return False
    if name.startswith("__host-") and not (cookie.is_host_only and cookie.path == "/"):
        return False
    return is_https or not cookie.is_secure


def _is_address(host: str) -> bool:
    return host.startswith("[") or host.replace(".", "").isdigit()


def _matches(host: str, domain: str) -> bool:
    return host == domain or (host.endswith(f".{domain}") and not _is_address(host))


def _is_below(path: str, cookie_path: str) -> bool:
    return path == cookie_path or path.startswith(cookie_path.removesuffix("/") + "/")
