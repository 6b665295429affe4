"""Names and attributes of Better Auth's cookies, computed from its options as it computes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SECURE_PREFIX: Final = "__Secure-"
_HOST_PREFIX: Final = "__Host-"

#: The session cookie and the cookies beside it, by their keys in `advanced.cookies`.
SESSION_TOKEN: Final = "session_token"  # noqa: S105
SESSION_DATA: Final = "session_data"
ACCOUNT_DATA: Final = "account_data"
DONT_REMEMBER: Final = "dont_remember"
COOKIE_KEYS: Final = (SESSION_TOKEN, SESSION_DATA, ACCOUNT_DATA, DONT_REMEMBER)


@dataclass(frozen=True, slots=True)
class CookieAttributes:
    """The attributes of a cookie, apart from its lifetime."""

    #: None: the cookie is for this host only.
    domain: str | None
    path: str
    is_http_only: bool
    is_secure: bool
    #: As it is written in a header: Lax, Strict or None. Empty: not written.
    same_site: str
    is_partitioned: bool


@dataclass(frozen=True, slots=True)
class Cookie:
    """The name and the attributes of a cookie."""

    name: str
    attributes: CookieAttributes

    @property
    def identity(self) -> tuple[object, ...]:
        """A browser replaces or drops the cookie that has the same identity."""
        its = self.attributes
        return self.name, its.domain, its.path, its.is_partitioned

    def set(self, value: str, seconds: int | None) -> str:
        """The value of a `Set-Cookie` header. Without `seconds`, until the browser is closed."""
        its = self.attributes
        parts = [f"{self.name}={value}"]
        if seconds is not None:
            parts.append(f"Max-Age={seconds}")
        if its.domain is not None:
            parts.append(f"Domain={its.domain}")
        parts.append(f"Path={its.path}")
        if its.is_http_only:
            parts.append("HttpOnly")
        if its.is_secure:
            parts.append("Secure")
        if its.same_site:
            parts.append(f"SameSite={its.same_site}")
        if its.is_partitioned:
            parts.append("Partitioned")
        return "; ".join(parts)

    def expire(self) -> str:
        """The value of a `Set-Cookie` header that makes a browser drop the cookie."""
        return self.set("", 0)


@dataclass(frozen=True, slots=True)
class CookieOption:
    """An entry of `advanced.cookies`."""

    #: None: named by prefix and key.
    name: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CookieOptions:
    """Options of Better Auth below `advanced`."""

    #: `cookiePrefix`.
    prefix: str = "better-auth"
    #: `useSecureCookies`.
    is_secure: bool = False
    #: `crossSubDomainCookies.domain`. None: the cookies are for this host only.
    domain: str | None = None
    #: `defaultCookieAttributes`, under Better Auth's names.
    default_attributes: Mapping[str, Any] = field(default_factory=dict)
    #: `cookies`, by key.
    cookies: Mapping[str, CookieOption] = field(default_factory=dict)

    def all(self) -> Mapping[str, Cookie]:
        """The cookies by key."""
        return {key: self._cookie(key) for key in COOKIE_KEYS}

    def check(self) -> None:
        """Raises `ValueError` if browsers would reject one of the cookies."""
        for key, cookie in self.all().items():
            its = cookie.attributes
            feature = _secure_feature(cookie)
            if feature is not None and not its.is_secure:
                raise ValueError(
                    f"the cookie {key} has {feature}, but not Secure, which browsers reject:"
                    " set its attribute secure to true"
                )
            if is_of_one_host(cookie.name) and (its.domain is not None or its.path != "/"):
                raise ValueError(
                    f"the cookie {key} has a name with __Host-, so it must have no domain, and the"
                    " path /"
                )

    def _cookie(self, key: str) -> Cookie:
        option = self.cookies.get(key, CookieOption())
        attributes = {
            "domain": self.domain,
            "path": "/",
            "httpOnly": True,
            "secure": self.is_secure,
            "sameSite": "Lax",
            "partitioned": False,
            **self.default_attributes,
            **option.attributes,
        }
        return Cookie(
            f"{SECURE_PREFIX if self.is_secure else ''}{option.name or f'{self.prefix}.{key}'}",
            CookieAttributes(
                domain=attributes["domain"],
                path=attributes["path"],
                is_http_only=attributes["httpOnly"],
                is_secure=attributes["secure"],
                same_site=attributes["sameSite"],
                is_partitioned=attributes["partitioned"],
            ),
        )


def _secure_feature(cookie: Cookie) -> str | None:
    """The feature for which browsers require `Secure`; None if the cookie has none."""
    if cookie.attributes.same_site == "None":
        return "SameSite=None"
    if cookie.attributes.is_partitioned:
        return "Partitioned"
    return "a name with __Secure- or __Host-" if requires_secure(cookie.name) else None


def is_of_one_host(name: str) -> bool:
    """Whether browsers accept a cookie of this name only without a domain."""
    return name.lower().startswith(_HOST_PREFIX.lower())


def requires_secure(name: str) -> bool:
    """Whether browsers accept a cookie of this name only with the attribute `Secure`."""
    return is_of_one_host(name) or name.lower().startswith(SECURE_PREFIX.lower())
