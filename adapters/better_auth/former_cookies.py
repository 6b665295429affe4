"""Cookies of a session that a browser may have from before: which, and how to expire them all.

A browser replaces or drops only the cookie with the same name, domain and path. After a change of
`COOKIE_DOMAIN`, of the prefix or from http to https it keeps the former cookie, and sends both. The
`Cookie` header shows names alone, so each name is expired in every form that the cookie can have.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, product
from typing import Final

from adapters.better_auth.cookie_header import pairs
from adapters.better_auth.cookie_options import (
    ACCOUNT_DATA,
    COOKIE_KEYS,
    DONT_REMEMBER,
    SECURE_PREFIX,
    SESSION_DATA,
    SESSION_TOKEN,
    Cookie,
    CookieAttributes,
    is_of_one_host,
    requires_secure,
)
from adapters.better_auth.signatures import Signatures
from adapters.better_auth.tokens import RAW_TOKEN
from application.ports.tokens import BrowserCookies

#: Bytes of the header lines that expire former cookies. A proxy may have a buffer of 4 KiB for the
#: whole head of a response (nginx: `proxy_buffer_size`), of which all else takes about 1 KiB.
MAX_BYTES: Final = 2_560
_LINE_OVERHEAD: Final = len("set-cookie: \r\n")
#: The most sessions that one request ends; a browser cannot have as many forms of one cookie.
_MAX_SESSIONS: Final = 16
#: Cookies that are split into numbered ones if they are large.
_SPLIT: Final = (SESSION_DATA, ACCOUNT_DATA)
#: What Better Auth's sign-out expires, in its order.
_OF_SIGN_OUT: Final = (SESSION_TOKEN, SESSION_DATA, DONT_REMEMBER)
_COOKIE_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
#: Of a domain name (RFC 1035). The cost is quadratic: a `Host` of 64 KiB would take seconds.
_MAX_DOMAIN_LENGTH: Final = 253
_DOMAIN_NAME: Final = re.compile(r"((?:[a-z0-9_-]{1,63}\.)+[a-z_-][a-z0-9_-]{0,62})\.?(?::[0-9]*)?")

#: Whether its name is from before, its place among those, and its key.
_Rank = tuple[bool, int, str]


@dataclass(frozen=True, slots=True)
class FormerCookies:
    """Finds the cookies of sessions in a request, and expires them in every form."""

    signatures: Signatures
    #: The cookies of the settings, by key.
    cookies: Mapping[str, Cookie]
    #: The host of the Better Auth server's URL.
    better_auth_host: str
    #: Whether that URL is https.
    is_https: bool

    def tokens(self, header: str) -> list[str]:
        """The different session tokens in a `Cookie` header, if they are signed with our secret.

        Also those under a former name. They prove no identity, because a page on plain http can
        set some of these names; but a client that sends a token may end its session.
        """
        own = _with_and_without_secure(self.cookies[SESSION_TOKEN].name)
        tokens: dict[str, None] = {}
        for name, value in pairs(header):
            if name in own or name.endswith(f".{SESSION_TOKEN}"):
                token = self._token(value)
                if token is not None and len(tokens) < _MAX_SESSIONS:
                    tokens[token] = None
        return list(tokens)

    def expire(self, browser: BrowserCookies) -> list[str]:
        """Expire what Better Auth's sign-out expires, and all cookies that the request shows."""
        own = (self.cookies[key] for key in _OF_SIGN_OUT)
        return _bounded(chain(own, self._shown(browser)))

    def expire_others(self, browser: BrowserCookies) -> list[str]:
        """Expire all cookies that the request shows, except the session cookie of the settings."""
        # A cookie with another path may be in the browser without being shown.
        hidden = (c for key, c in self.cookies.items() if c.attributes.path != "/")
        return _bounded(chain(self._shown(browser), hidden), kept=self.cookies[SESSION_TOKEN])

    def _shown(self, browser: BrowserCookies) -> Iterator[Cookie]:
        """Every form of each of our cookies that the request shows, the most important first.

        Those are the twins of the session cookie, which would be 401 as long as they exist.
        """
        found = list(pairs(browser.header))
        ranks = self._ranks(found)
        names = dict.fromkeys(name for name, _ in found)
        shown = [(rank, name) for name in names if (rank := _rank_of(name, ranks)) is not None]
        domains = self._domains(browser.host)
        for (_, _, key), name in sorted(shown):
            yield from self._forms(key, name, domains)

    def _ranks(self, found: Iterable[tuple[str, str]]) -> dict[str, _Rank]:
        """Our cookies by name: those of the settings, then those of a prefix from before.

        Another application on the domain has another secret, so its cookies are not recognized.
        """
        ranks = {
            name: (name != cookie.name, COOKIE_KEYS.index(key), key)
            for key, cookie in self.cookies.items()
            for name in _with_and_without_secure(cookie.name)
        }
        for name, value in found:
            if name.endswith(f".{SESSION_TOKEN}") and self._token(value) is not None:
                prefix = name.removesuffix(SESSION_TOKEN)
                # The session cookie last, because only that is recognized.
                for order, key in enumerate((*COOKIE_KEYS[1:], SESSION_TOKEN)):
                    for former in _with_and_without_secure(f"{prefix}{key}"):
                        ranks.setdefault(former, (True, order, key))
        return ranks

    def _forms(self, key: str, name: str, domains: Iterable[str]) -> Iterator[Cookie]:
        """The forms that a cookie of this name may have, with no attribute that is not needed."""
        of_settings = self.cookies[key]
        its = of_settings.attributes
        if name == of_settings.name:
            yield of_settings
        is_secure = its.is_secure or requires_secure(name)
        for is_partitioned, path, domain in product(
            (its.is_partitioned, not its.is_partitioned),
            dict.fromkeys((its.path, "/")),
            dict.fromkeys((its.domain, None, *domains)),
        ):
            if is_partitioned and not is_secure and not self.is_https:
                continue
            if domain is not None and is_of_one_host(name):
                continue
            attributes = CookieAttributes(
                domain=domain,
                path=path,
                is_http_only=False,
                is_secure=is_secure or is_partitioned,
                # A response to another site sets no cookie without it.
                same_site="None" if its.same_site == "None" else "",
                is_partitioned=is_partitioned,
            )
            yield Cookie(name, attributes)

    def _domains(self, host: str) -> list[str]:
        """The domains that cookies of this host can have.

        Behind a rewrite, `Host` is not the browser's, but the URL of the Better Auth server is.
        """
        domains, of_url = parent_domains(host), parent_domains(self.better_auth_host)
        return domains if set(domains) & set(of_url) else [*domains, *of_url]

    def _token(self, value: str) -> str | None:
        token = self.signatures.read(value)
        return token if token is not None and RAW_TOKEN.fullmatch(token) else None


def parent_domains(host: str) -> list[str]:
    """The domain names of two labels or more that a host is in, the shortest first.

    Some may be public suffixes, such as co.uk. That needs no list of them: a browser ignores
    cookies for a public suffix, so there is none to expire, and an outdated list could leave one of
    a former `COOKIE_DOMAIN`. Empty for IP addresses and names of one label, which have no domain,
    and for names that are too long for DNS.
    """
    match = _DOMAIN_NAME.fullmatch(host.lower())
    if match is None or len(match[1]) > _MAX_DOMAIN_LENGTH:
        return []
    labels = match[1].split(".")
    return [".".join(labels[first:]) for first in range(len(labels) - 2, -1, -1)]


def _with_and_without_secure(name: str) -> tuple[str, str]:
    bare = name.removeprefix(SECURE_PREFIX)
    return bare, f"{SECURE_PREFIX}{bare}"


def _rank_of(name: str, ranks: Mapping[str, _Rank]) -> _Rank | None:
    """The rank of a cookie, or of a part of it; None if it is not ours."""
    if not _COOKIE_NAME.fullmatch(name):
        return None
    if name in ranks:
        return ranks[name]
    # Better Auth 1.6 joins all cookies whose names begin so, whatever follows.
    dots = (index for index, letter in enumerate(name) if letter == ".")
    whole = (ranks.get(name[:dot]) for dot in dots)
    return next((rank for rank in whole if rank is not None and rank[2] in _SPLIT), None)


def _bounded(cookies: Iterable[Cookie], kept: Cookie | None = None) -> list[str]:
    """Expire each of the cookies once, as far as the lines fit into `MAX_BYTES`."""
    seen = set() if kept is None else {kept.identity}
    lines: list[str] = []
    size = 0
    for cookie in cookies:
        if cookie.identity not in seen:
            seen.add(cookie.identity)
            line = cookie.expire()
            size += len(line) + _LINE_OVERHEAD
            if size > MAX_BYTES:
                break
            lines.append(line)
    return lines
